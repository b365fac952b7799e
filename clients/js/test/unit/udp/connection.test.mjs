import { deepStrictEqual, strictEqual } from "node:assert";
import { test } from "vitest";

import { Kind } from "../../../src/node-udp/datagrams.ts";
import { parseToken } from "../../../src/node-udp/keys.ts";
import { AGREED, FarEnd, START } from "./far-end.mjs";

const PROGRESS = "01 00000007 000001a3185c507b 341428b4 000030d4";
const TABLE = "03 00000003 0001 0000 0000 01" + "00".repeat(15) + "11 0000000a 32";
const OF_SESSION_2 = "07 02";

function connected(agreed = AGREED) {
  const far = new FarEnd(agreed);
  far.connect();
  far.answer();
  return far;
}

/** Three octets of heartbeat times, Unix microseconds. */
function heartbeat(...times) {
  const octets = Buffer.alloc(24);
  times.forEach((time, k) => octets.writeBigUInt64BE(BigInt(time), 8 * k));
  return octets;
}

test("a STATE is acknowledged within 20 ms, and the tables received are named", () => {
  const far = connected();
  deepStrictEqual(far.send(Kind.STATE, TABLE + OF_SESSION_2 + TABLE).kinds, []);
  const { kinds, bodies } = far.pass(0.02);
  deepStrictEqual([kinds, bodies], [[Kind.ACK], ["00000003" + "02" + "00000003"]]);
  far.send(Kind.STATE, PROGRESS);
  deepStrictEqual(far.pass(0.02).bodies, ["00000003"]);
});

test("16 STATEs are acknowledged at once", () => {
  const far = connected();
  const kinds = Array.from({ length: 16 }, () => far.send(Kind.STATE, PROGRESS).kinds);
  deepStrictEqual(kinds.flat(), [Kind.ACK]);
});

test("another datagram takes the place of an ACK that would name nothing, and of no other", () => {
  const far = connected();
  far.send(Kind.STATE, PROGRESS);
  deepStrictEqual(far.send(Kind.PATH_CHALLENGE, "3132333435363738").kinds, [Kind.PATH_RESPONSE]);
  deepStrictEqual(far.pass(0.02).kinds, []);
  far.send(Kind.STATE, TABLE);
  far.send(Kind.PATH_CHALLENGE, "3132333435363738");
  deepStrictEqual(far.pass(0.02).kinds, [Kind.ACK]);
});

test("heartbeats: every interval, every second when nothing is heard, the end after three", () => {
  const far = connected();
  const { kinds, events } = far.pass(15);
  deepStrictEqual(events, [{ event: "silence" }]);
  deepStrictEqual(kinds, Array(10).fill(Kind.HEARTBEAT)); // after 5 seconds, 6, … 14
});

test("the server's clock, by the sample with the shortest round trip", () => {
  const far = connected();
  const ours = START * 1e6;
  far.now += 0.05;
  far.send(Kind.HEARTBEAT, heartbeat(ours + 2_030_000, ours, ours + 2_020_000)); // 40 ms under way, 2 s ahead
  strictEqual(far.client.offset.toFixed(3), "2.000");
  far.now += 1;
  far.send(Kind.HEARTBEAT, heartbeat(ours + 2_500_000, ours, ours + 2_490_000));
  strictEqual(far.client.offset.toFixed(3), "2.000");
});

test("an echo of what was never sent is ignored, and so is an older heartbeat", () => {
  const far = connected();
  const ours = START * 1e6;
  const late = far.seal(Kind.HEARTBEAT, heartbeat(ours + 9_000_000, ours, ours + 9_000_000));
  far.now += 0.05;
  far.send(Kind.HEARTBEAT, heartbeat(ours + 5_000_000, ours + 1, ours + 5_000_000));
  far.deliver(late);
  strictEqual(far.client.offset, 0);
});

test("the first heartbeat is answered at once, and until the server's clock is known one is sent every second", () => {
  const far = new FarEnd();
  deepStrictEqual(far.connect().kinds, [Kind.HEARTBEAT]);
  deepStrictEqual(far.pass(2).kinds, [Kind.HEARTBEAT, Kind.HEARTBEAT]);
  const stated = new FarEnd();
  stated.connect(Kind.STATE, PROGRESS);
  deepStrictEqual(stated.send(Kind.HEARTBEAT, heartbeat(1, 0, 0)).kinds, [Kind.HEARTBEAT]);
  deepStrictEqual(stated.send(Kind.HEARTBEAT, heartbeat(2, 0, 0)).kinds, []);
});

/** The number of heartbeats in each of these seconds, while the server is heard and knows of all of them. */
function heartbeats(far, seconds) {
  return Array.from({ length: seconds }, () => {
    const { kinds } = far.pass(1);
    far.answer();
    return kinds.filter((kind) => kind === Kind.HEARTBEAT).length;
  });
}

test("a client that has moved says so at once, and every second for a minute", () => {
  const far = connected();
  far.now += 2;
  far.client.moved(far.now);
  deepStrictEqual(far.heard().kinds, [Kind.HEARTBEAT]);
  deepStrictEqual(heartbeats(far, 64), [...Array(60).fill(1), 0, 0, 0, 0]);
});

test("so does a client of which the server has seen another address", () => {
  const far = connected();
  far.send(Kind.PATH_CHALLENGE, "3132333435363738");
  deepStrictEqual(heartbeats(far, 64), [...Array(60).fill(1), 0, 0, 0, 0]);
});

