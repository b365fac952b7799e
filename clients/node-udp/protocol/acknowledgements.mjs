import { demand } from "./refused.mjs";

/** What of ours the other side has received, by the first 8 octets of its datagrams. */
export class Acknowledgements {
  constructor() {
    this.newest = 0;
  }

  /** Take one. `sent` is the newest sequence we sealed. Throws Refused (out_of_range) for one of what was never sent. */
  take(octets, sent) {
    const low = octets.readUInt32BE(0);
    const bits = octets.readUInt32BE(4);
    if (low === 0 && bits === 0 && sent < 2 ** 32) return;
    // Nothing we sent is 2³² behind what we sent last.
    const newest = sent - ((((sent - low) % 2 ** 32) + 2 ** 32) % 2 ** 32);
    demand(newest > 0, "out_of_range");
    const oldest = bits === 0 ? newest : newest - (32 - Math.clz32(bits));
    demand(oldest > 0, "out_of_range");
    this.newest = Math.max(this.newest, newest);
  }
}
