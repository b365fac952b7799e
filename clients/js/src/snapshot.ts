/** The current state of a feed by one GET of its route. */

import { now } from "./alarm.js";
import { clockOffset } from "./core/model.js";
import { player } from "./core/player.js";
import { crafting, type CraftState, type Rules } from "./core/reduce.js";
import { CraftView, type CraftSnapshot, type PlayerSnapshot } from "./feeds.js";
import type { Shared } from "./options.js";
import type { Target } from "./transports/transport.js";

/** What the feed of each kind has as its `snapshot`. */
export interface Snapshots {
  crafting: CraftSnapshot;
  queue: PlayerSnapshot["places"];
  player: PlayerSnapshot;
}

export type SnapshotTarget<K extends keyof Snapshots = keyof Snapshots> = Extract<Target, { kind: K }> & { kind: K };

/** What the server answered instead of a snapshot: `status` is that of HTTP. */
class SnapshotError extends Error {
  override name = "SnapshotError";

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

async function get({ url, fetch, tokens }: Shared, path: string, signal?: AbortSignal): Promise<string[]> {
  for (let tries = 0; ; tries += 1) {
    const token = await tokens.get();
    const headers = { Accept: "application/json", Authorization: `Bearer ${token}` };
    const response = await fetch(url + path, { headers, signal: signal ?? null, cache: "no-store" });
    if (response.ok) return (await response.json()).messages.map((message: unknown) => JSON.stringify(message));
    if (response.status === 401 && !tries) tokens.blame(token, "refused");
    else {
      const { message } = await response.json().catch(() => ({}));
      throw new SnapshotError(response.status, message ?? `the server answered ${response.status}`);
    }
  }
}

function reduced<S>(rules: Rules<S, unknown>, messages: readonly string[]): S {
  return messages.reduce((state, message) => rules.receive(state, message, now())[0], rules.initial);
}

const view = (craft: CraftState): CraftSnapshot =>
  new CraftView().of(craft, {
    get serverTime() {
      return now() + clockOffset(craft.clock);
    },
  });

/** The snapshot of `target`. Rejects with SnapshotError, and with what `getToken` and `fetch` reject with. */
export async function snapshot(shared: Shared, target: SnapshotTarget, signal?: AbortSignal): Promise<any> {
  const query = target.kind === "crafting" ? `?player_id=${target.playerId}` : "";
  const id = target.kind === "crafting" ? target.sessionId : target.playerId;
  const messages = await get(shared, `/ws/${target.kind}/${id}${query}`, signal);
  if (target.kind === "crafting") return view(reduced(crafting, messages));
  const { crafts, places } = reduced(player, messages);
  if (target.kind === "queue") return places;
  return { crafts: Object.fromEntries(Object.entries(crafts).map(([key, craft]) => [key, view(craft)])), places };
}
