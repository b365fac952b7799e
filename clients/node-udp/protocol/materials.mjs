import { demand } from "./refused.mjs";

const KEPT = 32;

/** The table of materials of one session: put together from parts, or from a table held and its differences. */
export class Materials {
  #parts = null; // of the newest version told by parts: { version, shape, rows, problems }
  #newest = 0; // the sequence of the newest part or difference taken
  #held = new Map(); // by version, the newest last

  /** The version of the newest complete table; 0 when there is none. */
  version = 0;

  get table() {
    return this.#held.get(this.version) ?? null;
  }

  /** Take a MaterialsPart or ProblemsPart; says whether with it there is a new table. */
  takePart(part, sequence) {
    const begun = this.#parts?.version === part.version;
    if (sequence < this.#newest && !begun) return false;
    this.#newest = Math.max(this.#newest, sequence);
    if (part.version === this.version && this.table) return false;
    const shape = part.record === "MaterialsPart" ? [part.rows, part.problems] : null;
    const other = shape && this.#parts?.shape && String(shape) !== String(this.#parts.shape);
    if (!begun || other) {
      this.#parts = { version: part.version, shape: null, rows: new Map(), problems: new Map() };
    }
    this.#parts.shape ??= shape;
    const entries = part.materials ?? part.problems;
    const into = part.materials ? this.#parts.rows : this.#parts.problems;
    entries.forEach((entry, k) => into.set(part.first + k, entry));
    return this.#complete();
  }

  #complete() {
    const { version, shape, rows, problems } = this.#parts;
    if (!shape || rows.size !== shape[0] || problems.size !== shape[1]) return false;
    const table = Array.from({ length: rows.size }, (_, row) => ({ ...rows.get(row) }));
    for (const { row, ...problem } of problems.values()) {
      if (row >= table.length) return false;
      table[row].problem = problem;
    }
    this.#parts = null;
    this.#hold(version, table);
    return true;
  }

  /** Take a MaterialsDelta; says whether with it there is a new table. Throws Refused (no_baseline). */
  takeDifference({ version, back, rows, changes }, sequence) {
    if (sequence < this.#newest) return false;
    const baseline = this.#held.get((version - back) >>> 0);
    demand(baseline?.length === rows, "no_baseline");
    this.#newest = sequence;
    if (version === this.version) return false;
    const table = baseline.map((row) => ({ ...row }));
    for (const { row, ...changed } of changes) apply(table[row], changed);
    this.#parts = null;
    this.#hold(version, table);
    return true;
  }

  #hold(version, table) {
    this.#held.delete(version);
    this.#held.set(version, table);
    if (this.#held.size > KEPT) this.#held.delete(this.#held.keys().next().value);
    this.version = version;
  }
}

function apply(material, { quantity, quality, problem }) {
  if (quantity !== null) material.quantity = quantity;
  if (quality !== null) material.quality = quality || null;
  if (problem === undefined) return;
  const { row, ...rest } = problem ?? {};
  material.problem = problem && rest;
}
