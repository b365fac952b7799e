/** What a client holds of the sessions of a connection. */

import { refuseUnless, type ProgressState } from "../wire.js";
import { Materials, type Table } from "./materials.js";
import type { ReasonPart, SessionRecord, ProgressRecord } from "./states.js";

/** Whether who holds that table is where the feed is with this version: bits 11 to 21 are the low ones of its table's. */
export const isThere = (version: number, materialsVersion: number): boolean =>
  ((materialsVersion - Math.floor(version / 2048)) & 2047) < 1024;

/** A progress, with the reason of a failure once it is whole. `anchor` is Unix seconds on the server's clock. */
export interface HeldProgress extends Omit<ProgressState, "version"> {
  readonly failureReason: string | null;
}

/** What became new in a session. */
export type SessionNews =
  | { readonly event: "progress"; readonly version: number; readonly progress: HeldProgress }
  | {
      readonly event: "materials";
      readonly version: number;
      readonly by: "parts" | "differences";
      readonly materials: Table;
    }
  | { readonly event: "position"; readonly epoch: string; readonly version: number }
  | { readonly event: "session_over"; readonly reason: number };

/** Puts the reason of a failure together from its parts. */
export class Reason {
  #newest = 0; // the sequence of the newest part taken
  #version: number | null = null;
  #octets = Buffer.alloc(0);
  #there = new Set<number>();

  /**
   * Takes a part; returns the text when with it that is whole, else null.
   * Throws Refused (contradictory): it and another part cannot both be right; then none of them is held any more.
   */
  take({ version, total, offset, octets }: ReasonPart, sequence: number): { version: number; text: string } | null {
    if (sequence < this.#newest && version !== this.#version) return null;
    if (version !== this.#version) this.#begin(version, total);
    try {
      this.#add(total, offset, octets);
    } catch (error) {
      this.#begin(null, 0);
      throw error;
    }
    this.#newest = Math.max(this.#newest, sequence);
    return this.#there.size === total ? { version, text: this.#octets.toString("utf8") } : null;
  }

  #begin(version: number | null, total: number): void {
    this.#version = version;
    this.#octets = Buffer.alloc(total);
    this.#there = new Set();
  }

  #add(total: number, offset: number, octets: Uint8Array): void {
    refuseUnless(total === this.#octets.length, "contradictory");
    for (const [k, octet] of octets.entries()) {
      const at = offset + k;
      refuseUnless(!this.#there.has(at) || this.#octets[at] === octet, "contradictory");
      this.#octets[at] = octet;
      this.#there.add(at);
    }
  }
}

/** What a client holds of one session. */
export class Session {
  #progressFrom = 0; // the sequence of the datagram with the progress held
  #reason = new Reason();
  #whole: { version: number; text: string } | null = null; // the newest reason that is whole
  #news = new Map<string, SessionNews>();
  #position: { epoch: string; version: number } | null = null; // the newest position received
  #positionFrom = 0; // the sequence of its datagram
  #at: object | null = null; // the newest that is known to be ours

  /** Of the progress. */
  version: number | null = null;
  progress: HeldProgress | null = null;
  readonly materials: Materials = new Materials();
  /** The reason of record 8, when it has come. */
  over: number | null = null;

  constructor(readonly index: number) {}

  /** Takes a record that came with (or counts as of) this sequence. Throws Refused (no_baseline, contradictory). */
  take(record: SessionRecord, sequence: number): void {
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
        return this.#tookMaterials(this.materials.takeDelta(record, sequence), "differences");
      case "Position":
        if (sequence <= this.#positionFrom) return;
        this.#positionFrom = sequence;
        this.#position = { epoch: record.epoch, version: record.version };
        return;
      case "SessionOver":
        this.over = record.reason;
        this.#news.set("session_over", { event: "session_over", reason: record.reason });
    }
  }

  /** What a whole STATE has changed, each once. */
  news(): SessionNews[] {
    this.#locate();
    const news = [...this.#news.values()];
    this.#news.clear();
    return news;
  }

  /** A position is ours once the table of materials of then is here. */
  #locate(): void {
    if (!this.#position || this.#position === this.#at || !isThere(this.#position.version, this.materials.version))
      return;
    this.#at = this.#position;
    this.#news.set("position", { event: "position", ...this.#position });
  }

  #takeProgress({ record: _, version, ...progress }: ProgressRecord, sequence: number): void {
    if (sequence <= this.#progressFrom) return;
    this.#progressFrom = sequence;
    if (version === this.version && isSame(progress, this.progress!)) return;
    this.version = version;
    this.#hold({ ...progress, failureReason: null });
    this.#explain();
  }

  #hold(progress: HeldProgress): void {
    this.progress = progress;
    this.#news.set("progress", { event: "progress", version: this.version!, progress });
  }

  /** Gives the progress its reason when both are there. */
  #explain(): void {
    const { progress } = this;
    if (!progress || this.#whole?.version !== this.version || progress.failureReason !== null) return;
    this.#hold({ ...progress, failureReason: this.#whole.text });
  }

  #tookMaterials(isNew: boolean, by: "parts" | "differences"): void {
    const { version, table } = this.materials;
    if (isNew) this.#news.set("materials", { event: "materials", version, by, materials: table! });
  }
}

/** Whether a received progress equals the one held, but for its reason. */
function isSame(received: Omit<ProgressState, "version">, held: HeldProgress): boolean {
  return (Object.keys(received) as (keyof typeof received)[]).every((field) => received[field] === held[field]);
}

const CLAIM = 20; // seconds until …/connect's answer must name a session that has sent state

/** The sessions of a connection by their index; session 0 is there from the beginning. */
export class Sessions {
  #byIndex = new Map([[0, new Session(0)]]);
  #unclaimed = new Map<number, number>(); // index → when it was first received

  /** The session with this index. */
  at(index: number): Session {
    const held = this.#byIndex.get(index) ?? new Session(index);
    this.#byIndex.set(index, held);
    return held;
  }

  /** State of this session has arrived, perhaps before the answer of …/connect names it. */
  received(index: number, now: number): Session {
    if (!this.#byIndex.has(index)) this.#unclaimed.set(index, now);
    return this.at(index);
  }

  /** The answer of …/connect has named it. */
  claim(index: number): Session {
    this.#unclaimed.delete(index);
    return this.at(index);
  }

  /** When the oldest unclaimed session times out. */
  get due(): number {
    return Math.min(...this.#unclaimed.values()) + CLAIM;
  }

  /** Those that were not claimed in time, each once. */
  unclaimed(now: number): number[] {
    const late = [...this.#unclaimed].filter(([, since]) => now >= since + CLAIM).map(([index]) => index);
    for (const index of late) this.#unclaimed.delete(index);
    return late;
  }

  /** Indexes of the sessions that are not over. */
  open(): number[] {
    return [...this.#byIndex.values()].filter((session) => session.over === null).map((session) => session.index);
  }
}
