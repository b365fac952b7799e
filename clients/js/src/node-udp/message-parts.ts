import { GarbledError, unpackBlock } from "../lz4.js";
import { Refused, refuseUnless } from "../wire.js";
import type { MessagePart } from "./bodies.js";

/** The content of a message, and the sequence that it counts as. */
export interface WholeMessage {
  readonly sequence: number;
  readonly content: Uint8Array;
}

const total = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0);

function unpack(parts: readonly Uint8Array[], size: number): Uint8Array {
  refuseUnless(total(parts) < size, "out_of_range");
  try {
    return unpackBlock(Buffer.concat(parts), size);
  } catch (error) {
    if (error instanceof GarbledError) throw new Refused("garbled");
    throw error;
  }
}

/** Puts messages together, one of several parts at a time. */
export class MessageParts {
  #first = 0; // the sequence of the newest message's first part
  #last = 0;
  #size = 0;
  #parts: Uint8Array[] | null = null; // of that message; null when it is done with

  /** `limit`: the negotiated_packet_size. */
  constructor(readonly limit: number) {}

  /**
   * Takes a part that came with this sequence; returns the message that it completes, else null.
   * Throws Refused: overlong, stale, contradictory, out_of_range, garbled.
   */
  take(sequence: number, { part, last, size, octets }: MessagePart): WholeMessage | null {
    refuseUnless(size <= this.limit, "overlong");
    if (last === 0) return { sequence, content: unpack([octets], size) };
    const first = sequence - part;
    refuseUnless(first > 0 && first >= this.#first && !(first === this.#first && this.#parts === null), "stale");
    if (first > this.#first) [this.#first, this.#last, this.#size, this.#parts] = [first, last, size, []];
    refuseUnless(last === this.#last && size === this.#size, "contradictory");
    const parts = this.#parts!;
    parts[part] = octets;
    const complete = Object.keys(parts).length > last;
    if (complete || total(parts) >= size) this.#parts = null;
    refuseUnless(total(parts) < size, "out_of_range");
    return complete ? { sequence: first, content: unpack(parts, size) } : null;
  }
}
