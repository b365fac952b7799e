/** The reducer of a player's feed: the crafts under way, and the places in queues. Pure. */

import {
  crafting,
  parsed,
  queue,
  without,
  type CraftState,
  type Decoded,
  type QueueChange,
  type QueueState,
  type Rules,
} from "./reduce.js";

/** Everything of a player: the places in queues, and the crafts under way by session. */
export interface PlayerState extends QueueState {
  readonly crafts: Readonly<Record<string, CraftState>>;
}

/** Something about one craft has changed; its state is the newest, or the last one when the craft has ended. */
export interface PlayerCraftChange<C = CraftState> {
  readonly type: "craft";
  readonly sessionId: string;
  readonly craft: C;
  /** The newest position of the craft's messages; null before the server sent one. */
  readonly position: string | null;
}

export type PlayerChange<C = CraftState> = PlayerCraftChange<C> | QueueChange;

const ENDED = /^(completed|failed)$/;

/** The rules of a player's feed. */
export const player: Rules<PlayerState, PlayerChange> = {
  initial: { ...queue.initial, crafts: {} },
  receive(state, arrival, now) {
    const message = typeof arrival === "string" ? parsed(arrival) : null;
    const sessionId = message ? message.session_id : (arrival as Decoded).sessionId;
    if (!sessionId) {
      // The queues are first after connecting: all crafts follow again.
      const { crafts } = message!.recovered === false ? player.initial : state;
      const [places, changes] = queue.receive(state, arrival, now);
      return [{ ...places, position: null, crafts }, changes];
    }
    const [craft] = crafting.receive(state.crafts[sessionId] ?? crafting.initial, arrival, now);
    const ended = ENDED.test(craft.progress?.status ?? "");
    const crafts = ended ? without(state.crafts, sessionId) : { ...state.crafts, [sessionId]: craft };
    return [{ ...state, clock: craft.clock, crafts }, [{ type: "craft", sessionId, craft, position: craft.position }]];
  },
};
