import { deepStrictEqual, notDeepStrictEqual, strictEqual } from "node:assert";
import { test } from "vitest";

import { Kind } from "../../../src/node-udp/datagrams.ts";
import { FarEnd } from "./far-end.mjs";

test("a HELLO is repeated, ever more seldom, for 15 seconds", () => {
  const far = new FarEnd();
  const [hello] = far.sent();
  far.client.tick(far.now + 0.4);
  deepStrictEqual(far.sent(), []);
  const times = [];
  while (!far.client.over) {
    far.now = far.client.due;
    far.client.tick(far.now);
    const { datagrams, events } = far.client.take();
    if (events.length > 0) deepStrictEqual(events, [{ event: "unreachable" }]);
    for (const datagram of datagrams) {
      deepStrictEqual(datagram, hello);
      times.push(far.now - 1_800_000_000);
    }
  }
  deepStrictEqual(times, [0.5, 1.5, 3.5, 7.5, 11.5]);
});

test("three RESPONSEs unanswered, and it starts over with another nonce", () => {
  const far = new FarEnd();
  const [hello] = far.sent();
  far.client.receive(far.challenge(hello), far.now);
  const responses = far.sent();
  for (const pause of [0.5, 1]) {
    far.now += pause;
    far.client.tick(far.now);
    responses.push(...far.sent());
  }
  deepStrictEqual(
    responses.map((datagram) => datagram[0] & 31),
    [Kind.RESPONSE, Kind.RESPONSE, Kind.RESPONSE],
  );
  far.now += 2;
  far.client.tick(far.now);
  const [again] = far.sent();
  strictEqual(again[0] & 31, Kind.HELLO);
  notDeepStrictEqual(again.subarray(5, 21), hello.subarray(5, 21));
});

test("addresses that stay silent are tried in turn, each with a nonce of its own", () => {
  const far = new FarEnd(undefined, 3);
  const knocks = [[0, far.client.server, far.sent()[0][5]]];
  while (knocks.length < 8) {
    far.now = far.client.due;
    far.client.tick(far.now);
    knocks.push([far.now - 1_800_000_000, far.client.server, far.sent()[0][5]]);
  }
  deepStrictEqual(
    knocks.map(([at]) => at),
    [0, 0.5, 1, 1.5, 2.5, 3.5, 4.5, 6.5],
  );
  deepStrictEqual(
    knocks.map(([, server]) => server),
    [0, 1, 2, 0, 1, 2, 0, 1],
  );
  deepStrictEqual(
    knocks.map(([, , nonce]) => nonce),
    [1, 2, 3, 1, 2, 3, 1, 2],
  );
});

test("the address that answers is kept, and when it answers no RESPONSE, the next is tried", () => {
  const far = new FarEnd(undefined, 3);
  const [first] = far.sent();
  for (far.now = far.client.due; far.client.server < 2; far.now = far.client.due) far.client.tick(far.now);
  far.sent();
  far.client.receive(far.challenge(first), far.now);
  strictEqual(far.client.server, 0);
  while (far.sent()[0][0] === 0x43) {
    strictEqual(far.client.server, 0);
    far.now = far.client.due;
    far.client.tick(far.now);
  }
  strictEqual(far.client.server, 1);
});

test("a CHALLENGE counts once, and only for the newest HELLO", () => {
  const far = new FarEnd();
  const challenge = far.challenge(far.sent()[0]);
  far.client.receive(challenge, far.now);
  far.client.receive(challenge, far.now);
  deepStrictEqual(far.client.take().events, [{ event: "refused", outcome: "repeated" }]);
});

test("a CHALLENGE with another's MAC is refused", () => {
  const far = new FarEnd();
  const challenge = far.challenge(far.sent()[0]);
  challenge[76] ^= 1;
  far.client.receive(challenge, far.now);
  deepStrictEqual(far.client.take(), { datagrams: [], events: [{ event: "refused", outcome: "forged" }] });
});

test("what opens ends it, of whatever kind", () => {
  const far = new FarEnd();
  const { events, kinds } = far.connect();
  deepStrictEqual([events, kinds], [[{ event: "connected" }], [Kind.HEARTBEAT]]);
});
