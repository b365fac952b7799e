import { unpackLz4 } from "./lz4.mjs";
import { demand } from "./refused.mjs";

/** Puts messages together, one of several parts at a time. */
export class MessageParts {
  /** `limit`: the negotiated_packet_size. */
  constructor(limit) {
    this.limit = limit;
    this.first = 0; // the sequence of the newest message's first part
    this.parts = null; // of that message; null when it is done with
  }

  /**
   * Take a part that came with this sequence.
   * Returns null, or when it completes its message { sequence, content }: the sequence that the content counts as.
   * Throws Refused: overlong, stale, contradictory, out_of_range, garbled.
   */
  take(sequence, { part, last, size, octets }) {
    demand(size <= this.limit, "overlong");
    if (last === 0) return { sequence, content: unpack([octets], size) };
    const first = sequence - part;
    demand(first > 0 && first >= this.first && !(first === this.first && this.parts === null), "stale");
    if (first > this.first) this.#begin(first, last, size);
    demand(last === this.last && size === this.size, "contradictory");
    const parts = this.parts;
    parts[part] = octets;
    const complete = Object.keys(parts).length > last;
    if (complete || total(parts) >= size) this.parts = null;
    demand(total(parts) < size, "out_of_range");
    if (!complete) return null;
    return { sequence: first, content: unpack(parts, size) };
  }

  #begin(first, last, size) {
    Object.assign(this, { first, last, size, parts: [] });
  }
}

function total(parts) {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

function unpack(parts, size) {
  demand(total(parts) < size, "out_of_range");
  return unpackLz4(Buffer.concat(parts), size);
}
