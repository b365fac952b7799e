/** Holds the client to protocol/vectors.json: exits with 0 when every vector is as it must be, else with 1. */

import { deepStrictEqual } from "node:assert";
import { readFileSync } from "node:fs";

import * as bodies from "./protocol/bodies.mjs";
import { Client } from "./protocol/client.mjs";
import { Connection } from "./protocol/connection.mjs";
import { hello, parseChallenge, response } from "./protocol/handshake-datagrams.mjs";
import { Generation, handshakeKey } from "./protocol/keys.mjs";
import { Kind } from "./protocol/kinds.mjs";
import { Line } from "./protocol/line.mjs";
import { MessageParts } from "./protocol/message-parts.mjs";
import { materialsRecord, parsePosted, progressRecord } from "./protocol/posted.mjs";
import { percentAt } from "./protocol/progress.mjs";
import { parseRecords } from "./protocol/records.mjs";
import { Refused } from "./protocol/refused.mjs";
import { ReplayWindow } from "./protocol/replay-window.mjs";
import { Rotation } from "./protocol/rotation.mjs";
import { Opener, Sealer, seal, unseal } from "./protocol/sealing.mjs";
import { isThere } from "./protocol/session.mjs";
import { Sessions } from "./protocol/sessions.mjs";
import { formatToken, parseToken } from "./protocol/token.mjs";

const path = process.argv[2] ?? new URL("../../protocol/vectors.json", import.meta.url);
const vectors = JSON.parse(readFileSync(path));

const octets = (hex) => Buffer.from(hex, "hex");
const secret = octets(vectors.secret);
const connectionId = parseInt(vectors.connection_id, 16);
const [clientNonce, serverNonce] = [octets(vectors.client_nonce), octets(vectors.server_nonce)];
const counts = { passed: 0, failed: 0, declined: 0 };

function check(group, name, test) {
  try {
    test();
    counts.passed += 1;
  } catch (error) {
    counts.failed += 1;
    console.log(`${group}: ${name}: ${error.stack}`);
  }
}

/** As the vectors write it: octets as hexadecimal digits. */
function plain(value) {
  return JSON.parse(
    JSON.stringify(value, (_, field) => (field?.type === "Buffer" ? Buffer.from(field.data).toString("hex") : field)),
  );
}

/** The outcome that it is refused with; null when it is not. */
function refusal(act) {
  try {
    act();
  } catch (error) {
    if (error instanceof Refused) return error.outcome;
    throw error;
  }
  return null;
}

function generations(sender) {
  const all = [Generation.first(secret, clientNonce, serverNonce, sender)];
  while (all.length < 3) all.push(all.at(-1).following());
  return all;
}

const keys = { client: generations("client"), server: generations("server") };

check("keys", "the token", () => {
  deepStrictEqual(parseToken(vectors.session_token), { connectionId, secret });
  deepStrictEqual(formatToken(connectionId, secret), vectors.session_token);
});
check("keys", "the handshake", () => deepStrictEqual(handshakeKey(secret).toString("hex"), vectors.keys.handshake));
for (const sender of ["client", "server"]) {
  const found = keys[sender].map(({ key, iv }) => ({ key, iv }));
  check("keys", sender, () => deepStrictEqual(plain(found), vectors.keys[sender]));
}

for (const { kind, issued_us, cookie, datagram } of vectors.handshake) {
  check("handshake", kind, () => {
    const issued = Buffer.alloc(8);
    issued.writeBigUInt64BE(BigInt(issued_us));
    const challenge = { clientNonce, issued, serverNonce, cookie: octets(cookie) };
    const key = handshakeKey(secret);
    if (kind === "CHALLENGE") deepStrictEqual(parseChallenge(key, connectionId, octets(datagram)), challenge);
    else {
      const ours = kind === "HELLO" ? hello(key, connectionId, clientNonce) : response(key, connectionId, challenge);
      deepStrictEqual(ours.toString("hex"), datagram);
    }
  });
}

