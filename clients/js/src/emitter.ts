/** Typed events, and the same as an async iterator. */

const MOST_UNREAD = 1024;

export type Handler<T> = (event: T) => void;

export class Emitter<Events> {
  #handlers = new Map<keyof Events, Set<Handler<never>>>();

  /** Calls `handler` with each event of this type; the function returned ends that. */
  on<T extends keyof Events>(type: T, handler: Handler<Events[T]>): () => void {
    const handlers = this.#handlers.get(type) ?? new Set();
    this.#handlers.set(type, handlers.add(handler));
    return () => this.off(type, handler);
  }

  off<T extends keyof Events>(type: T, handler: Handler<Events[T]>): void {
    this.#handlers.get(type)?.delete(handler);
  }

  protected emit<T extends keyof Events>(type: T, event: Events[T]): void {
    for (const handler of [...(this.#handlers.get(type) ?? [])] as Handler<Events[T]>[]) {
      try {
        handler(event);
      } catch (error) {
        // A handler's fault is its own: reported as uncaught, and the feed goes on.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/**
 * Changes as an async iterator, until `over`. `subscribe` calls back with each change, and with none when there may be an
 * end; what it returns ends that. A newer progress replaces one that is unread.
 */
export async function* changes<C extends { readonly type: string }>(
  subscribe: (push: (change?: C) => void) => () => void,
  over: () => unknown,
): AsyncGenerator<C, void, undefined> {
  let unread: C[] = [];
  let wake: (() => void) | undefined;
  const stop = subscribe((change) => {
    if (change?.type === "progress") unread = unread.filter(({ type }) => type !== "progress");
    if (change) unread = [...unread.slice(1 - MOST_UNREAD), change];
    wake?.();
  });
  try {
    for (;;) {
      while (unread.length) yield unread.shift()!;
      if (over()) return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    stop();
  }
}
