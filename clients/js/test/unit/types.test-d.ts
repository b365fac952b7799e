/** What a user's editor knows. */

import { expectTypeOf, test } from "vitest";

import type { Craft, Craftnet, Ended, Material, Options, Progress, QueuePlace, StateChange } from "../../src/index.js";
import { useCraft, useQueue, type FeedView } from "../../src/react.js";

declare const craftnet: Craftnet;
declare const craft: Craft;

test("events have their types, and others are errors", () => {
  craft.on("progress", (progress) => expectTypeOf(progress).toEqualTypeOf<Progress>());
  craft.on("materials", ({ changed }) => expectTypeOf(changed).toEqualTypeOf<readonly Material[]>());
  craft.on("queue", ({ place }) => expectTypeOf(place).toEqualTypeOf<QueuePlace>());
  craft.on("state", (change) => expectTypeOf(change).toEqualTypeOf<StateChange>());
  craft.on("ended", (ended) => expectTypeOf(ended).toEqualTypeOf<Ended>());
  // @ts-expect-error: a craft has no such event
  craft.on("health", () => {});
});

test("the type of a change says which one it is", async () => {
  for await (const change of craft) {
    if (change.type === "progress") expectTypeOf(change.progress.percentAt()).toBeNumber();
    if (change.type === "recovered") expectTypeOf(change.recovered).toBeBoolean();
  }
});

test("a craft needs its player, a client its token", () => {
  // @ts-expect-error: without a player
  craftnet.crafting("id");
  // @ts-expect-error: without getToken
  const options: Options = {};
  void options;
  expectTypeOf<Options["getToken"]>()
    .parameter(0)
    .toHaveProperty("reason")
    .toEqualTypeOf<"missing" | "expiring" | "refused" | "expired">();
});

test("hooks", () => {
  expectTypeOf(useCraft(craftnet, "s", { playerId: "p" }).snapshot.progress).toEqualTypeOf<Progress | null>();
  expectTypeOf(useQueue(craftnet, "p")).toEqualTypeOf<FeedView<Readonly<Record<string, QueuePlace>>>>();
});
