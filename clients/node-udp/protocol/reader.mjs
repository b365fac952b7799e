import { demand } from "./refused.mjs";

/** Reads a Buffer from its front: big-endian numbers and octets. Throws Refused (truncated) at its end. */
export class Reader {
  constructor(octets) {
    this.octets = octets;
    this.at = 0;
  }

  get left() {
    return this.octets.length - this.at;
  }

  take(length) {
    demand(length <= this.left, "truncated");
    this.at += length;
    return this.octets.subarray(this.at - length, this.at);
  }

  u8() {
    return this.take(1)[0];
  }

  u16() {
    return this.take(2).readUInt16BE();
  }

  u32() {
    return this.take(4).readUInt32BE();
  }

  /** A BigInt. */
  u64() {
    return this.take(8).readBigUInt64BE();
  }

  uuid() {
    return this.take(16).toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  /** Throws Refused (trailing) when something is left. */
  end() {
    demand(this.left === 0, "trailing");
  }
}
