import { deepStrictEqual, throws } from "node:assert";
import { test } from "vitest";

import { Materials } from "../../../src/node-udp/materials.ts";

const rows = (first, ...quantities) =>
  quantities.map((quantity, k) => ({ materialId: `m${first + k}`, quantity, quality: null }));

function part(version, total, first, quantities, problems = 0) {
  return { record: "MaterialsPart", version, rows: total, problems, first, entries: rows(first, ...quantities) };
}

const quantities = (materials) => materials.table?.map(({ quantity }) => quantity) ?? null;

test("parts in whatever order, problems among them", () => {
  const materials = new Materials();
  const problem = { row: 2, problem: "quality_too_low", requiredQuantity: null };
  const problems = { record: "ProblemsPart", version: 1, first: 0, entries: [problem] };
  deepStrictEqual(materials.takePart(problems, 12), false);
  deepStrictEqual(materials.takePart(part(1, 3, 2, [3], 1), 11), false);
  deepStrictEqual([materials.version, materials.table], [0, null]);
  deepStrictEqual(materials.takePart(part(1, 3, 0, [1, 2], 1), 10), true);
  deepStrictEqual([materials.version, quantities(materials)], [1, [1, 2, 3]]);
  deepStrictEqual(materials.table[2].problem, { problem: "quality_too_low", requiredQuantity: null });
});

test("a part of an older table is dropped, one of a newer starts anew", () => {
  const materials = new Materials();
  materials.takePart(part(2, 3, 0, [1]), 6);
  materials.takePart(part(2, 3, 1, [2]), 4);
  materials.takePart(part(1, 3, 1, [9]), 5);
  materials.takePart(part(2, 3, 2, [3]), 7);
  deepStrictEqual(quantities(materials), [1, 2, 3]);
  materials.takePart(part(3, 3, 0, [4]), 8);
  deepStrictEqual(quantities(materials), [1, 2, 3]);
});

test("differences, from any of the last tables", () => {
  const materials = new Materials();
  const difference = (version, back, row, quantity) => ({
    version,
    back,
    rows: 2,
    changes: [{ row, quantity }],
  });
  materials.takePart(part(0xffffffff, 2, 0, [1, 2]), 1);
  deepStrictEqual(materials.takeDelta(difference(1, 2, 0, 5), 2), true);
  deepStrictEqual(materials.takeDelta(difference(2, 3, 1, 6), 3), true);
  deepStrictEqual(quantities(materials), [1, 6]);
  deepStrictEqual(materials.takeDelta(difference(1, 2, 0, 5), 2), false);
  throws(() => materials.takeDelta(difference(9, 1, 0, 5), 4), { outcome: "no_baseline" });
  throws(() => materials.takeDelta({ ...difference(3, 1, 0, 5), rows: 3 }, 4), { outcome: "no_baseline" });
  deepStrictEqual([materials.version, quantities(materials)], [2, [1, 6]]);
});

test("32 tables are kept", () => {
  const materials = new Materials();
  for (let version = 1; version <= 33; version += 1) materials.takePart(part(version, 1, 0, [version]), version);
  const from = (version) => ({ version: 40, back: 40 - version, rows: 1, changes: [] });
  throws(() => materials.takeDelta(from(1), 40), { outcome: "no_baseline" });
  deepStrictEqual(materials.takeDelta(from(2), 40), true);
  deepStrictEqual(quantities(materials), [2]);
});
