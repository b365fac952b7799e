/** The feed of everything of a player. */

import { player, type PlayerChange, type PlayerCraftChange, type PlayerState } from "./core/player.js";
import type { CraftState } from "./core/reduce.js";
import { Feed } from "./feed.js";
import { CraftView, type CraftSnapshot, type PlayerSnapshot, type QueueEvents } from "./feeds.js";
import type { Shared } from "./options.js";

export interface PlayerEvents extends QueueEvents {
  /** A craft has started, changed or ended: its newest snapshot. */
  craft: PlayerCraftChange<CraftSnapshot>;
}

export interface PlayerOptions {
  /** The name with which this device registers: see `Devices` of @craftnet/client/devices. */
  readonly device?: string;
  /** As for `Craftnet.crafting`. */
  readonly expected?: boolean;
}

/** Everything of a player: crafts as they start and end, and places in queues. Begins with the whole state each time. */
export class Player extends Feed<PlayerState, PlayerChange, PlayerEvents, PlayerChange<CraftSnapshot>> {
  #views = new Map<string, CraftView>();
  #expected: boolean | undefined;

  constructor(shared: Shared, playerId: string, { device, expected }: PlayerOptions) {
    super(
      shared,
      { kind: "player", playerId, ...(device != null && { device }), ...(expected && { expected }) },
      player,
    );
    this.#expected = expected;
  }

  protected get complete(): boolean {
    return true;
  }

  get snapshot(): PlayerSnapshot {
    const { crafts, places } = this.data;
    return {
      crafts: Object.fromEntries(Object.entries(crafts).map(([id, craft]) => [id, this.#view(id, craft)])),
      places,
    };
  }

  #view(sessionId: string, craft: CraftState): CraftSnapshot {
    const view = this.#views.get(sessionId) ?? new CraftView(this.#expected);
    if (sessionId in this.data.crafts) this.#views.set(sessionId, view);
    else this.#views.delete(sessionId);
    return view.of(craft, this);
  }

  protected override present(change: PlayerChange): PlayerChange<CraftSnapshot> {
    return change.type === "craft" ? { ...change, craft: this.#view(change.sessionId, change.craft) } : change;
  }
}

export type { PlayerSnapshot } from "./feeds.js";
export { snapshot } from "./snapshot.js"; // fetched together, when either is used
