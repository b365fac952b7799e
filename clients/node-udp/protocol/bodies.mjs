/** What is behind the acknowledgement in sealed datagrams, except STATE. Parsers throw Refused. */

import { Reader } from "./reader.mjs";
import { demand } from "./refused.mjs";

const REASONS = 7;

/** ACK: `tables` has, by the index of a session, the version of its newest complete table (0: none). */
export function ack(tables) {
  const others = [...tables.keys()].filter((session) => session > 0).sort((a, b) => a - b);
  const octets = Buffer.alloc(4 + 5 * others.length);
  octets.writeUInt32BE(tables.get(0) ?? 0, 0);
  others.forEach((session, k) => {
    octets[4 + 5 * k] = session;
    octets.writeUInt32BE(tables.get(session), 5 + 5 * k);
  });
  return octets;
}

export function parseAck(body) {
  const reader = new Reader(body);
  const tables = new Map([[0, reader.u32()]]);
  demand(reader.left % 5 === 0, "trailing");
  for (let before = 0; reader.left > 0; ) {
    const session = reader.u8();
    demand(session > before, "out_of_range");
    tables.set(session, reader.u32());
    before = session;
  }
  return tables;
}

/** LEAVE: indexes of sessions. */
export function leave(sessions) {
  return Buffer.from([...sessions].sort((a, b) => a - b));
}

export function parseLeave(body) {
  demand(body.length > 0, "truncated");
  const sessions = [...body];
  demand(sessions.every((session, k) => k === 0 || session > sessions[k - 1]), "out_of_range");
  return sessions;
}

/** HEARTBEAT: BigInts, Unix microseconds. */
export function heartbeat({ sent, echoed, received }) {
  const octets = Buffer.alloc(24);
  [sent, echoed, received].forEach((time, k) => octets.writeBigUInt64BE(time, 8 * k));
  return octets;
}

export function parseHeartbeat(body) {
  const reader = new Reader(body);
  const times = { sent: reader.u64(), echoed: reader.u64(), received: reader.u64() };
  reader.end();
  demand((times.echoed === 0n) === (times.received === 0n), "contradictory");
  return times;
}

/** A reason, as in CLOSE and in record 8. */
export function parseReason(reader) {
  const reason = reader.u8();
  demand(reason >= 1 && reason <= REASONS, "out_of_range");
  return reason;
}

export function parseClose(body) {
  const reader = new Reader(body);
  const reason = parseReason(reader);
  reader.end();
  return reason;
}

export function parsePath(body) {
  const reader = new Reader(body);
  const octets = reader.take(8);
  reader.end();
  return octets;
}

export function parseResync(body) {
  new Reader(body).end();
}

/** A part of a MESSAGE: { part, last, size, octets }; `size` is that of the content. */
export function parseMessagePart(body) {
  const reader = new Reader(body);
  const first = reader.u8();
  const size = reader.u16() + 1;
  demand(reader.left > 0, "truncated");
  const part = first >> 6;
  const last = (first >> 4) & 3;
  demand((first & 15) === 0, "reserved");
  demand(part <= last, "out_of_range");
  return { part, last, size, octets: reader.take(reader.left) };
}
