import { demand } from "./refused.mjs";

const BEHIND = 256;
const MASK = (1n << BigInt(BEHIND)) - 1n;

/** Which sequences were received: none twice, none 256 or more behind the newest. */
export class ReplayWindow {
  constructor() {
    this.newest = 0;
    this.received = 0n; // bit i: newest - i
  }

  /** The sequence that these low 16 bits are of: the closest to newest + 1 (RFC 9000, appendix A.3). */
  complete(low) {
    const expected = this.newest + 1;
    const candidate = expected - (expected % 65536) + low;
    if (candidate <= expected - 32768) return candidate + 65536;
    if (candidate > expected + 32768 && candidate >= 65536) return candidate - 65536;
    return candidate;
  }

  /** Throws Refused (stale, replayed) for what is not to be opened. */
  check(sequence) {
    const behind = this.newest - sequence;
    demand(sequence > 0 && behind < BEHIND, "stale");
    demand(behind < 0 || !((this.received >> BigInt(behind)) & 1n), "replayed");
  }

  /** What was authentic counts as received. */
  remember(sequence) {
    if (sequence > this.newest) {
      this.received = ((this.received << BigInt(Math.min(sequence - this.newest, BEHIND))) | 1n) & MASK;
      this.newest = sequence;
    } else {
      this.received |= 1n << BigInt(this.newest - sequence);
    }
  }

  /** The 8 octets that open the content of every sealed datagram. */
  acknowledgement() {
    const octets = Buffer.alloc(8);
    octets.writeUInt32BE(this.newest % 2 ** 32, 0);
    octets.writeUInt32BE(Number((this.received >> 1n) & 0xffffffffn), 4);
    return octets;
  }
}
