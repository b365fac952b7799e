/** The feeds of one craft, of a player's queues, and of health. */

import { crafting, health, queue } from "./core/reduce.js";
import type {
  CraftChange,
  CraftState,
  HealthChange,
  HealthState,
  QueueChange,
  QueuePlaceChange,
  QueueState,
} from "./core/reduce.js";
import { Shown, type Material, type QueuePlace } from "./core/model.js";
import type { HealthNews, HealthReport } from "./core/messages.js";
import { Feed, type Ended, type FeedEvents } from "./feed.js";
import type { Shared } from "./options.js";
import { Progress, type Clock } from "./progress.js";

/** A craft as far as it is known. A new object after each change. */
export interface CraftSnapshot {
  readonly progress: Progress | null;
  readonly materials: readonly Material[];
  /** Where the craft's player waits. */
  readonly queues: readonly QueuePlace[];
}

/** Everything of a player, as far as it is known. A new object after each change. */
export interface PlayerSnapshot {
  /** The crafts under way, by session, oldest first. */
  readonly crafts: Readonly<Record<string, CraftSnapshot>>;
  /** By station; "" stands for a queue without one. */
  readonly places: Readonly<Record<string, QueuePlace>>;
}

export interface CraftEvents extends FeedEvents {
  progress: Progress;
  /** All materials, and those that are new, different or gone. */
  materials: { readonly materials: readonly Material[]; readonly changed: readonly Material[] };
  queue: { readonly place: QueuePlace };
}

/** Makes snapshots of a craft's states; the same one while nothing has changed. */
export class CraftView {
  /** `byExpected` as in `Progress`. */
  constructor(private readonly byExpected?: boolean) {}

  #shown = new Shown();
  #of: CraftState | undefined;
  #snapshot: CraftSnapshot | undefined;

  of(state: CraftState, clock: Clock): CraftSnapshot {
    const { progress, materials, queues } = state;
    const [of, held] = [this.#of, this.#snapshot];
    const same = of?.progress === progress;
    if (same && of.materials === materials && of.queues === queues) return held!;
    this.#of = state;
    return (this.#snapshot = {
      progress: same ? held!.progress : progress && new Progress(progress, this.#shown, clock, this.byExpected),
      materials: Object.values(materials),
      queues: Object.values(queues),
    });
  }
}

/** One craft. It ends when the craft does. */
export class Craft extends Feed<CraftState, CraftChange, CraftEvents, CraftChange<Progress>> {
  #view: CraftView;

  constructor(shared: Shared, sessionId: string, playerId: string, resume?: string, expected?: boolean) {
    super(shared, { kind: "crafting", sessionId, playerId, ...(expected && { expected }) }, crafting, resume);
    this.#view = new CraftView(expected);
  }

  protected get complete(): boolean {
    return !!(this.data.progress || Object.keys(this.data.queues)[0]);
  }

  get snapshot(): CraftSnapshot {
    return this.#view.of(this.data, this);
  }

  protected override get over(): Ended | undefined {
    const { status, failureReason } = this.data.progress ?? {};
    return status === "completed" || status === "failed" ? { result: status, reason: failureReason ?? "" } : undefined;
  }

  protected override present(change: CraftChange): CraftChange<Progress> {
    return change.type === "progress" ? { ...change, progress: this.snapshot.progress! } : change;
  }
}

export interface QueueEvents extends FeedEvents {
  queue: Omit<QueuePlaceChange, "type">;
}

/** A player's places in the queues of all stations. */
export class Queue extends Feed<QueueState, QueueChange, QueueEvents> {
  constructor(shared: Shared, playerId: string, resume?: string, device?: string) {
    super(shared, { kind: "queue", playerId, ...(device != null && { device }) }, queue, resume);
  }

  protected get complete(): boolean {
    return true;
  }

  /** By station; "" stands for a queue without one. A new object after each change. */
  get snapshot(): Readonly<Record<string, QueuePlace>> {
    return this.data.places;
  }
}

export interface HealthEvents extends FeedEvents {
  health: { readonly news: HealthNews; readonly health: HealthReport };
}

/** Health reports; needs a token with the scope crafting:admin. */
export class Health extends Feed<HealthState, HealthChange, HealthEvents> {
  constructor(shared: Shared, services: readonly string[]) {
    super(shared, { kind: "health", services }, health);
  }

  protected get complete(): boolean {
    return !!this.data.health;
  }

  /** The newest report. */
  get snapshot(): HealthReport | null {
    return this.data.health;
  }
}
