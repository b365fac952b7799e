/** What a real server sent over each encoding, put through the reducer: `node scripts/record.mjs` records it. */

import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { decode } from "../../src/core/bin.js";
import { clockOffset, percentAt } from "../../src/core/model.js";
import { crafting, type Arrival, type CraftChange, type CraftState } from "../../src/core/reduce.js";
import { unpack } from "../../src/lz4.js";

interface Recording {
  readonly iron: string;
  readonly player: string;
  readonly messages: readonly { at: number; text?: string; octets?: string }[];
}

const recording = (encoding: string): Recording =>
  JSON.parse(readFileSync(new URL(`../feeds/${encoding}.json`, import.meta.url), "utf8"));

async function arrival(encoding: string, { text, octets }: Recording["messages"][number]): Promise<Arrival> {
  if (text !== undefined) return text;
  const bytes = Uint8Array.from(Buffer.from(octets!, "hex"));
  return encoding === "lz4" ? unpack(bytes, "", fetch) : decode(bytes);
}

/** A change in a few words. */
function words(change: CraftChange): string {
  if (change.type === "progress") return `${change.progress.status} ${Math.floor(change.progress.percent)}`;
  if (change.type === "recovered") return `recovered ${change.recovered}`;
  if (change.type === "queue") return `queue ${change.place.queuePosition}`;
  return change.changed.map(({ quantity, problem }) => `material ${quantity} ${problem?.type}`).join();
}

async function replayed(encoding: string): Promise<{ state: CraftState; lines: string[]; steps: number[] }> {
  let state = crafting.initial;
  const [lines, steps]: [string[], number[]] = [[], []];
  for (const message of recording(encoding).messages) {
    const [next, changes] = crafting.receive(state, await arrival(encoding, message), message.at);
    lines.push(...changes.map(words));
    steps.push(percentAt(next.progress ?? { ...state.progress!, percent: 0 }, message.at + clockOffset(next.clock)));
    state = next;
  }
  return { state, lines, steps };
}

const EXPECTED = {
  json: [
    ...["recovered false", "active 0", "queue 2", "material null insufficient_quantity"],
    ...["active 40", "paused 40", "active 40", "material null undefined", "completed 100"],
  ],
  bin: [
    ...["recovered false", "active 0", "queue 2", "material 7 undefined", "material 7 insufficient_quantity"],
    ...[
      "active 40",
      "paused 40",
      "active 40",
      "material 120 insufficient_quantity",
      "material 120 undefined",
      "completed 100",
    ],
  ],
};

test.each([
  ["json", EXPECTED.json],
  ["lz4", EXPECTED.json],
  ["bin", EXPECTED.bin],
])("%s", async (encoding, expected) => {
  const { iron, player } = recording(encoding);
  const { state, lines, steps } = await replayed(encoding);
  expect(lines).toEqual(expected);
  expect(steps).toEqual([...steps].sort((one, other) => one - other));
  expect(state.progress).toMatchObject({ status: "completed", percent: 100 });
  expect(state.materials[iron]).toMatchObject({ quantity: encoding === "bin" ? 120 : null, problem: null });
  expect(state.queues).toEqual({ laboratory: { playerId: player, queuePosition: 2, stationType: "laboratory" } });
  expect(state.position).toMatch(/^[\w-]+:\d+$/);
  expect(Math.abs(clockOffset(state.clock))).toBeLessThan(50); // both clocks are one
});

test("a state survives being stored", async () => {
  const { state } = await replayed("bin");
  expect(JSON.parse(JSON.stringify(state))).toEqual(state);
});
