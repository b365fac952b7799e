/** Holds the UDP client to protocol/vectors.json. */

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import * as bodies from "../../../src/node-udp/bodies.js";
import { Client } from "../../../src/node-udp/client.js";
import { Connection, type Output } from "../../../src/node-udp/connection.js";
import { hello, Kind, parseChallenge, response } from "../../../src/node-udp/datagrams.js";
import { formatToken, Generation, handshakeKey, parseToken, type Sender } from "../../../src/node-udp/keys.js";
import { Line } from "../../../src/node-udp/line.js";
import { MessageParts, type WholeMessage } from "../../../src/node-udp/message-parts.js";
import { materialsRecord, progressRecord } from "../../../src/node-udp/posted.js";
import { Opener, ReplayWindow, Rotation, seal, Sealer, unseal } from "../../../src/node-udp/sealing.js";
import { isThere, Sessions, type Session } from "../../../src/node-udp/session.js";
import { parseRecords } from "../../../src/node-udp/states.js";
import { Refused, type Challenge, type Heartbeat } from "../../../src/wire.js";

const vectors = JSON.parse(readFileSync(new URL("../../../../../protocol/vectors.json", import.meta.url), "utf8"));

const octets = (hex: string) => Buffer.from(hex, "hex");
const hex = (value: Uint8Array) => Buffer.from(value).toString("hex");
const secret = octets(vectors.secret);
const connectionId = parseInt(vectors.connection_id, 16);
const [clientNonce, serverNonce] = [octets(vectors.client_nonce), octets(vectors.server_nonce)];

/** The outcome that it is refused with; "accepted" when it is not. */
function outcome(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof Refused) return error.outcome;
    throw error;
  }
  return "accepted";
}

/** As the vectors write values: names with underscores, octets as hexadecimal digits. */
function plain(value: unknown): any {
  if (value instanceof Uint8Array) return hex(value);
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, held]) => held !== undefined)
      .map(([name, held]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), plain(held)]),
  );
}

/** Records as the vectors write them. */
function written(records: readonly any[]): unknown {
  return records.map(({ record, entries, version, ...more }) => {
    if (record === "ProgressState") return { record, version, progress: { ...plain(more), failure_reason: null } };
    if (record === "MaterialsPart") {
      return {
        record,
        version,
        ...plain(more),
        materials: entries.map((row: object) => ({ ...plain(row), problem: null })),
      };
    }
    if (record === "ProblemsPart") return { record, version, ...plain(more), problems: plain(entries) };
    if (record === "MaterialsDelta") return { record, version, ...plain(more), changes: more.changes.map(change) };
    return { record, ...(version === undefined ? {} : { version }), ...plain(more) };
  });
}

/** A change: null for what does not follow, 0 for a quality that is unknown now. */
function change({ row, quantity = null, quality, problem }: any): object {
  const said = { row, quantity, quality: quality === undefined ? null : (quality ?? 0) };
  if (problem === undefined) return said;
  return { ...said, problem: problem && { row, ...plain(problem) } };
}

function generations(sender: Sender): Generation[] {
  const all = [Generation.first(secret, clientNonce, serverNonce, sender)];
  while (all.length < 3) all.push(all.at(-1)!.following());
  return all;
}

const keys = { client: generations("client"), server: generations("server") };

describe("keys", () => {
  test("the token", () => {
    expect(parseToken(vectors.session_token)).toEqual({ connectionId, secret });
    expect(formatToken({ connectionId, secret })).toBe(vectors.session_token);
    expect(() => parseToken("AAAA")).toThrow("a session_token has 36 octets, not 3");
  });

  test("the handshake", () => expect(hex(handshakeKey(secret))).toBe(vectors.keys.handshake));

  test.each(["client", "server"] as const)("of the %s", (sender) => {
    expect(keys[sender].map(({ key, iv }) => plain({ key, iv }))).toEqual(vectors.keys[sender]);
  });
});

test.each(vectors.handshake as any[])("handshake: $kind", ({ kind, issued_us, cookie, datagram }) => {
  const challenge: Challenge = {
    connectionId,
    clientNonce,
    issuedUs: BigInt(issued_us),
    serverNonce,
    cookie: octets(cookie),
  };
  const key = handshakeKey(secret);
  if (kind === "CHALLENGE")
    expect(plain(parseChallenge(key, connectionId, octets(datagram)))).toEqual(plain(challenge));
  else expect(hex(kind === "HELLO" ? hello(key, connectionId, clientNonce) : response(key, challenge))).toBe(datagram);
});