/** Each kind of body: what it says, as the vectors write it, and its octets where a client makes it. */
const BODIES = {
  STATE: [parseRecords],
  ACK: [
    (body) => Object.fromEntries(bodies.parseAck(body)),
    (said) => bodies.ack(new Map(Object.entries(said).map(([session, version]) => [Number(session), version]))),
  ],
  HEARTBEAT: [
    (body) => Object.fromEntries(Object.entries(bodies.parseHeartbeat(body)).map(([k, v]) => [`${k}_us`, Number(v)])),
    (said) =>
      bodies.heartbeat({
        sent: BigInt(said.sent_us),
        echoed: BigInt(said.echoed_us),
        received: BigInt(said.received_us),
      }),
  ],
  RESYNC: [(body) => bodies.parseResync(body) ?? null, () => Buffer.alloc(0)],
  CLOSE: [bodies.parseClose, (said) => Buffer.from([said])],
  PATH_CHALLENGE: [bodies.parsePath],
  PATH_RESPONSE: [bodies.parsePath, octets],
  LEAVE: [bodies.parseLeave, bodies.leave],
  MESSAGE: [bodies.parseMessagePart],
};

for (const vector of vectors.sealed) {
  check("sealed", vector.name, () => {
    const { kind, sequence, datagram } = vector;
    const generation = keys[vector.from][vector.generation];
    const content = unseal(generation, sequence, octets(datagram));
    deepStrictEqual(content.toString("hex"), vector.content);
    deepStrictEqual(seal(generation, connectionId, sequence, Kind[kind], content).toString("hex"), datagram);
    const [parse, make] = BODIES[kind];
    deepStrictEqual(plain(parse(content.subarray(8))), vector.decoded);
    if (make) deepStrictEqual(make(vector.decoded).toString("hex"), vector.content.slice(16));
  });
}

for (const { name, body, records } of vectors.states) {
  check("states", name, () => deepStrictEqual(plain(parseRecords(octets(body))), records));
}

for (const vector of [...vectors.messages, ...vectors.malformed_messages]) {
  if (vector.compression === "zstd") {
    counts.declined += 1; // this client offers LZ4 only
    continue;
  }
  const messages = new MessageParts(vector.negotiated_packet_size);
  let whole = null;
  const takeAll = () => {
    for (const { sequence, body } of vector.parts) {
      whole = messages.take(sequence, bodies.parseMessagePart(octets(body)));
    }
  };
  check("messages", vector.name, () => {
    if (vector.outcome) return deepStrictEqual(refusal(takeAll), vector.outcome);
    takeAll();
    deepStrictEqual(plain(whole), { sequence: vector.counts_as, content: vector.content });
  });
}

for (const { octets: hex, ...said } of vectors.posted) {
  check("posted", hex.slice(0, 16), () => {
    deepStrictEqual(parsePosted(octets(hex)), said);
    const make = said.record === "ProgressRecord" ? progressRecord : materialsRecord;
    deepStrictEqual(make(said).toString("hex"), hex);
  });
}

for (const { name, body, outcome } of vectors.malformed_states) {
  check("malformed states", name, () => deepStrictEqual(refusal(() => parseRecords(octets(body))), outcome));
}

for (const { name, kind, body, outcome } of vectors.malformed_bodies) {
  check("malformed bodies", name, () => deepStrictEqual(refusal(() => BODIES[kind][0](octets(body))), outcome));
}

/** A client's end that has sealed one datagram: what becomes of those that it is given. */
function receiver() {
  const opener = new Opener(connectionId, keys.server[0]);
  const sealer = new Sealer(connectionId, keys.client[0], 1);
  const means = { sealer, opener, interval: 5, packetSize: 1200, compressed: true, sessions: new Sessions() };
  const connection = new Connection(means, { datagrams: [], events: [] }, 1_800_000_000);
  return (datagram) => refusal(() => connection.receive(octets(datagram), 1_800_000_000)) ?? "accepted";
}

for (const { name, datagram, outcome } of vectors.malformed_datagrams) {
  check("malformed datagrams", name, () => {
    const receive = receiver();
    const first = vectors.sealed.find(({ from, sequence }) => from === "server" && sequence === 1);
    deepStrictEqual([receive(first.datagram), receive(datagram)], ["accepted", outcome]);
  });
}

const receiveInTurn = receiver();
for (const { name, datagram, outcome } of vectors.arrivals) {
  check("arrivals", name, () => deepStrictEqual(receiveInTurn(datagram), outcome));
}

