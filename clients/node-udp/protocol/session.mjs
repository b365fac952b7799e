import { Materials } from "./materials.mjs";
import { Shown } from "./progress.mjs";
import { Reason } from "./reason.mjs";

/** Whether who holds that table is where the feed is with this version: bits 11 to 21 are the low ones of its table's. */
export function isThere(version, materialsVersion) {
  return ((materialsVersion - Math.floor(version / 2048)) & 2047) < 1024;
}

/** What a client holds of one session. */
export class Session {
  #progressFrom = 0; // the sequence of the datagram that told the progress held
  #reason = new Reason();
  #whole = null; // the newest reason that is whole: { version, text }
  #news = new Map(); // by the name of the event
  #told = null; // the newest position told
  #toldFrom = 0; // the sequence of its datagram
  #at = null; // the newest that is known to be ours

  constructor(index) {
    this.index = index;
    this.version = null; // of the progress
    this.progress = null;
    this.shown = new Shown();
    this.materials = new Materials();
    this.over = null; // the reason of record 8, when it has come
  }

  /** Take a record that came with (or counts as of) this sequence. Throws Refused (no_baseline). */
  take(record, sequence) {
    if (this.over !== null) return;
    switch (record.record) {
      case "ProgressState":
        return this.#takeProgress(record, sequence);
      case "ReasonPart":
        this.#whole = this.#reason.take(record, sequence) ?? this.#whole;
        return this.#explain();
      case "MaterialsPart":
      case "ProblemsPart":
        return this.#tookMaterials(this.materials.takePart(record, sequence), "parts");
      case "MaterialsDelta":
        return this.#tookMaterials(this.materials.takeDifference(record, sequence), "differences");
      case "Position":
        return this.#takePosition(record, sequence);
      case "SessionOver":
        this.over = record.reason;
        this.#news.set("session_over", { reason: record.reason });
    }
  }

  /** The events since the last time: what a whole STATE has changed, each once. */
  news() {
    this.#locate();
    const events = [...this.#news].map(([event, more]) => ({ event, index: this.index, ...more }));
    this.#news.clear();
    return events;
  }

  #takePosition({ epoch, version }, sequence) {
    if (sequence <= this.#toldFrom) return;
    this.#toldFrom = sequence;
    this.#told = { epoch, version };
  }

  /** A position is ours once the table of materials of then is here. */
  #locate() {
    if (!this.#told || this.#told === this.#at) return;
    if (!isThere(this.#told.version, this.materials.version)) return;
    this.#at = this.#told;
    this.#news.set("position", this.#at);
  }

  #takeProgress({ version, progress }, sequence) {
    if (sequence <= this.#progressFrom) return;
    this.#progressFrom = sequence;
    if (version === this.version && same(progress, this.progress)) return;
    this.version = version;
    this.progress = progress;
    this.#news.set("progress", { version, progress });
    this.#explain();
  }

  /** Gives the progress its reason when both are there. */
  #explain() {
    if (!this.progress || this.#whole?.version !== this.version || this.progress.failure_reason !== null) return;
    this.progress = { ...this.progress, failure_reason: this.#whole.text };
    this.#news.set("progress", { version: this.version, progress: this.progress });
  }

  #tookMaterials(isNew, by) {
    if (isNew) this.#news.set("materials", { version: this.materials.version, by, materials: this.materials.table });
  }
}

/** Whether one progress says what another says, whose reason may have come. */
function same(told, held) {
  return Object.keys(told).every((field) => field === "failure_reason" || told[field] === held[field]);
}
