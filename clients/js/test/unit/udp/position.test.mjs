import { deepStrictEqual } from "node:assert";
import { test } from "vitest";

import { Session } from "../../../src/node-udp/session.ts";

const table = (version) => ({
  record: "MaterialsPart",
  version,
  rows: 1,
  problems: 0,
  first: 0,
  entries: [{ materialId: "11111111-1111-4111-8111-111111111111", quantity: 3, quality: null }],
});
const position = (materials, changes) => ({
  record: "Position",
  epoch: "6c0ffee5",
  version: changes * 2 ** 22 + materials * 2048,
});
const versions = (session) =>
  session
    .news()
    .filter(({ event }) => event === "position")
    .map(({ version }) => version);

test("a position is ours once its table is here", () => {
  const session = new Session(0);
  session.take(position(1, 2), 1);
  deepStrictEqual(versions(session), []);
  session.take(table(1), 2);
  deepStrictEqual(versions(session), [position(1, 2).version]);
  deepStrictEqual(versions(session), []);
});

test("beyond 32 bits, and where the table's version has begun again", () => {
  const session = new Session(0);
  session.take(table(2050), 1);
  session.take(position(2050 % 2048, 2 ** 30), 2);
  deepStrictEqual(versions(session), [position(2, 2 ** 30).version]);
  session.take(position(3, 2 ** 30 + 1), 3);
  deepStrictEqual(versions(session), []);
});

test("an older one is dropped", () => {
  const session = new Session(0);
  session.take(position(0, 9), 5);
  session.take(position(0, 8), 4);
  deepStrictEqual(versions(session), [position(0, 9).version]);
});