interface Body {
  parse(body: Uint8Array): unknown;
  make?(said: any): Uint8Array;
}

/** Each kind of body: what it says, as the vectors write it, and its octets where a client makes it. */
const BODIES: Record<string, Body> = {
  STATE: { parse: (body) => written(parseRecords(body)) },
  ACK: {
    parse: (body) => Object.fromEntries(bodies.parseAck(body)),
    make: (said) =>
      bodies.ack(
        new Map(Object.entries(said as Record<string, number>).map(([session, version]) => [Number(session), version])),
      ),
  },
  HEARTBEAT: {
    parse: (body) => plain(bodies.parseHeartbeat(body)),
    make: (said) => {
      const times: Heartbeat = {
        sentUs: BigInt(said.sent_us),
        echoedUs: BigInt(said.echoed_us),
        receivedUs: BigInt(said.received_us),
      };
      return bodies.heartbeat(times);
    },
  },
  RESYNC: { parse: (body) => bodies.parseResync(body) ?? null, make: () => new Uint8Array() },
  CLOSE: { parse: bodies.parseClose, make: bodies.close },
  PATH_CHALLENGE: { parse: (body) => hex(bodies.parsePath(body)) },
  PATH_RESPONSE: { parse: (body) => hex(bodies.parsePath(body)), make: octets },
  LEAVE: { parse: bodies.parseLeave, make: bodies.leave },
  MESSAGE: { parse: (body) => plain(bodies.parseMessagePart(body)) },
};

test.each(vectors.sealed as any[])("sealed: $name", (vector) => {
  const { kind, sequence, datagram } = vector;
  const generation = keys[vector.from as Sender][vector.generation]!;
  const content = unseal(generation, sequence, octets(datagram));
  expect(hex(content)).toBe(vector.content);
  expect(hex(seal(generation, connectionId, sequence, Kind[kind as keyof typeof Kind], content))).toBe(datagram);
  const { parse, make } = BODIES[kind]!;
  expect(parse(content.subarray(8))).toEqual(vector.decoded);
  if (make) expect(hex(make(vector.decoded))).toBe(vector.content.slice(16));
});

test.each(vectors.states as any[])("states: $name", ({ body, records }) => {
  expect(written(parseRecords(octets(body)))).toEqual(records);
});

/** This client declines zstd. */
const messages = [...vectors.messages, ...vectors.malformed_messages].filter(
  ({ compression }) => compression !== "zstd",
);

test.each(messages)("messages: $name", (vector: any) => {
  const parts = new MessageParts(vector.negotiated_packet_size);
  let whole: WholeMessage | null = null;
  const found = outcome(() => {
    for (const { sequence, body } of vector.parts) whole = parts.take(sequence, bodies.parseMessagePart(octets(body)));
  });
  expect(found).toBe(vector.outcome ?? "accepted");
  if (!vector.outcome) expect(plain(whole)).toEqual({ sequence: vector.counts_as, content: vector.content });
});

test.each(vectors.posted as any[])("posted: $record $sequence", (vector) => {
  const { record, sequence, timestamp_ms: timestampMs, session_id: sessionId, target_quality: targetQuality } = vector;
  const header = { sequence, timestampMs, sessionId };
  const changes = vector.changes?.map((each: any) => ({
    materialId: each.material_id,
    changeType: each.change_type,
    quantity: each.new_quantity,
    quality: each.new_quality,
  }));
  const made =
    record === "ProgressRecord"
      ? progressRecord(header, { ...vector, targetQuality })
      : materialsRecord(header, changes);
  expect(hex(made)).toBe(vector.octets);
});

test.each(vectors.malformed_states as any[])("malformed states: $name", ({ body, outcome: wanted }) => {
  expect(outcome(() => parseRecords(octets(body)))).toBe(wanted);
});

test.each(vectors.malformed_bodies as any[])("malformed bodies: $name", ({ kind, body, outcome: wanted }) => {
  expect(outcome(() => BODIES[kind]!.parse(octets(body)))).toBe(wanted);
});

/** A client's end that has sealed one datagram: what becomes of those that it is given. */
function receiver(): (datagram: string) => string {
  const opener = new Opener(connectionId, keys.server[0]!);
  const sealer = new Sealer(connectionId, keys.client[0]!, 1);
  const settings = { sealer, opener, interval: 5, packetSize: 1200, compressed: true, sessions: new Sessions() };
  const connection = new Connection(settings, { datagrams: [], events: [] }, 1_800_000_000);
  return (datagram) => outcome(() => connection.receive(octets(datagram), 1_800_000_000));
}

