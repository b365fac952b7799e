/** The built package in Node.js, against a real server. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Craftnet, UnauthorizedError } from "@craftnet/client";
import { WebSocket } from "ws";

import { Crafted, next, Server, token } from "./server.mjs";

const server = new Server("--health-interval", "0.5", "--refresh", "1");
const opened = [];

before(() => server.start());
after(async () => {
  opened.forEach((craftnet) => craftnet.close());
  await server.stop();
});

/** A client of a craft's player. */
function client(craft, options = {}, url = server.url) {
  const craftnet = new Craftnet(url, {
    getToken: () => craft.token(),
    reconnect: { min: 50, max: 200 },
    WebSocket,
    ...options,
  });
  opened.push(craftnet);
  return craftnet;
}

async function watched(options = {}, craft = new Crafted()) {
  await server.publish(craft.start());
  const feed = client(craft, options).crafting(craft.session, { playerId: craft.player });
  await feed.ready({ timeout: 20_000 });
  return { craft, feed };
}

for (const transports of [["bin"], ["lz4"], ["json"], ["sse"], undefined]) {
  test(`a craft's whole life over ${transports ?? "what the server prefers"}`, async () => {
    const { craft, feed } = await watched(transports && { transports });
    assert.equal(feed.snapshot.progress.status, "active");
    const before = feed.snapshot.progress.percentAt();
    const [materials, paused] = [
      next(feed, "materials", ({ changed }) => changed[0].problem),
      next(feed, "progress", ({ status }) => status === "paused"),
    ];
    await server.publish(craft.short(7), craft.queued(2), craft.pause());
    const [material] = (await materials).changed;
    assert.deepEqual(
      [material.id, material.problem.type, material.problem.availableQuantity],
      [craft.iron, "insufficient_quantity", 7],
    );
    const stopped = (await paused).percentAt();
    assert.ok(stopped >= before && stopped < 10, `${before} → ${stopped}`);
    assert.equal(feed.snapshot.queues[0].queuePosition, 2);
    const ended = next(feed, "ended");
    await server.publish(craft.complete());
    assert.deepEqual(await ended, { result: "completed", reason: "" });
    assert.equal(feed.snapshot.progress.percentAt(), 100);
  });
}

test("binary records have quantities, and a progress in hundredths", async () => {
  const { craft, feed } = await watched({ transports: ["bin"] });
  const materials = next(feed, "materials", ({ changed }) => changed[0].quantity !== null);
  const progress = next(feed, "progress", ({ percent }) => percent === 12.34);
  await server.publish(craft.short(7), craft.progress({ progress_percentage: 12.34, status: "paused" }));
  assert.equal((await materials).changed[0].quantity, 7);
  await progress;
});

test("a player's queues, and the health of services", async () => {
  const craft = new Crafted();
  const queue = client(craft).queue(craft.player);
  await queue.ready({ timeout: 20_000 });
  assert.deepEqual(queue.snapshot, {});
  const arrived = next(queue, "queue");
  await server.publish(craft.queued(3));
  assert.deepEqual([(await arrived).news, queue.snapshot.laboratory.queuePosition], ["queue_position", 3]);
  const health = client(craft, { getToken: () => token({ scope: "crafting:admin" }) }).health({
    services: ["crafting-network"],
  });
  await health.ready({ timeout: 20_000 });
  assert.ok(["ok", "degraded"].includes(health.snapshot.status));
});

for (const transports of [["bin"], ["lz4"], ["json"], ["sse"]]) {
  test(`everything of a player over ${transports}: crafts as they start and end, and places in queues`, async () => {
    const craft = new Crafted();
    const later = new Crafted(craft.player);
    await server.publish(craft.start(), craft.queued(2));
    const feed = await client(craft, { transports }).player(craft.player);
    if (!feed.snapshot.crafts[craft.session]) await next(feed, "craft");
    assert.deepEqual(Object.keys(feed.snapshot.crafts), [craft.session]);
    assert.equal(feed.snapshot.places.laboratory.queuePosition, 2);
    const started = next(feed, "craft", ({ sessionId }) => sessionId === later.session);
    await server.publish(later.start());
    assert.equal((await started).craft.progress.status, "active");
    assert.equal(feed.snapshot.crafts[craft.session], feed.snapshot.crafts[craft.session]);
    const [moved, ended] = [
      next(feed, "queue", ({ place }) => place.queuePosition === 1),
      next(feed, "craft", (change) => change.craft.progress.status === "completed"),
    ];
    await server.publish(craft.queued(1), craft.complete());
    await moved;
    const { sessionId, craft: last } = await ended;
    assert.deepEqual([sessionId, last.progress.percentAt()], [craft.session, 100]);
    assert.deepEqual(Object.keys(feed.snapshot.crafts), [later.session]);
  });
}

