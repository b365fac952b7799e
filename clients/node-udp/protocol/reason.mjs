/** Puts the reason of a failure together from its parts. */
export class Reason {
  #newest = 0; // the sequence of the newest part taken
  #version = null;
  #octets = null;
  #there = new Set();

  /** Take a ReasonPart; returns { version, text } when with it the text is whole, else null. */
  take({ version, total, offset, octets }, sequence) {
    if (sequence < this.#newest && version !== this.#version) return null;
    this.#newest = Math.max(this.#newest, sequence);
    if (version !== this.#version || total !== this.#octets.length) {
      this.#version = version;
      this.#octets = Buffer.alloc(total);
      this.#there = new Set();
    }
    octets.copy(this.#octets, offset);
    for (let at = offset; at < offset + octets.length; at += 1) this.#there.add(at);
    return this.#there.size === total ? { version, text: this.#octets.toString("utf8") } : null;
  }
}
