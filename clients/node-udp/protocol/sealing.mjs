import { createCipheriv, createDecipheriv } from "node:crypto";

import { firstOctet, parseFirstOctet } from "./kinds.mjs";
import { demand, Refused } from "./refused.mjs";
import { ReplayWindow } from "./replay-window.mjs";

const HEADER = 7;
const TAG = 16;
const SHORTEST = HEADER + 8 + TAG;
const CIPHER = "aes-128-gcm";

function nonce(iv, sequence) {
  const octets = Buffer.from(iv);
  octets.writeBigUInt64BE(octets.readBigUInt64BE(4) ^ BigInt(sequence), 4);
  return octets;
}

/** One sealed datagram. */
export function seal(generation, connectionId, sequence, kind, content) {
  const header = Buffer.alloc(HEADER);
  header[0] = firstOctet(kind, generation.phase);
  header.writeUInt32BE(connectionId, 1);
  header.writeUInt16BE(sequence % 65536, 5);
  const cipher = createCipheriv(CIPHER, generation.key, nonce(generation.iv, sequence)).setAAD(header);
  return Buffer.concat([header, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

/** The content of a sealed datagram. Throws Refused (forged). */
export function unseal(generation, sequence, datagram) {
  const decipher = createDecipheriv(CIPHER, generation.key, nonce(generation.iv, sequence), { authTagLength: TAG });
  decipher.setAAD(datagram.subarray(0, HEADER)).setAuthTag(datagram.subarray(-TAG));
  try {
    return Buffer.concat([decipher.update(datagram.subarray(HEADER, -TAG)), decipher.final()]);
  } catch {
    throw new Refused("forged");
  }
}

/** Our direction: counts what it seals and, when told to, goes on to the next generation of keys. */
export class Sealer {
  constructor(connectionId, generation, sequence = 0) {
    this.connectionId = connectionId;
    this.generation = generation;
    this.sequence = sequence;
    this.rotatedAt = sequence;
  }

  seal(kind, content) {
    this.sequence += 1;
    return seal(this.generation, this.connectionId, this.sequence, kind, content);
  }

  /** How many datagrams were sealed in this generation. */
  get sealed() {
    return this.sequence - this.rotatedAt;
  }

  rotate() {
    this.generation = this.generation.following();
    this.rotatedAt = this.sequence;
  }
}

/** The other direction: opens each datagram once, and follows the sender's rotations. */
export class Opener {
  constructor(connectionId, generation) {
    this.connectionId = connectionId;
    this.current = generation;
    this.before = null;
    this.lowest = Infinity; // the lowest sequence opened with the current keys
    this.window = new ReplayWindow();
  }

  /** { kind, sequence, content } of a datagram. Throws Refused; then nothing has changed. */
  open(datagram) {
    demand(datagram.length >= SHORTEST, "truncated");
    const { phase, kind } = parseFirstOctet(datagram[0]);
    demand(datagram.readUInt32BE(1) === this.connectionId, "unknown_connection");
    const sequence = this.window.complete(datagram.readUInt16BE(5));
    this.window.check(sequence);
    const generation = this.#generationFor(phase, sequence);
    const content = unseal(generation, sequence, datagram);
    this.window.remember(sequence);
    this.#opened(generation, sequence);
    return { kind, sequence, content };
  }

  #generationFor(phase, sequence) {
    if (phase === this.current.phase) return this.current;
    if (this.before && sequence < this.lowest) return this.before;
    return this.current.following();
  }

  #opened(generation, sequence) {
    if (generation.number < this.current.number) return;
    if (generation.number > this.current.number) {
      this.before = this.current;
      this.current = generation;
      this.lowest = Infinity;
    }
    this.lowest = Math.min(this.lowest, sequence);
  }
}
