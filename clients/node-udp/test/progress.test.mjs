import { strictEqual } from "node:assert";
import { test } from "node:test";

import { percentAt, Shown } from "../protocol/progress.mjs";

const active = { status: "active", percent: 20, anchor: 100, remaining: 40 };

test("it goes on by itself, to 99.99", () => {
  strictEqual(percentAt(active, 110), 40);
  strictEqual(percentAt(active, 90), 20);
  strictEqual(percentAt(active, 140), 99.99);
  for (const [now, percent] of [[99, 20], [100, 20], [100.001, 99.99]]) {
    strictEqual(percentAt({ ...active, remaining: 0 }, now), percent);
  }
  strictEqual(percentAt({ ...active, remaining: null }, 110), 20);
});

test("what is not active stands still, and completion is told", () => {
  strictEqual(percentAt({ ...active, status: "paused" }, 110), 20);
  strictEqual(percentAt({ ...active, status: "paused", percent: 100 }, 110), 99.99);
  strictEqual(percentAt({ ...active, status: "completed", percent: 100 }, 110), 100);
});

test("never backwards, unless the craft went back", () => {
  const shown = new Shown();
  strictEqual(shown.at(active, 110), 40);
  strictEqual(shown.at({ ...active, percent: 39, anchor: 110 }, 110), 40);
  strictEqual(shown.at({ ...active, percent: 30, anchor: 111 }, 111), 30);
});
