/**
 * The reducer: what a feed's state becomes with what arrived, and the changes to report. Pure: what arrived and the time
 * (Unix milliseconds by our own clock) go in, a new state and changes come out. `bin.ts` and `state-update.ts` do the same for
 * binary messages and for what comes over UDP.
 */

import {
  notified,
  placeIn,
  placeOf,
  positionOf,
  progressOf,
  sentAt,
  type HealthNews,
  type HealthReport,
  type Message,
  type QueueNews,
} from "./messages.js";
import { sampled, type ClockSamples, type Material, type ProgressModel, type QueuePlace } from "./model.js";

/** What arrives: a text message, or what a decoder understood of octets. */
export type Arrival = string | Decoded;

/** What octets mean for a crafting feed. */
export interface Decoded {
  readonly octets?: Uint8Array;
  /** The craft that it is about, where the octets say so. */
  readonly sessionId?: string;
  applyTo(state: CraftState, now: number): Step<CraftState, CraftChange>;
}

interface BaseState {
  /** What `resume` takes; null before the server sent one. */
  readonly position: string | null;
  readonly clock: ClockSamples;
}

export interface CraftState extends BaseState {
  readonly progress: ProgressModel | null;
  readonly materials: Readonly<Record<string, Material>>;
  /** By station; "" stands for a queue without one. */
  readonly queues: Readonly<Record<string, QueuePlace>>;
  /** Whether `position` does not count the newest binary record of materials yet, whose notifications may follow. */
  readonly uncounted?: boolean;
}

export interface QueueState extends BaseState {
  readonly places: Readonly<Record<string, QueuePlace>>;
}

export interface HealthState extends BaseState {
  readonly health: HealthReport | null;
}

export type CraftChange<P extends ProgressModel = ProgressModel> =
  | { readonly type: "progress"; readonly progress: P }
  | { readonly type: "materials"; readonly materials: readonly Material[]; readonly changed: readonly Material[] }
  | { readonly type: "queue"; readonly place: QueuePlace }
  | Recovered;

export interface QueuePlaceChange {
  readonly type: "queue";
  readonly news: QueueNews;
  readonly place: QueuePlace;
  /** The position of the message. */
  readonly position: string | null;
}

export type QueueChange = QueuePlaceChange | Recovered;

export interface HealthChange {
  readonly type: "health";
  readonly news: HealthNews;
  readonly health: HealthReport;
}

/** The first message after coming back: whether what was missed follows, or the whole state does. */
export interface Recovered {
  readonly type: "recovered";
  readonly recovered: boolean;
}

/** A state and the changes that led to it. */
export type Step<S, C> = readonly [state: S, changes: readonly C[]];

/** A feed's rules: where it begins, and what an arrival makes of it. `receive` throws for what no server sends. */
export interface Rules<S, C> {
  readonly initial: S;
  receive(state: S, arrival: Arrival, now: number): Step<S, C>;
}

/**
 * A message's position and date, taken over. The whole state follows a message that says that nothing was recovered: then
 * what was known is forgotten but for what `empty` has.
 */
function noted<S extends BaseState>(state: S, message: Message, now: number, empty: Partial<S>): S {
  const sent = sentAt(message);
  return {
    ...state,
    ...(message.recovered === false && empty),
    position: positionOf(message) ?? state.position,
    clock: sent ? sampled(state.clock, sent, now) : state.clock,
  };
}

/** The change that the first message after coming back makes. */
const returned = ({ recovered }: Message): Recovered[] => (recovered == null ? [] : [{ type: "recovered", recovered }]);

export function parsed(arrival: Arrival): Message {
  const message = typeof arrival === "string" ? JSON.parse(arrival) : null;
  if (!message?.type) throw new TypeError("no message of this feed");
  return message;
}

/** The record without one of its entries. */
export const without = <V>(record: Readonly<Record<string, V>>, key: string): Readonly<Record<string, V>> => {
  const { [key]: _, ...rest } = record;
  return rest;
};

// Crafting

const NOTHING: Pick<CraftState, "materials" | "queues"> = { materials: {}, queues: {} };

/** A state with these materials, `list` of which are new, different or gone. */
export function withMaterials(
  state: CraftState,
  materials: CraftState["materials"],
  list: readonly Material[],
): Step<CraftState, CraftChange> {
  const next = { ...state, materials };
  return [next, list.length ? [{ type: "materials", materials: Object.values(materials), changed: list }] : []];
}

/** A state with this progress. */
export function withProgress(state: CraftState, progress: ProgressModel): Step<CraftState, CraftChange> {
  return [{ ...state, progress }, [{ type: "progress", progress }]];
}

function takeMessage(state: CraftState, message: Message, now: number): Step<CraftState, CraftChange> {
  const { progress_data, material_data, queue_data } = message;
  const next = { ...noted(state, message, now, NOTHING), uncounted: false };
  if (progress_data) return withProgress(next, progressOf(progress_data, sentAt(message)));
  if (material_data) {
    const material = notified(next.materials, material_data);
    return withMaterials(next, { ...next.materials, [material.id]: material }, [material]);
  }
  if (!queue_data) return [next, returned(message)]; // or a heartbeat
  const place = placeOf(queue_data);
  return [{ ...next, queues: { ...next.queues, [place.stationType ?? ""]: place } }, [{ type: "queue", place }]];
}

export const crafting: Rules<CraftState, CraftChange> = {
  initial: { position: null, clock: [], progress: null, ...NOTHING },
  receive: (state, arrival, now) =>
    typeof arrival === "string" ? takeMessage(state, parsed(arrival), now) : arrival.applyTo(state, now),
};

// Queues

const LEAVING = /_(available|timeout)$/;

export const queue: Rules<QueueState, QueueChange> = {
  initial: { position: null, clock: [], places: {} },
  receive(state, arrival, now) {
    const message = parsed(arrival);
    const next = noted(state, message, now, { places: {} });
    if (!message.queue_position) return [next, returned(message)]; // or a heartbeat
    const place = placeIn(message);
    const key = place.stationType ?? "";
    const places = LEAVING.test(message.type) ? without(next.places, key) : { ...next.places, [key]: place };
    const news = message.type as QueueNews;
    return [{ ...next, places }, [{ type: "queue", news, place, position: positionOf(message) ?? null }]];
  },
};

// Health

export const health: Rules<HealthState, HealthChange> = {
  initial: { position: null, clock: [], health: null },
  receive(state, arrival, now) {
    const message = parsed(arrival);
    const next = noted(state, message, now, {});
    const { health } = message;
    return health ? [{ ...next, health }, [{ type: "health", news: message.type as HealthNews, health }]] : [next, []];
  },
};