test("a player's feed begins with the whole state after each interruption", async () => {
  const restarted = await new Server().start();
  const craft = new Crafted();
  try {
    await restarted.publish(craft.start());
    const feed = await client(craft, {}, restarted.url).player(craft.player);
    await next(feed, "craft");
    await restarted.stop();
    await restarted.start(); // with an empty back end
    await restarted.publish(craft.queued(4));
    if (feed.state !== "live") await next(feed, "state", ({ to }) => to === "live");
    if (!feed.snapshot.places.laboratory) await next(feed, "queue");
    assert.deepEqual(feed.snapshot.crafts, {});
  } finally {
    await restarted.stop();
  }
});

test("snapshots of a craft, a queue and a player, without a feed", async () => {
  const craft = new Crafted();
  await server.publish(craft.start(60), craft.queued(2), craft.short(7));
  const craftnet = client(craft);
  const { session: sessionId, player: playerId } = craft;
  const { progress, materials } = await craftnet.snapshot({ kind: "crafting", sessionId, playerId });
  assert.ok(progress.percentAt() > 0 && progress.remainingAt() <= 60);
  assert.deepEqual([materials[0].id, materials[0].problem.type], [craft.iron, "insufficient_quantity"]);
  const places = await craftnet.snapshot({ kind: "queue", playerId });
  assert.equal(places.laboratory.queuePosition, 2);
  const all = await craftnet.snapshot({ kind: "player", playerId });
  assert.deepEqual([Object.keys(all.crafts), all.places], [[sessionId], places]);
  await assert.rejects(craftnet.snapshot({ kind: "crafting", sessionId: playerId, playerId }), {
    name: "SnapshotError",
    status: 404,
  });
  const refused = client(craft, { getToken: ({ reason }) => (reason === "missing" ? "a.b.c" : craft.token()) });
  await refused.snapshot({ kind: "queue", playerId }); // with the fresh token that it asks for
});

test("a token is replaced on the open connection, and with a new one over event streams", async () => {
  const watching = [["bin"], ["sse"]].map(async (transports) => {
    const [craft, reasons] = [new Crafted(), []];
    const getToken = ({ reason }) => {
      reasons.push(reason);
      return craft.token({ seconds: reason === "missing" ? 4 : 600 });
    };
    const { feed } = await watched({ getToken, transports }, craft);
    const states = [];
    feed.on("state", ({ to }) => states.push(to));
    return { feed, reasons, states };
  });
  const [socket, stream] = await Promise.all(watching);
  await new Promise((resolve) => setTimeout(resolve, 6000)); // the first tokens are over by then
  for (const { feed, reasons } of [socket, stream])
    assert.deepEqual([reasons, feed.state], [["missing", "expiring"], "live"]);
  assert.deepEqual([socket.states, stream.states], [[], ["connecting", "live"]]);
});

for (const [reason, bad] of [
  ["expired", (craft) => craft.token({ seconds: -5 })],
  ["refused", (craft) => `${craft.token()}x`],
]) {
  test(`a token that is ${reason} is replaced, and the feed connects again`, async () => {
    const [craft, reasons] = [new Crafted(), []];
    await server.publish(craft.start());
    const getToken = (asked) => {
      reasons.push(asked.reason);
      return asked.reason === "missing" ? bad(craft) : craft.token();
    };
    const feed = client(craft, { getToken }).crafting(craft.session, { playerId: craft.player });
    await feed.ready({ timeout: 20_000 });
    assert.deepEqual(reasons, ["missing", reason]);
  });
}