for (const { name, octets: hex, outcome } of vectors.malformed_posted) {
  check("malformed posted", name, () => deepStrictEqual(refusal(() => parsePosted(octets(hex))), outcome));
}

/** A client that has sent the HELLO with the vectors' nonce. */
const agreed = {
  session_token: vectors.session_token,
  server_endpoint: "127.0.0.1:1",
  negotiated_packet_size: 1200,
  heartbeat_interval: 5000,
};
const challenged = new Client(agreed, 1_800_000_000, () => clientNonce);
challenged.take();
for (const { name, datagram, outcome } of vectors.challenges) {
  check("challenges", name, () => {
    challenged.receive(octets(datagram), 1_800_000_000);
    const { datagrams, events } = challenged.take();
    const found = events.find(({ event }) => event === "refused")?.outcome ?? "accepted";
    deepStrictEqual([found, datagrams.length], [outcome, outcome === "accepted" ? 1 : 0]);
  });
}

/** Equal, but for what is lost in numbers that are not whole. */
const near = (found, wanted) => found === wanted || Math.abs(found - wanted) < 0.001;

for (const { name, progress, at, percent } of vectors.progress_at) {
  check("progress at", name, () => deepStrictEqual(near(percentAt(progress, at), percent), true));
}

for (const { name, steps } of vectors.heartbeats) {
  check("heartbeats", name, () => {
    const line = new Line();
    for (const step of steps) {
      const now = BigInt(step.at_us);
      if (step.sends) {
        const { sent: echoed, arrived: received } = line.heard;
        line.beat(now);
        const says = { sent_us: Number(now), echoed_us: Number(echoed), received_us: Number(received) };
        deepStrictEqual(says, step.sends);
        continue;
      }
      const { sent_us: sent, echoed_us: echoed, received_us: received } = step.receives;
      line.take(step.sequence, { sent: BigInt(sent), echoed: BigInt(echoed), received: BigInt(received) }, now);
      const found = [line.smoothed, line.timeout, line.offset];
      const wanted = [step.smoothed, step.timeout, step.offset];
      deepStrictEqual(found.map((each, k) => near(each, wanted[k])), [true, true, true], `${found}, not ${wanted}`);
    }
  });
}

for (const { name, steps } of vectors.rotations) {
  check("rotations", name, () => {
    const sealer = new Sealer(connectionId, keys.client[0]);
    const rotation = new Rotation(sealer);
    for (const { seconds, sequence, acknowledged, generation } of steps) {
      sealer.sequence = sequence - 1;
      rotation.beforeHeartbeat(seconds, acknowledged);
      deepStrictEqual(sealer.generation.number, generation);
    }
  });
}

/** As the vectors write what is held of a session. */
function holding({ progress, version, materials, over }) {
  return { progress, progress_version: version ?? 0, materials: materials.table, over };
}

for (const { name, steps } of vectors.receptions) {
  check("receptions", name, () => {
    const out = { datagrams: [], events: [] };
    const connection = new Connection({ sessions: new Sessions(), interval: 5 }, out, 0);
    for (const { sequence, body, faults, held, ack } of steps) {
      connection.apply(parseRecords(octets(body)), sequence, 0);
      const refused = out.events.splice(0).filter(({ event }) => event === "refused");
      deepStrictEqual(refused.map(({ outcome }) => outcome), faults);
      for (const [index, wanted] of Object.entries(held)) {
        deepStrictEqual(plain(holding(connection.sessions.at(Number(index)))), wanted, `after ${sequence}`);
      }
      deepStrictEqual(connection.ack().toString("hex"), ack);
    }
  });
}

for (const { newest, low, sequence } of vectors.completions) {
  const window = Object.assign(new ReplayWindow(), { newest });
  check("completions", `${low} after ${newest}`, () => deepStrictEqual(window.complete(low), sequence));
}

for (const { version, materials_version: held, there } of vectors.positions) {
  check("positions", `${version}, ${held}`, () => deepStrictEqual(isThere(version, held), there));
}

console.log(JSON.stringify(counts));
process.exitCode = counts.failed > 0 ? 1 : 0;
