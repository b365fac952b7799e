import { demand } from "./refused.mjs";

/** Puts the reason of a failure together from its parts. */
export class Reason {
  #newest = 0; // the sequence of the newest part taken
  #version = null;
  #octets = null;
  #there = new Set();

  /**
   * Take a ReasonPart; returns { version, text } when with it the text is whole, else null.
   * Throws Refused (contradictory): it and another part cannot both be right; then none of them is held any more.
   */
  take({ version, total, offset, octets }, sequence) {
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

  #begin(version, total) {
    this.#version = version;
    this.#octets = Buffer.alloc(total);
    this.#there = new Set();
  }

  #add(total, offset, octets) {
    demand(total === this.#octets.length, "contradictory");
    for (const [k, octet] of octets.entries()) {
      const at = offset + k;
      demand(!this.#there.has(at) || this.#octets[at] === octet, "contradictory");
      this.#octets[at] = octet;
      this.#there.add(at);
    }
  }
}