test.each(vectors.malformed_datagrams as any[])("malformed datagrams: $name", ({ datagram, outcome: wanted }) => {
  const receive = receiver();
  const first = vectors.sealed.find(({ from, sequence }: any) => from === "server" && sequence === 1);
  expect([receive(first.datagram), receive(datagram)]).toEqual(["accepted", wanted]);
});

test("arrivals, one after the other", () => {
  const receive = receiver();
  for (const { name, datagram, outcome: wanted } of vectors.arrivals) expect(receive(datagram), name).toBe(wanted);
});

test("challenges, one after the other, for a client that has sent the HELLO with the vectors' nonce", () => {
  const agreed = {
    session_token: vectors.session_token,
    server_endpoint: "127.0.0.1:1",
    negotiated_packet_size: 1200,
    heartbeat_interval: 5000,
  };
  const client = new Client(agreed, 1_800_000_000, () => clientNonce);
  client.take();
  for (const { name, datagram, outcome: wanted } of vectors.challenges) {
    client.receive(octets(datagram), 1_800_000_000);
    const { datagrams, events } = client.take();
    const refused = events.find((event) => event.event === "refused");
    const found = refused?.event === "refused" ? refused.outcome : "accepted";
    expect([found, datagrams.length], name).toEqual([wanted, wanted === "accepted" ? 1 : 0]);
  }
});

test.each(vectors.heartbeats as any[])("heartbeats: $name", ({ steps }) => {
  const line = new Line();
  for (const step of steps) {
    const now = BigInt(step.at_us);
    if (step.sends) {
      const { sent: echoed, arrived: received } = line.heard;
      line.beat(now);
      expect({ sent_us: Number(now), echoed_us: Number(echoed), received_us: Number(received) }).toEqual(step.sends);
      continue;
    }
    const { sent_us: sent, echoed_us: echoed, received_us: received } = step.receives;
    line.take(step.sequence, { sent: BigInt(sent), echoed: BigInt(echoed), received: BigInt(received) }, now);
    for (const [found, wanted] of [
      [line.smoothed, step.smoothed],
      [line.timeout, step.timeout],
      [line.offset, step.offset],
    ]) {
      if (wanted === null) expect(found).toBeNull();
      else expect(found).toBeCloseTo(wanted, 3);
    }
  }
});

test.each(vectors.rotations as any[])("rotations: $name", ({ steps }) => {
  const sealer = new Sealer(connectionId, keys.client[0]!);
  const rotation = new Rotation(sealer);
  for (const { seconds, sequence, acknowledged, generation } of steps) {
    sealer.sequence = sequence - 1;
    rotation.beforeHeartbeat(seconds, acknowledged);
    expect(sealer.generation.number).toBe(generation);
  }
});

const holding = ({ progress, version, materials, over }: Session) =>
  plain({ progress, progressVersion: version ?? 0, table: materials.table, over });

test.each(vectors.receptions as any[])("receptions: $name", ({ steps }) => {
  const out: Output = { datagrams: [], events: [] };
  const unused = {
    sealer: new Sealer(connectionId, keys.client[0]!),
    opener: new Opener(connectionId, keys.server[0]!),
  };
  const connection = new Connection(
    { ...unused, sessions: new Sessions(), interval: 5, packetSize: 0, compressed: false },
    out,
    0,
  );
  for (const { sequence, body, faults, held, ack } of steps) {
    connection.apply(parseRecords(octets(body)), sequence, 0);
    const refused = out.events.splice(0).flatMap((event) => (event.event === "refused" ? [event.outcome] : []));
    expect(refused).toEqual(faults);
    for (const [index, { materials: table, ...wanted }] of Object.entries(held as Record<string, any>)) {
      expect(holding(connection.sessions.at(Number(index))), `after ${sequence}`).toEqual({ ...wanted, table });
    }
    expect(hex(connection.ack())).toBe(ack);
  }
});

test.each(vectors.completions as any[])("completions: $low after $newest", ({ newest, low, sequence }) => {
  expect(Object.assign(new ReplayWindow(), { newest }).complete(low)).toBe(sequence);
});

test.each(vectors.positions as any[])(
  "positions: $version, $materials_version",
  ({ version, materials_version: held, there }) => {
    expect(isThere(version, held)).toBe(there);
  },
);
