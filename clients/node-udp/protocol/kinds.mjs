/** The first octet of a datagram: version (2 bits), key phase (1), kind (5). */

import { demand } from "./refused.mjs";

const VERSION = 1;

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
};

const SHORTEST = 31; // octets of a sealed datagram without a body

/** What a server may send sealed. */
const SEALED = new Set([Kind.STATE, Kind.HEARTBEAT, Kind.CLOSE, Kind.PATH_CHALLENGE, Kind.MESSAGE]);

export function firstOctet(kind, phase = 0) {
  return (VERSION << 6) | (phase << 5) | kind;
}

/** The kind of a datagram that came from a server, as far as its first octet tells. Throws Refused. */
export function kindFromServer(datagram) {
  demand(datagram.length >= SHORTEST, "truncated");
  const { phase, kind } = parseFirstOctet(datagram[0]);
  demand(SEALED.has(kind) || (kind === Kind.CHALLENGE && phase === 0), "type");
  return kind;
}

/** What the first octet says: { phase, kind }. Throws Refused (reserved) for another version. */
export function parseFirstOctet(octet) {
  demand(octet >> 6 === VERSION, "reserved");
  return { phase: (octet >> 5) & 1, kind: octet & 31 };
}
