/** Packet protection: each direction seals with keys that are updated, and opens each datagram once. */

import { createCipheriv, createDecipheriv } from "node:crypto";

import {
  decodeSealedHeader,
  encodeAcknowledgement,
  encodeSealedHeader,
  Refused,
  refuseUnless,
  SEALED_HEADER_SIZE as HEADER,
} from "../wire.js";
import { parseFirst } from "./datagrams.js";
import type { Generation } from "./keys.js";

const TAG = 16;
const SHORTEST = HEADER + 8 + TAG;
const CIPHER = "aes-128-gcm";

function nonce(iv: Buffer, sequence: number): Buffer {
  const octets = Buffer.from(iv);
  octets.writeBigUInt64BE(octets.readBigUInt64BE(4) ^ BigInt(sequence), 4);
  return octets;
}

/** One sealed datagram. */
export function seal(
  generation: Generation,
  connectionId: number,
  sequence: number,
  kind: number,
  content: Uint8Array,
): Buffer {
  const header = encodeSealedHeader({ keyPhase: generation.phase, kind, connectionId, sequence: sequence % 65536 });
  const cipher = createCipheriv(CIPHER, generation.key, nonce(generation.iv, sequence)).setAAD(header);
  return Buffer.concat([header, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

/** The content of a sealed datagram. Throws Refused (forged). */
export function unseal(generation: Generation, sequence: number, datagram: Uint8Array): Buffer {
  const decipher = createDecipheriv(CIPHER, generation.key, nonce(generation.iv, sequence), { authTagLength: TAG });
  decipher.setAAD(datagram.subarray(0, HEADER)).setAuthTag(datagram.subarray(-TAG));
  try {
    return Buffer.concat([decipher.update(datagram.subarray(HEADER, -TAG)), decipher.final()]);
  } catch {
    throw new Refused("forged");
  }
}

/** Our direction: counts what it seals, and goes on to the next generation of keys on request. */
export class Sealer {
  #rotatedAt: number;

  constructor(
    readonly connectionId: number,
    public generation: Generation,
    public sequence = 0,
  ) {
    this.#rotatedAt = sequence;
  }

  seal(kind: number, content: Uint8Array): Buffer {
    this.sequence += 1;
    return seal(this.generation, this.connectionId, this.sequence, kind, content);
  }

  /** The last sequence that was sealed with the keys before. */
  get rotatedAt(): number {
    return this.#rotatedAt;
  }

  rotate(): void {
    this.generation = this.generation.following();
    this.#rotatedAt = this.sequence;
  }
}

const [LIFE, DATAGRAMS] = [600, 2 ** 20]; // seconds and datagrams of a generation

/** When our direction goes on to its next keys. */
export class Rotation {
  #since: number | null = null;

  constructor(readonly sealer: Sealer) {}

  /** Before a HEARTBEAT is sealed at `now`; `acknowledged` is the newest sequence of ours that arrived. */
  beforeHeartbeat(now: number, acknowledged: number): void {
    this.#since ??= now;
    const { sealer } = this;
    const due = now - this.#since >= LIFE || sealer.sequence - sealer.rotatedAt >= DATAGRAMS;
    if (!due || acknowledged <= sealer.rotatedAt) return;
    sealer.rotate();
    this.#since = now;
  }
}

const WINDOW = 256;
const MASK = (1n << BigInt(WINDOW)) - 1n;

/** Which sequences were received: none twice, none 256 or more behind the newest. */
export class ReplayWindow {
  newest = 0;
  #received = 0n; // bit i: newest - i

  /** The sequence that these low 16 bits are of: the closest to newest + 1 (RFC 9000, appendix A.3). */
  complete(low: number): number {
    const expected = this.newest + 1;
    const candidate = expected - (expected % 65536) + low;
    if (candidate <= expected - 32768) return candidate + 65536;
    if (candidate > expected + 32768 && candidate >= 65536) return candidate - 65536;
    return candidate;
  }

  /** Throws Refused (stale, replayed) for what is not to be opened. */
  check(sequence: number): void {
    const behind = this.newest - sequence;
    refuseUnless(sequence > 0 && behind < WINDOW, "stale");
    refuseUnless(behind < 0 || !((this.#received >> BigInt(behind)) & 1n), "replayed");
  }

  /** What was authentic counts as received. */
  remember(sequence: number): void {
    if (sequence > this.newest) {
      this.#received = ((this.#received << BigInt(Math.min(sequence - this.newest, WINDOW))) | 1n) & MASK;
      this.newest = sequence;
    } else {
      this.#received |= 1n << BigInt(this.newest - sequence);
    }
  }

  /** The 8 octets that open the content of every sealed datagram. */
  acknowledgement(): Uint8Array {
    return encodeAcknowledgement({
      newest: this.newest % 2 ** 32,
      earlier: Number((this.#received >> 1n) & 0xffffffffn),
    });
  }
}

export interface Opened {
  readonly kind: number;
  readonly sequence: number;
  readonly content: Buffer;
}

/** The other direction: opens each datagram once, and follows the sender's key updates. */
export class Opener {
  readonly window: ReplayWindow = new ReplayWindow();
  #before: Generation | null = null;
  #lowest = Infinity; // the lowest sequence that was opened with the current keys

  constructor(
    readonly connectionId: number,
    private current: Generation,
  ) {}

  /** Throws Refused; then nothing has changed. */
  open(datagram: Uint8Array): Opened {
    refuseUnless(datagram.length >= SHORTEST, "truncated");
    parseFirst(datagram[0]!);
    const { keyPhase, kind, connectionId, sequence: low } = decodeSealedHeader(datagram);
    refuseUnless(connectionId === this.connectionId, "unknown_connection");
    const sequence = this.window.complete(low);
    this.window.check(sequence);
    const generation = this.#generationFor(keyPhase, sequence);
    const content = unseal(generation, sequence, datagram);
    this.window.remember(sequence);
    this.#opened(generation, sequence);
    return { kind, sequence, content };
  }

  #generationFor(phase: number, sequence: number): Generation {
    if (phase === this.current.phase) return this.current;
    if (this.#before && sequence < this.#lowest) return this.#before;
    return this.current.following();
  }

  #opened(generation: Generation, sequence: number): void {
    if (generation.number < this.current.number) return;
    if (generation.number > this.current.number) {
      this.#before = this.current;
      this.current = generation;
      this.#lowest = Infinity;
    }
    this.#lowest = Math.min(this.#lowest, sequence);
  }
}
