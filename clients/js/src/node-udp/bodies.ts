/** What is behind the acknowledgement in sealed datagrams, except STATE. Parsers throw Refused. */

import {
  CLOSE_SIZE,
  decodeClose,
  decodeFragment,
  decodeHeartbeat,
  decodeHeld,
  decodeHeldToo,
  decodeProbe,
  encodeClose,
  encodeHeartbeat,
  encodeHeld,
  encodeHeldToo,
  encodeLeft,
  FRAGMENT_SIZE,
  HEARTBEAT_SIZE,
  HELD_SIZE,
  HELD_TOO_SIZE,
  PROBE_SIZE,
  refuseUnless,
  type Heartbeat,
} from "../wire.js";

/** Versions of tables by the index of their session; 0: none. */
export type Tables = ReadonlyMap<number, number>;

function whole<T>(body: Uint8Array, size: number, decode: (octets: Uint8Array) => T): T {
  const value = decode(body);
  refuseUnless(body.length <= size, "trailing");
  return value;
}

/** ACK: the newest complete table of each session; that of session 0 is always there. */
export function ack(tables: Tables): Buffer {
  const others = [...tables].filter(([session]) => session > 0).sort(([one], [other]) => one - other);
  const rest = others.map(([session, version]) => encodeHeldToo({ session, version }));
  return Buffer.concat([encodeHeld({ version: tables.get(0) ?? 0 }), ...rest]);
}

export function parseAck(body: Uint8Array): Tables {
  const tables = new Map([[0, decodeHeld(body).version]]);
  const left = body.length - HELD_SIZE;
  refuseUnless(left % HELD_TOO_SIZE === 0, "trailing");
  for (let at = HELD_SIZE, before = 0; at < body.length; at += HELD_TOO_SIZE) {
    const { session, version } = decodeHeldToo(body, at);
    refuseUnless(session > before, "out_of_range");
    tables.set(session, version);
    before = session;
  }
  return tables;
}

const ascending = (sessions: readonly number[]): boolean =>
  sessions.every((session, k) => k === 0 || session > sessions[k - 1]!);

/** LEAVE: indexes of sessions. */
export const leave = (sessions: readonly number[]): Buffer =>
  Buffer.concat([...sessions].sort((one, other) => one - other).map((session) => encodeLeft({ session })));

export function parseLeave(body: Uint8Array): number[] {
  refuseUnless(body.length > 0, "truncated");
  const sessions = [...body];
  refuseUnless(ascending(sessions), "out_of_range");
  return sessions;
}

/** HEARTBEAT: Unix microseconds. */
export const heartbeat: (times: Heartbeat) => Uint8Array = encodeHeartbeat;

export function parseHeartbeat(body: Uint8Array): Heartbeat {
  const times = whole(body, HEARTBEAT_SIZE, decodeHeartbeat);
  refuseUnless((times.echoedUs === 0n) === (times.receivedUs === 0n), "contradictory");
  return times;
}

export const close = (reason: number): Uint8Array => encodeClose({ reason });
export const parseClose = (body: Uint8Array): number => whole(body, CLOSE_SIZE, decodeClose).reason;
export const parsePath = (body: Uint8Array): Uint8Array => whole(body, PROBE_SIZE, decodeProbe).data;

export function parseResync(body: Uint8Array): void {
  refuseUnless(body.length === 0, "trailing");
}

/** A part of a MESSAGE. */
export interface MessagePart {
  readonly part: number;
  readonly last: number;
  /** Octets of the content, unpacked. */
  readonly size: number;
  readonly octets: Uint8Array;
}

export function parseMessagePart(body: Uint8Array): MessagePart {
  refuseUnless(body.length > FRAGMENT_SIZE, "truncated");
  const { part, last, most } = decodeFragment(body);
  refuseUnless(part <= last, "out_of_range");
  return { part, last, size: most + 1, octets: body.subarray(FRAGMENT_SIZE) };
}
