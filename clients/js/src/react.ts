/** Feeds as React state. Components that watch the same share a feed, which ends with the last of them. */

import { useEffect, useState, useSyncExternalStore } from "react";

import type { Craftnet } from "./craftnet.js";
import type { Ended, FeedEvents, FeedState } from "./feed.js";
import type { Craft, CraftSnapshot, Queue } from "./feeds.js";
import type { QueuePlace } from "./core/model.js";
import type { Progress } from "./progress.js";

/** What is known of a feed. A new object after each change. */
export interface FeedView<S> {
  readonly state: FeedState;
  readonly snapshot: S;
  /** How it ended; undefined before. */
  readonly result: Ended | undefined;
}

type AnyFeed<S> = Pick<Craft | Queue, "state" | "result" | "close"> & { readonly snapshot: S };

/** The feed of a target while a component watches it. */
class Store<S> {
  #view: FeedView<S>;
  #feed: AnyFeed<S> | undefined;
  #listeners = new Set<() => void>();

  constructor(
    empty: S,
    private readonly begin: (changed: () => void) => AnyFeed<S>,
  ) {
    this.#view = { state: "idle", snapshot: empty, result: undefined };
  }

  readonly get = (): FeedView<S> => this.#view;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    this.#feed ??= this.begin(() => this.#changed());
    return () => {
      this.#listeners.delete(listener);
      // Not at once: React's strict mode and a change of components subscribe again in a moment.
      setTimeout(() => this.#rest());
    };
  };

  #rest(): void {
    if (this.#listeners.size) return;
    const feed = this.#feed;
    this.#feed = undefined;
    feed?.close();
  }

  #changed(): void {
    const feed = this.#feed;
    if (!feed) return;
    this.#view = { state: feed.state, snapshot: feed.snapshot, result: feed.result };
    for (const listener of this.#listeners) listener();
  }
}

const stores = new WeakMap<Craftnet, Map<string, Store<any>>>();

function storeOf<S>(craftnet: Craftnet, key: string, make: () => Store<S>): Store<S> {
  const all = stores.get(craftnet) ?? new Map<string, Store<S>>();
  stores.set(craftnet, all);
  const store = all.get(key) ?? make();
  all.set(key, store);
  return store;
}

/** Calls `changed` after each event of a feed. */
function watched<F extends { on(type: any, handler: () => void): unknown }>(
  feed: F,
  types: readonly string[],
  changed: () => void,
): F {
  for (const type of ["state", "ended", "recovered", ...types] satisfies (keyof FeedEvents | string)[])
    feed.on(type, changed);
  return feed;
}

const NO_CRAFT: CraftSnapshot = { progress: null, materials: [], queues: [] };

/** One craft of a player; `expected` as for `Craftnet.crafting`. */
export function useCraft(
  craftnet: Craftnet,
  sessionId: string,
  { playerId, expected }: { playerId: string; expected?: boolean },
): FeedView<CraftSnapshot> {
  const make = () =>
    new Store<CraftSnapshot>(NO_CRAFT, (changed) =>
      watched(craftnet.crafting(sessionId, { playerId, expected }), ["progress", "materials", "queue"], changed),
    );
  const store = storeOf(craftnet, `${sessionId} ${playerId} ${!!expected}`, make);
  return useSyncExternalStore(store.subscribe, store.get, store.get);
}

const NO_PLACES: Readonly<Record<string, QueuePlace>> = {};

/** A player's places in queues, by station. */
export function useQueue(craftnet: Craftnet, playerId: string): FeedView<Readonly<Record<string, QueuePlace>>> {
  const make = () => new Store(NO_PLACES, (changed) => watched(craftnet.queue(playerId), ["queue"], changed));
  const store = storeOf(craftnet, playerId, make);
  return useSyncExternalStore(store.subscribe, store.get, store.get);
}

/** The percent to show of a progress, in each frame; 0 before there is one. Use it in a component of its own. */
export function usePercent(progress: Progress | null): number {
  const [, draw] = useState(0);
  useEffect(() => {
    if (progress?.status !== "active") return;
    let frame = requestAnimationFrame(function next(time) {
      draw(time);
      frame = requestAnimationFrame(next);
    });
    return () => cancelAnimationFrame(frame);
  }, [progress]);
  return progress?.percentAt() ?? 0;
}
