import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { clockOffset, percentAt, remainingAt, sampled, Shown, type ProgressModel } from "../../src/core/model.js";
import { readRecord } from "../../src/core/records.js";
import { Refused } from "../../src/wire.js";

interface Given {
  status: ProgressModel["status"];
  percent: number;
  anchor: number;
  remaining: number | null;
}

const vectors = JSON.parse(readFileSync(new URL("../../../../protocol/vectors.json", import.meta.url), "utf8"));

const model = (more: Partial<ProgressModel> = {}): ProgressModel => ({
  status: "active",
  percent: 20,
  anchor: 1000,
  remaining: 40,
  quality: null,
  targetQuality: null,
  failureReason: null,
  ...more,
});

describe("progress as a function of time", () => {
  test.each(vectors.progress_at as { name: string; progress: Given; at: number; percent: number }[])(
    "$name",
    ({ progress, at, percent }) => {
      expect(percentAt(model({ ...progress, anchor: progress.anchor * 1000 }), at * 1000)).toBeCloseTo(percent, 3);
    },
  );

  test("the remaining time counts down while the craft is active, and stands still else", () => {
    expect(remainingAt(model(), 11_000)).toBe(30);
    expect(remainingAt(model(), 0)).toBe(40);
    expect(remainingAt(model(), 99_000)).toBe(0);
    expect(remainingAt(model({ status: "paused" }), 11_000)).toBe(40);
    expect(remainingAt(model({ remaining: null }), 11_000)).toBeNull();
    expect(remainingAt(model({ status: "completed", remaining: null }), 11_000)).toBe(0);
  });
});

describe("what is shown", () => {
  test("waits for a progress that arrives lower, and goes back when the craft did", () => {
    const shown = new Shown();
    expect(shown.at(model(), 11_000)).toBe(40);
    const lower = model({ percent: 38, anchor: 11_000 });
    expect(shown.at(lower, 11_000)).toBe(40);
    expect(shown.at(lower, 19_000)).toBeCloseTo(50.4);
    expect(shown.at(model({ percent: 10, anchor: 19_000 }), 19_000)).toBe(10);
  });

  test("never goes back for a progress that it shows already", () => {
    const [shown, one] = [new Shown(), model()];
    shown.at(one, 31_000);
    expect(shown.at(one, 11_000)).toBe(80);
  });
});

describe("the server's clock", () => {
  test("is known by the message that was the shortest under way", () => {
    expect(clockOffset([])).toBe(0);
    const samples = [900, 960, 700].reduce((held, sent) => sampled(held, sent, 0), [] as readonly number[]);
    expect(clockOffset(samples)).toBe(960);
  });

  test("follows one that was set, within eight messages", () => {
    let samples: readonly number[] = [5000];
    for (let count = 0; count < 8; count += 1) samples = sampled(samples, 100, 0);
    expect(clockOffset(samples)).toBe(100);
  });
});

const octets = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));

/** The outcome that octets are refused with. */
function outcome(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof Refused) return error.outcome;
    throw error;
  }
  return "accepted";
}

describe("records", () => {
  test.each(vectors.posted as any[])("$record $sequence", ({ octets: hex, ...said }) => {
    const found = readRecord(octets(hex));
    expect(found.header).toMatchObject({
      sequence: said.sequence,
      timestampMs: said.timestamp_ms,
      sessionId: said.session_id,
    });
    const { percent, remaining, quality, target_quality: targetQuality, flags } = said;
    if ("progress" in found) expect(found.progress).toEqual({ percent, remaining, quality, targetQuality, flags });
    else {
      const changes = said.changes.map((change: any) => ({
        materialId: change.material_id,
        changeType: change.change_type,
        quantity: change.new_quantity,
        quality: change.new_quality,
      }));
      expect(found.changes).toEqual(changes);
    }
  });

  test.each(vectors.malformed_posted as any[])("$name is refused", ({ octets: hex, outcome: wanted }) => {
    expect(outcome(() => readRecord(octets(hex)))).toBe(wanted);
  });
});
