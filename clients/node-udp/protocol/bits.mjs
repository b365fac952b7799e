import { demand } from "./refused.mjs";

/** Reads a Buffer bit after bit, the highest first. Throws Refused (truncated) at its end. */
export class Bits {
  constructor(octets) {
    this.octets = octets;
    this.at = 0;
  }

  take(count) {
    demand(this.at + count <= this.octets.length * 8, "truncated");
    let value = 0;
    for (const end = this.at + count; this.at < end; this.at += 1) {
      value = value * 2 + ((this.octets[this.at >> 3] >> (7 - (this.at & 7))) & 1);
    }
    return value;
  }

  flag() {
    return this.take(1) === 1;
  }

  /** Up to the end of the octet: how many octets were begun. Throws Refused (reserved) for a bit that is set. */
  fill() {
    demand(this.take(-this.at & 7) === 0, "reserved");
    return this.at >> 3;
  }
}