test("a heartbeat that the server does not know of is followed by another", () => {
  const far = connected();
  far.now += 2;
  const { kinds } = far.send(Kind.HEARTBEAT, heartbeat(1, 0, 0));
  deepStrictEqual(kinds, [Kind.HEARTBEAT]);
});

/** How the key phase of what the client sends changes in 20 minutes of heartbeats, whose acknowledgement is this. */
function rotations(far, acknowledgement) {
  const phases = [0];
  for (let elapsed = 0; elapsed < 1210; elapsed += 5) {
    phases.push(...far.pass(5).phases);
    far.deliver(far.sealer.seal(Kind.HEARTBEAT, Buffer.concat([acknowledgement(), heartbeat(1, 0, 0)])));
  }
  return phases.filter((phase, k) => k > 0 && phase !== phases[k - 1]);
}

test("keys go on after 600 seconds, with a HEARTBEAT", () => {
  const far = connected();
  deepStrictEqual(
    rotations(far, () => far.opener.window.acknowledgement()),
    [1, 0],
  );
});

test("keys do not go on before the server has heard of the generation", () => {
  const unheard = new FarEnd();
  unheard.connect();
  deepStrictEqual(
    rotations(unheard, () => Buffer.alloc(8)),
    [],
  );
  deepStrictEqual(
    rotations(connected(), () => Buffer.from("0000000100000000", "hex")),
    [1],
  );
});

test("a difference from a table that is not held: RESYNC, once a second", () => {
  const far = connected();
  const difference = "05 00000007 01 000a 01 385708";
  const { events, kinds } = far.send(Kind.STATE, difference + PROGRESS);
  deepStrictEqual(
    events.map(({ event, outcome }) => outcome ?? event),
    ["no_baseline", "progress"],
  );
  deepStrictEqual(kinds, [Kind.RESYNC]);
  deepStrictEqual(far.send(Kind.STATE, difference).kinds, []);
  deepStrictEqual(far.pass(1).kinds, [Kind.ACK, Kind.RESYNC]);
});

test("LEAVE is repeated until the session is over, and the last is left by CLOSE, once", () => {
  const far = connected();
  far.client.join(1);
  far.client.leave([1], far.now);
  const { kinds, bodies } = far.pass(3.5);
  deepStrictEqual([kinds, bodies], [Array(6).fill(Kind.LEAVE), Array(6).fill("01")]); // after 0.1 s, 0.2, …
  const { events } = far.send(Kind.STATE, "07 01 08 06");
  deepStrictEqual(events, [{ event: "session_over", index: 1, reason: 6 }]);
  deepStrictEqual(far.pass(4).kinds, [Kind.ACK, Kind.HEARTBEAT]);
  far.client.leave([0], far.now);
  deepStrictEqual(far.heard().kinds, [Kind.CLOSE]);
  strictEqual(far.client.over, true);
});

test("records of a session that is over are ignored", () => {
  const far = connected();
  far.send(Kind.STATE, "07 01 08 01");
  deepStrictEqual(far.send(Kind.STATE, "07 01" + PROGRESS).events, []);
});

test("an unclaimed session is left after 20 seconds", () => {
  const far = connected();
  far.send(Kind.STATE, OF_SESSION_2 + PROGRESS);
  const kinds = [];
  for (let elapsed = 0; elapsed < 20; elapsed += 4) {
    kinds.push(...far.pass(4).kinds);
    far.send(Kind.HEARTBEAT, heartbeat(1, 0, 0));
  }
  deepStrictEqual(
    kinds.filter((kind) => kind === Kind.LEAVE),
    [Kind.LEAVE],
  );
});

test("CLOSE is acknowledged, and the end", () => {
  const far = connected();
  const { kinds, events } = far.send(Kind.CLOSE, "02");
  deepStrictEqual([kinds, events], [[Kind.ACK], [{ event: "closed", reason: 2 }]]);
  strictEqual(far.client.due, Infinity);
});

test("a fresh secret makes the next token, and is not shown", () => {
  const far = connected();
  const { events } = far.send(Kind.STATE, "06" + "20".repeat(32));
  deepStrictEqual(events, [{ event: "renewed" }]);
  const { connectionId, secret } = parseToken(far.client.token);
  deepStrictEqual([connectionId, secret], [0xdeadbeef, Buffer.alloc(32, 0x20)]);
});

test("the secret of the newest datagram is the token, and none that is packed", () => {
  const far = connected();
  const older = far.seal(Kind.STATE, "06" + "21".repeat(32));
  far.send(Kind.STATE, "0703" + "06" + "20".repeat(32));
  far.deliver(older);
  deepStrictEqual(parseToken(far.client.token).secret, Buffer.alloc(32, 0x20));
  const packed = "2f0600010007500000000000"; // 06 and 32 zeros
  deepStrictEqual(far.send(Kind.MESSAGE, "000020" + packed).events, [{ event: "refused", outcome: "type" }]);
});

test("what only a client sends is refused, and so is a MESSAGE where nothing was agreed on", () => {
  const refused = [{ event: "refused", outcome: "type" }];
  deepStrictEqual(connected().send(Kind.RESYNC).events, refused);
  const { compression, ...plain } = AGREED;
  deepStrictEqual(connected(plain).send(Kind.MESSAGE, "0000ff00").events, refused);
});

test("an older progress than the one held changes nothing", () => {
  const far = connected();
  const older = far.seal(Kind.STATE, PROGRESS.replace("00000007", "00000006"));
  strictEqual(far.send(Kind.STATE, PROGRESS).events[0].version, 7);
  deepStrictEqual(far.deliver(older).events, []);
});
