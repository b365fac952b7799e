import { isDeepStrictEqual } from "node:util";

import { demand } from "./refused.mjs";

const KEPT = 32;

/** A table as far as its parts have come. */
class Parts {
  #rows = new Map();
  #problems = new Map(); // by their number in the list of problems
  #totals = null; // [rows, problems]; a list of problems alone does not say

  constructor(version) {
    this.version = version;
  }

  /** A table that is there, as parts would have told it. */
  static of(version, table) {
    const parts = new Parts(version);
    const problems = table.flatMap(({ problem }, row) => (problem ? [{ row, ...problem }] : []));
    const materials = table.map((material) => ({ ...material, problem: null }));
    parts.add({ rows: table.length, problems: problems.length, first: 0, materials });
    if (problems.length > 0) parts.add({ first: 0, problems });
    return parts;
  }

  /** Take a MaterialsPart or ProblemsPart. Throws Refused (contradictory): it and another cannot both be right. */
  add(part) {
    const totals = part.materials ? [part.rows, part.problems] : this.#totals;
    demand(!part.materials || !this.#totals || same(totals, this.#totals), "contradictory");
    const [entries, into] = part.materials ? [part.materials, this.#rows] : [part.problems, this.#problems];
    for (const [k, entry] of entries.entries()) {
      const held = into.get(part.first + k);
      demand(!held || same(entry, held), "contradictory");
      into.set(part.first + k, entry);
    }
    this.#totals = totals;
    const rows = [...this.#problems.values()].map(({ row }) => row);
    demand(new Set(rows).size === rows.length, "contradictory");
    if (!totals) return;
    demand([...this.#problems.keys()].every((number) => number < totals[1]), "contradictory");
    demand(rows.every((row) => row < totals[0]), "contradictory");
  }

  /** All of it; null while a part is missing. */
  get table() {
    if (!this.#totals || !same(this.#totals, [this.#rows.size, this.#problems.size])) return null;
    const table = Array.from({ length: this.#rows.size }, (_, row) => ({ ...this.#rows.get(row) }));
    for (const { row, ...problem } of this.#problems.values()) table[row].problem = problem;
    return table;
  }
}

const same = isDeepStrictEqual;

/** The table of materials of one session: put together from parts, or from a table held and its differences. */
export class Materials {
  #parts = null; // of the table that parts are told of
  #newest = 0; // the sequence of the newest datagram of which a part, or a difference, was taken
  #held = new Map(); // by version, the newest last
  #complete = null; // the version of the newest complete table
  #doubted = false; // whether parts contradicted it

  /** The newest complete table; null before there is one. */
  table = null;

  /** The version of the newest complete table; 0 when there is none, and while it is doubted. */
  get version() {
    return this.#doubted ? 0 : (this.#complete ?? 0);
  }

  /**
   * Take a MaterialsPart or ProblemsPart; says whether with it there is a new table.
   * Throws Refused (contradictory): parts of one table do not agree; then none of them is held any more.
   */
  takePart(part, sequence) {
    if (sequence < this.#newest && this.#parts?.version !== part.version) return false;
    const known = part.version === this.#complete && !this.#doubted;
    if (this.#parts?.version !== part.version) {
      this.#parts = known ? Parts.of(part.version, this.table) : new Parts(part.version);
    }
    try {
      this.#parts.add(part);
    } catch (error) {
      this.#parts = null;
      this.#doubted ||= known;
      if (known) this.#held.delete(part.version);
      throw error;
    }
    this.#newest = Math.max(this.#newest, sequence);
    const { table } = this.#parts;
    if (!table || known) return false;
    this.#hold(part.version, table);
    return true;
  }

  /** Take a MaterialsDelta; says whether with it there is a new table. Throws Refused (no_baseline). */
  takeDifference({ version, back, rows, changes }, sequence) {
    if (sequence < this.#newest) return false;
    if (version !== this.#complete || this.#doubted) {
      const baseline = this.#held.get((version - back) >>> 0);
      demand(baseline?.length === rows, "no_baseline");
      const table = baseline.map((row) => ({ ...row }));
      for (const { row, ...changed } of changes) apply(table[row], changed);
      this.#parts = null;
      this.#hold(version, table);
      this.#newest = sequence;
      return true;
    }
    this.#newest = sequence;
    return false;
  }

  #hold(version, table) {
    this.#held.delete(version);
    this.#held.set(version, table);
    if (this.#held.size > KEPT) this.#held.delete(this.#held.keys().next().value);
    this.table = table;
    this.#complete = version;
    this.#doubted = false;
  }
}

function apply(material, { quantity, quality, problem }) {
  if (quantity !== null) material.quantity = quantity;
  if (quality !== null) material.quality = quality || null;
  if (problem === undefined) return;
  const { row, ...rest } = problem ?? {};
  material.problem = problem && rest;
}