test("a player who may not, a session that there is not, and a revoked token end the feed", async () => {
  const { craft, feed } = await watched();
  const other = new Crafted();
  const [revoked, forbidden, missing] = [
    next(feed, "ended"),
    next(client(other).crafting(craft.session, { playerId: other.player }), "ended"),
    next(client(other).crafting(other.session, { playerId: other.player }), "ended"),
  ];
  assert.deepEqual([(await forbidden).result, (await missing).result], ["forbidden", "not_found"]);
  await server.post("/revocations", { player_id: craft.player }, token({ scope: "crafting:admin" }));
  assert.equal((await revoked).result, "revoked");
  const gone = client(craft, {
    getToken: () => {
      throw new UnauthorizedError("log in again");
    },
  }).crafting(craft.session, { playerId: craft.player });
  assert.deepEqual(await next(gone, "ended"), { result: "unauthorized", reason: "log in again" });
});

test("a feed comes back to where it was", async () => {
  const { craft, feed } = await watched();
  const arrived = next(feed, "materials");
  await server.publish(craft.short(7));
  await arrived;
  feed.suspend();
  await server.publish(craft.short(5));
  const [recovered, materials] = [
    next(feed, "recovered"),
    next(feed, "materials", ({ changed }) => changed[0].problem?.availableQuantity === 5),
  ];
  feed.start();
  assert.equal((await recovered).recovered, true);
  await materials;
});

test("changes of materials over bin are reported once, also after a return", async () => {
  const { craft, feed } = await watched({ transports: ["bin"] });
  const reported = [];
  feed.on("materials", ({ changed }) => reported.push(changed[0].quantity));
  for (const quantity of [9, 8, 7]) {
    const arrived = next(feed, "materials");
    await server.publish(craft.stocked(quantity));
    await arrived;
  }
  feed.suspend();
  await server.publish(craft.stocked(6));
  const [recovered, newest] = [
    next(feed, "recovered"),
    next(feed, "materials", ({ changed }) => changed[0].quantity === 6),
  ];
  feed.start();
  assert.equal((await recovered).recovered, true);
  await newest;
  assert.deepEqual(reported, [9, 8, 7, 6]);
});

test("a server that was started again is found again, and sends the whole state", async () => {
  const other = await new Server().start();
  const craft = new Crafted();
  await other.publish(craft.start());
  const craftnet = client(craft, {}, other.url);
  const feed = craftnet.crafting(craft.session, { playerId: craft.player });
  await feed.ready({ timeout: 20_000 });
  const waiting = next(feed, "state", ({ to }) => to === "waiting");
  await other.stop();
  assert.equal((await waiting).code, 1001);
  craftnet.suspend(); // until the server knows the session, which it keeps in its memory alone
  await other.start();
  await other.publish(craft.start());
  const recovered = next(feed, "recovered");
  craftnet.resume();
  assert.equal((await recovered).recovered, false);
  await feed.ready({ timeout: 20_000 });
  feed.close();
  await other.stop();
});

for (const transports of [undefined, ["sse"]])
  test(`a server that drains says when to come back, and is obeyed, over ${transports ?? "WebSocket"}`, async () => {
    const other = await new Server("--drain-time", "2").start();
    const craft = new Crafted();
    await other.publish(craft.start());
    const feed = client(craft, transports && { transports }, other.url).crafting(craft.session, {
      playerId: craft.player,
    });
    await feed.ready({ timeout: 20_000 });
    const waiting = next(feed, "state", ({ to }) => to === "waiting");
    await other.stop();
    const { code, reason, retryIn } = await waiting;
    assert.equal(code, 1001);
    const asked = Number(/^retry in ([\d.]+) s$/.exec(reason)[1]) * 1000;
    assert.ok(retryIn >= asked && retryIn <= asked + 1000, `${retryIn} ms after being asked for ${asked}`);
    feed.close();
  });

test("a server that stands still is given up, and found again", async () => {
  const other = await new Server("--refresh", "1").start();
  const craft = new Crafted();
  await other.publish(craft.start(), craft.pause());
  const feed = client(craft, { staleAfter: 11_000 }, other.url).crafting(craft.session, { playerId: craft.player });
  await feed.ready({ timeout: 20_000 });
  const waiting = next(feed, "state", ({ to }) => to === "waiting");
  other.signal("SIGSTOP");
  assert.equal((await waiting).reason, "the server is silent");
  const live = next(feed, "state", ({ to }) => to === "live");
  other.signal("SIGCONT");
  await live;
  feed.close();
  await other.stop();
});
