/** The built package behind a proxy that refuses upgrades, against a real server: server-sent events. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Craftnet } from "@craftnet/client";
import { WebSocket } from "ws";

import { Crafted, next, RefusingProxy, Server, token } from "./server.mjs";

const server = new Server("--refresh", "1");
const opened = [];
let proxy;

before(async () => {
  await server.start();
  proxy = await new RefusingProxy(server).start();
});
after(async () => {
  opened.forEach((craftnet) => craftnet.close());
  proxy.stop();
  await server.stop();
});

function client(craft, options = {}) {
  const seen = new Set();
  const craftnet = new Craftnet(proxy.url, {
    getToken: () => craft.token(),
    WebSocket,
    reconnect: { min: 50, max: 200 },
    ...options,
  });
  craftnet.on("feed", (feed) => feed.on("message", ({ transport }) => seen.add(transport)));
  opened.push(craftnet);
  return { craftnet, seen };
}

test("a craft's whole life", async () => {
  const craft = new Crafted();
  await server.publish(craft.start());
  const { craftnet, seen } = client(craft, { transports: ["bin", "json", "sse"] });
  const feed = craftnet.crafting(craft.session, { playerId: craft.player });
  await feed.ready({ timeout: 20_000 });
  const [materials, paused] = [next(feed, "materials"), next(feed, "progress", ({ status }) => status === "paused")];
  await server.publish(craft.short(7), craft.pause());
  assert.equal((await materials).changed[0].problem.availableQuantity, 7);
  await paused;
  const ended = next(feed, "ended");
  await server.publish(craft.complete());
  assert.equal((await ended).result, "completed");
  assert.deepEqual([...seen], ["sse"]);
});

test("a feed that was away hears what it missed", async () => {
  const craft = new Crafted();
  await server.publish(craft.start());
  const { craftnet } = client(craft, { transports: ["sse"] });
  const feed = craftnet.crafting(craft.session, { playerId: craft.player });
  await feed.ready({ timeout: 20_000 });
  craftnet.suspend();
  await server.publish(craft.short(5));
  const [recovered, materials] = [next(feed, "recovered"), next(feed, "materials")];
  craftnet.resume();
  assert.equal((await recovered).recovered, true);
  assert.equal((await materials).changed[0].problem.availableQuantity, 5);
});

test("queues without an entry, and health", async () => {
  const craft = new Crafted();
  await client(craft, { transports: ["sse"] })
    .craftnet.queue(craft.player)
    .ready({ timeout: 20_000 });
  const admin = { transports: ["sse"], getToken: () => token({ scope: "crafting:admin" }) };
  await client(craft, admin).craftnet.health().ready({ timeout: 20_000 });
});

test("a token that is over is replaced, refusals end the feed, and so does a revocation", async () => {
  const [craft, other, reasons] = [new Crafted(), new Crafted(), []];
  await server.publish(craft.start());
  const getToken = ({ reason }) => {
    reasons.push(reason);
    return craft.token({ seconds: reason === "missing" ? -5 : 600 });
  };
  const feed = client(craft, { transports: ["sse"], getToken }).craftnet.crafting(craft.session, {
    playerId: craft.player,
  });
  await feed.ready({ timeout: 20_000 });
  assert.deepEqual(reasons, ["missing", "refused"]);
  const strangers = client(other, { transports: ["sse"] }).craftnet;
  const [forbidden, missing] = [
    next(strangers.crafting(craft.session, { playerId: other.player }), "ended"),
    next(strangers.crafting(other.session, { playerId: other.player }), "ended"),
  ];
  assert.deepEqual([(await forbidden).result, (await missing).result], ["forbidden", "not_found"]);
  const revoked = next(feed, "ended");
  await server.post("/revocations", { player_id: craft.player }, token({ scope: "crafting:admin" }));
  assert.equal((await revoked).result, "revoked");
});
