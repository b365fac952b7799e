import { deepStrictEqual } from "node:assert";
import { test } from "vitest";

import { Reason, Session } from "../../../src/node-udp/session.ts";

const part = (version, offset, text) => ({ version, total: 6, offset, octets: Buffer.from(text) });

test("parts in whatever order, and twice", () => {
  const reason = new Reason();
  deepStrictEqual(reason.take(part(1, 4, "of"), 2), null);
  deepStrictEqual(reason.take(part(1, 4, "of"), 3), null);
  deepStrictEqual(reason.take(part(1, 0, "out "), 1), { version: 1, text: "out of" });
});

test("a part of an older reason is dropped, one of a newer starts anew", () => {
  const reason = new Reason();
  deepStrictEqual(reason.take(part(2, 2, "t "), 6), null);
  deepStrictEqual(reason.take(part(2, 0, "no"), 4), null);
  deepStrictEqual(reason.take(part(1, 0, "old"), 5), null);
  deepStrictEqual(reason.take(part(2, 4, "it"), 7), { version: 2, text: "not it" });
  deepStrictEqual(reason.take(part(3, 0, "newest"), 8), { version: 3, text: "newest" });
});

test("a session knows which datagram a part came in", () => {
  const session = new Session(0);
  const progress = { status: "failed", percent: 1, anchor: 0, remaining: null };
  session.take({ record: "ProgressState", version: 2, ...progress }, 5);
  for (const [version, offset, text, sequence] of [
    [2, 0, "not ", 6],
    [1, 0, "old", 4],
    [2, 4, "it", 7],
  ]) {
    session.take({ record: "ReasonPart", ...part(version, offset, text) }, sequence);
  }
  deepStrictEqual(session.progress.failureReason, "not it");
});
