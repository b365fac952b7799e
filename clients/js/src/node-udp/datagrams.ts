/** Kinds of datagrams, and those of the handshake: PROTOCOL.md, "Datagrams". */

import { timingSafeEqual } from "node:crypto";

import { CHALLENGE_SIZE, decodeChallenge, encodeHello, encodeResponse, refuseUnless, type Challenge } from "../wire.js";
import { mac } from "./keys.js";

export const Kind = {
  HELLO: 1,
  CHALLENGE: 2,
  RESPONSE: 3,
  STATE: 4,
  ACK: 5,
  HEARTBEAT: 6,
  RESYNC: 7,
  CLOSE: 8,
  PATH_CHALLENGE: 9,
  PATH_RESPONSE: 10,
  LEAVE: 11,
  MESSAGE: 12,
} as const;

const VERSION = 1;
const [SHORTEST, MAC] = [31, 16]; // octets: a sealed datagram without a body; a MAC

/** What a server may send sealed. */
const SEALED: ReadonlySet<number> = new Set([
  Kind.STATE,
  Kind.HEARTBEAT,
  Kind.CLOSE,
  Kind.PATH_CHALLENGE,
  Kind.MESSAGE,
]);

/** What the first octet says. Throws Refused (reserved) for another version. */
export function parseFirst(octet: number): { readonly phase: number; readonly kind: number } {
  refuseUnless(octet >> 6 === VERSION, "reserved");
  return { phase: (octet >> 5) & 1, kind: octet & 31 };
}

/** The kind of a datagram that came from a server, by its first octet. Throws Refused. */
export function kindFromServer(datagram: Uint8Array): number {
  refuseUnless(datagram.length >= SHORTEST, "truncated");
  const { phase, kind } = parseFirst(datagram[0]!);
  refuseUnless(SEALED.has(kind) || (kind === Kind.CHALLENGE && phase === 0), "type");
  return kind;
}

const authenticated = (key: Uint8Array, octets: Uint8Array): Buffer => Buffer.concat([octets, mac(key, octets)]);

/** A HELLO, 512 octets. */
export const hello = (key: Uint8Array, connectionId: number, clientNonce: Uint8Array): Buffer =>
  authenticated(key, encodeHello({ connectionId, clientNonce }));

/** A RESPONSE, 512 octets, with what the CHALLENGE said. */
export const response = (key: Uint8Array, challenge: Challenge): Buffer =>
  authenticated(key, encodeResponse(challenge));

/** What a CHALLENGE says. Throws Refused. */
export function parseChallenge(key: Uint8Array, connectionId: number, datagram: Uint8Array): Challenge {
  refuseUnless(datagram.length >= CHALLENGE_SIZE + MAC, "truncated");
  refuseUnless(datagram.length === CHALLENGE_SIZE + MAC, "trailing");
  const covered = datagram.subarray(0, CHALLENGE_SIZE);
  const challenge = decodeChallenge(covered);
  refuseUnless(challenge.connectionId === connectionId, "unknown_connection");
  refuseUnless(timingSafeEqual(datagram.subarray(CHALLENGE_SIZE), mac(key, covered)), "forged");
  return challenge;
}
