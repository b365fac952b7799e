/** The admin feed: one WebSocket that reconnects, with the subscriptions that the page needs. */

import type { ServerMessage, ViewRequest } from "./messages";
import { dropped, initial, received, traced, viewed, type State } from "./state";

const LEAST_WAIT = 500;
const MOST_WAIT = 20_000;

/** What a close code means to an administrator; those that are not here are worth another attempt. */
const FINAL: Readonly<Record<number, string>> = {
  1008: "The server refused what this page sent.",
  4001: "The token has expired. Sign in with a fresh one.",
  4003: "The token was revoked.",
  4009: "An operator closed this connection.",
};

/** Milliseconds that the server asks to wait; undefined where it does not. */
function hint(reason: string): number | undefined {
  const match = /retry in ([\d.]+) s/.exec(reason);
  return match ? Number(match[1]) * 1000 : undefined;
}

export class AdminFeed {
  #state: State = initial;
  #socket: WebSocket | undefined;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #next = 0;
  readonly #listeners = new Set<() => void>();

  constructor(
    private readonly base: string,
    private readonly token: string,
    private readonly random: () => number = Math.random,
  ) {
    this.#connect();
    addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
  }

  get state(): State {
    return this.#state;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Subscribes to a view; returns the subscription's id. */
  watch(request: ViewRequest): string {
    const id = `v${(this.#next += 1)}`;
    this.#become(viewed(this.#state, id, request));
    this.#send({ type: "subscribe", id, ...request });
    return id;
  }

  trace(session: string): string {
    const id = `t${(this.#next += 1)}`;
    this.#become(traced(this.#state, id, session));
    this.#send({ type: "trace", id, session_id: session });
    return id;
  }

  drop(id: string): void {
    this.#become(dropped(this.#state, id));
    this.#send({ type: "unsubscribe", id });
  }

  close(): void {
    clearTimeout(this.#timer);
    removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    this.#listeners.clear();
    this.#socket?.close();
  }

  #become(state: State): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }

  #send(message: object): void {
    if (this.#state.connection.phase === "live") this.#socket?.send(JSON.stringify(message));
  }

  #connect(): void {
    this.#timer = undefined;
    this.#become({ ...this.#state, connection: { phase: "connecting" } });
    const url = new URL("ws/admin", this.base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = (this.#socket = new WebSocket(url, ["craftnet.json.v1", `bearer.${this.token}`]));
    socket.onmessage = ({ data }) => this.#take(JSON.parse(String(data)) as ServerMessage);
    socket.onclose = ({ code, reason }) => {
      if (this.#socket === socket) void this.#closed(code, reason);
    };
  }

  #take(message: ServerMessage): void {
    this.#become(received(this.#state, message, Date.now()));
    if (message.type !== "hello") return;
    this.#failures = 0;
    for (const [id, { request }] of Object.entries(this.#state.views))
      this.#send({ type: "subscribe", id, ...request });
    for (const [id, { session }] of Object.entries(this.#state.traces))
      this.#send({ type: "trace", id, session_id: session });
  }

  async #closed(code: number, reason: string): Promise<void> {
    const never = this.#state.info === undefined;
    const final = FINAL[code] ?? (never ? await this.#refusal() : undefined);
    if (final) {
      this.#become({ ...this.#state, connection: { phase: "ended", reason: final } });
      return;
    }
    this.#failures += 1;
    const bound = Math.min(MOST_WAIT, LEAST_WAIT * 2 ** this.#failures);
    const wait = hint(reason) ?? this.random() * bound;
    const until = Date.now() + wait;
    this.#become({ ...this.#state, connection: { phase: "waiting", until, reason: reason || `closed with ${code}` } });
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  /** Why the first handshake was refused, which a page cannot see: the same token asks over HTTP. */
  async #refusal(): Promise<string | undefined> {
    try {
      const response = await fetch(new URL("admin", this.base), { headers: { Authorization: `Bearer ${this.token}` } });
      if (response.ok || response.status >= 500 || response.status === 429) return undefined;
      const body = (await response.json()) as { message?: string };
      return body.message ?? `The server answers ${response.status}.`;
    } catch {
      return undefined; // out of reach
    }
  }

  readonly #wake = (): void => {
    if (this.#timer === undefined || document.visibilityState === "hidden") return;
    clearTimeout(this.#timer);
    this.#connect();
  };
}
