/** The session_token and the keys that are made of its secret: PROTOCOL.md, "Keys". */

import { createHmac, hkdfSync } from "node:crypto";

const LABEL = "craftnet udp 1 ";
const [TOKEN, ID] = [36, 4]; // octets

export interface Token {
  readonly connectionId: number;
  /** 32 octets. */
  readonly secret: Uint8Array;
}

/** Throws Error for a text that is no session_token. */
export function parseToken(text: string): Token {
  const octets = Buffer.from(text, "base64url");
  if (octets.length !== TOKEN) throw new Error(`a session_token has ${TOKEN} octets, not ${octets.length}`);
  return { connectionId: octets.readUInt32BE(), secret: octets.subarray(ID) };
}

export function formatToken({ connectionId, secret }: Token): string {
  const id = Buffer.alloc(ID);
  id.writeUInt32BE(connectionId);
  return Buffer.concat([id, secret]).toString("base64url");
}

function derive(material: Uint8Array, salt: Uint8Array, purpose: string, length: number): Buffer {
  return Buffer.from(hkdfSync("sha256", material, salt, LABEL + purpose, length));
}

const NO_SALT = Buffer.alloc(0);

/** The key of the handshake's MACs. */
export const handshakeKey = (secret: Uint8Array): Buffer => derive(secret, NO_SALT, "handshake", 32);

/** The first 16 octets of HMAC-SHA256. */
export const mac = (key: Uint8Array, octets: Uint8Array): Buffer =>
  createHmac("sha256", key).update(octets).digest().subarray(0, 16);

export type Sender = "client" | "server";

/** The keys of one direction in one generation; `following()` are those of the next. */
export class Generation {
  readonly key: Buffer;
  readonly iv: Buffer;
  readonly #next: Buffer;

  static first(secret: Uint8Array, clientNonce: Uint8Array, serverNonce: Uint8Array, sender: Sender): Generation {
    return new Generation(0, sender, derive(secret, Buffer.concat([clientNonce, serverNonce]), sender, 60));
  }

  constructor(
    readonly number: number,
    readonly sender: Sender,
    octets: Buffer,
  ) {
    this.key = octets.subarray(0, 16);
    this.iv = octets.subarray(16, 28);
    this.#next = octets.subarray(28, 60);
  }

  get phase(): number {
    return this.number & 1;
  }

  following(): Generation {
    return new Generation(this.number + 1, this.sender, derive(this.#next, NO_SALT, this.sender, 60));
  }
}
