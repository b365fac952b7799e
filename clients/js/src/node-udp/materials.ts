/** The table of materials of one session: put together from parts, or from a table held and its differences. */

import { isDeepStrictEqual as same } from "node:util";

import { refuseUnless, type MaterialRow, type ProblemRow, type RowChange, type RowProblem } from "../wire.js";
import type { MaterialsDelta, MaterialsPart, ProblemsPart } from "./states.js";

/** A row of a table, with its problem. */
export interface TableRow extends MaterialRow {
  problem: RowProblem | null;
}

export type Table = readonly TableRow[];

const KEPT = 32; // tables that differences may refer to

/** A table as far as its parts have come. */
class Parts {
  #rows = new Map<number, MaterialRow>();
  #problems = new Map<number, ProblemRow>(); // by their number in the list of problems
  #totals: readonly [rows: number, problems: number] | null = null; // a list of problems alone does not say

  constructor(readonly version: number) {}

  /** A table that is held, as parts would have brought it. */
  static of(version: number, table: Table): Parts {
    const parts = new Parts(version);
    const problems = table.flatMap(({ problem }, row) => (problem ? [{ row, ...problem }] : []));
    const entries = table.map(({ problem: _, ...row }) => row);
    parts.add({ record: "MaterialsPart", version, rows: table.length, problems: problems.length, first: 0, entries });
    if (problems.length > 0) parts.add({ record: "ProblemsPart", version, first: 0, entries: problems });
    return parts;
  }

  /** Throws Refused (contradictory): this part and another cannot both be right. */
  add(part: MaterialsPart | ProblemsPart): void {
    const totals = part.record === "MaterialsPart" ? ([part.rows, part.problems] as const) : this.#totals;
    refuseUnless(!this.#totals || same(totals, this.#totals), "contradictory");
    const into: Map<number, unknown> = part.record === "MaterialsPart" ? this.#rows : this.#problems;
    for (const [k, entry] of part.entries.entries()) {
      const held = into.get(part.first + k);
      refuseUnless(!held || same(entry, held), "contradictory");
      into.set(part.first + k, entry);
    }
    this.#totals = totals;
    const rows = [...this.#problems.values()].map(({ row }) => row);
    refuseUnless(new Set(rows).size === rows.length, "contradictory");
    if (!totals) return;
    refuseUnless(
      [...this.#problems.keys()].every((number) => number < totals[1]),
      "contradictory",
    );
    refuseUnless(
      rows.every((row) => row < totals[0]),
      "contradictory",
    );
  }

  /** All of it; null while a part is missing. */
  get table(): TableRow[] | null {
    if (!same(this.#totals, [this.#rows.size, this.#problems.size])) return null;
    const table = Array.from(
      { length: this.#rows.size },
      (_, row): TableRow => ({ ...this.#rows.get(row)!, problem: null }),
    );
    for (const { row, ...problem } of this.#problems.values()) table[row]!.problem = problem;
    return table;
  }
}

export class Materials {
  #parts: Parts | null = null; // of the table that parts arrive for
  #newest = 0; // the sequence of the newest datagram of which a part, or a difference, was taken
  #held = new Map<number, Table>(); // by version, the newest last
  #complete: number | null = null; // the version of the newest complete table
  #doubted = false; // whether parts contradicted it

  /** The newest complete table; null before there is one. */
  table: Table | null = null;

  /** The version of the newest complete table; 0 when there is none, and while it is doubted. */
  get version(): number {
    return this.#doubted ? 0 : (this.#complete ?? 0);
  }

  /**
   * Takes a part; says whether with it there is a new table.
   * Throws Refused (contradictory): parts of one table do not agree; then none of them is held any more.
   */
  takePart(part: MaterialsPart | ProblemsPart, sequence: number): boolean {
    const { version } = part;
    if (sequence < this.#newest && this.#parts?.version !== version) return false;
    const known = version === this.#complete && !this.#doubted;
    if (this.#parts?.version !== version) this.#parts = known ? Parts.of(version, this.table!) : new Parts(version);
    const parts = this.#parts;
    try {
      parts.add(part);
    } catch (error) {
      this.#parts = null;
      this.#doubted ||= known;
      if (known) this.#held.delete(version);
      throw error;
    }
    this.#newest = Math.max(this.#newest, sequence);
    const { table } = parts;
    if (!table || known) return false;
    this.#hold(version, table);
    return true;
  }

  /** Takes a difference; says whether with it there is a new table. Throws Refused (no_baseline). */
  takeDelta({ version, back, rows, changes }: MaterialsDelta, sequence: number): boolean {
    if (sequence < this.#newest) return false;
    const isNew = version !== this.#complete || this.#doubted;
    if (isNew) {
      const baseline = this.#held.get((version - back) >>> 0);
      refuseUnless(baseline?.length === rows, "no_baseline");
      const table = baseline!.map((row) => ({ ...row }));
      for (const change of changes) apply(table[change.row]!, change);
      this.#parts = null;
      this.#hold(version, table);
    }
    this.#newest = sequence;
    return isNew;
  }

  #hold(version: number, table: Table): void {
    this.#held.delete(version);
    this.#held.set(version, table);
    if (this.#held.size > KEPT) this.#held.delete(this.#held.keys().next().value!);
    this.table = table;
    this.#complete = version;
    this.#doubted = false;
  }
}

/** What does not follow stays as it is. */
function apply(material: TableRow, { quantity, quality, problem }: RowChange): void {
  if (quantity !== undefined) material.quantity = quantity;
  if (quality !== undefined) material.quality = quality;
  if (problem !== undefined) material.problem = problem;
}
