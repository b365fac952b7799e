import { timingSafeEqual } from "node:crypto";

import { mac } from "./keys.mjs";
import { firstOctet, Kind } from "./kinds.mjs";
import { Reader } from "./reader.mjs";
import { demand } from "./refused.mjs";

const BEFORE_MAC = 496;

function padded(key, kind, connectionId, fields) {
  const octets = Buffer.alloc(BEFORE_MAC);
  octets[0] = firstOctet(kind);
  octets.writeUInt32BE(connectionId, 1);
  fields.copy(octets, 5);
  return Buffer.concat([octets, mac(key, octets)]);
}

/** A HELLO, 512 octets. */
export function hello(key, connectionId, clientNonce) {
  return padded(key, Kind.HELLO, connectionId, clientNonce);
}

/** A RESPONSE, 512 octets, with what the CHALLENGE said. */
export function response(key, connectionId, challenge) {
  const { clientNonce, issued, serverNonce, cookie } = challenge;
  return padded(key, Kind.RESPONSE, connectionId, Buffer.concat([clientNonce, issued, serverNonce, cookie]));
}

/** What a CHALLENGE says: { clientNonce, issued, serverNonce, cookie }, all Buffers. Throws Refused. */
export function parseChallenge(key, connectionId, datagram) {
  const reader = new Reader(datagram);
  reader.u8();
  const id = reader.u32();
  const challenge = {
    clientNonce: reader.take(16),
    issued: reader.take(8),
    serverNonce: reader.take(16),
    cookie: reader.take(16),
  };
  const covered = datagram.subarray(0, reader.at);
  const tag = reader.take(16);
  reader.end();
  demand(id === connectionId, "unknown_connection");
  demand(timingSafeEqual(tag, mac(key, covered)), "forged");
  return challenge;
}
