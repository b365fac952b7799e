/** The built package's UDP transport, against a real server. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Craftnet } from "@craftnet/client";
import { udp } from "@craftnet/client/node-udp";
import { WebSocket } from "ws";

import { Crafted, next, Server } from "./server.mjs";

const server = new Server();
const opened = [];

before(() => server.start());
after(async () => {
  opened.forEach((craftnet) => craftnet.close());
  await server.stop();
});

function client(craft, transports, url = server.url, more = {}) {
  const seen = [];
  const craftnet = new Craftnet(url, {
    getToken: () => craft.token(),
    transports,
    WebSocket,
    reconnect: { min: 50, max: 200 },
    ...more,
  });
  craftnet.on("feed", (feed) => feed.on("message", ({ transport }) => seen.push(transport)));
  opened.push(craftnet);
  return { craftnet, seen };
}

test("a craft's whole life: quantities, problems, a pause, and completion", async () => {
  const craft = new Crafted();
  await server.publish(craft.start());
  const { craftnet, seen } = client(craft, [udp()]);
  const feed = craftnet.crafting(craft.session, { playerId: craft.player });
  await feed.ready({ timeout: 20_000 });
  const whole = next(feed, "materials", ({ materials }) => materials[0].quantity === 10);
  if (!feed.snapshot.materials.length) await whole;
  const [short, paused] = [
    next(feed, "materials", ({ changed }) => changed[0].problem),
    next(feed, "progress", ({ status }) => status === "paused"),
  ];
  await server.publish(craft.short(7), craft.pause());
  const [material] = (await short).changed;
  assert.deepEqual(
    [material.quantity, material.problem.type, material.problem.requiredQuantity],
    [7, "insufficient_quantity", 100],
  );
  assert.ok((await paused).percentAt() < 10);
  assert.match(feed.position, /^[\w-]+:\d+:udp$/);
  const ended = next(feed, "ended");
  await server.publish(craft.complete());
  assert.equal((await ended).result, "completed");
  assert.deepEqual([...new Set(seen)], ["udp"]);
});

test("the reason of a failure", async () => {
  const craft = new Crafted();
  await server.publish(craft.start());
  const feed = client(craft, [udp()]).craftnet.crafting(craft.session, { playerId: craft.player });
  await feed.ready({ timeout: 20_000 });
  const ended = next(feed, "ended");
  await server.publish(craft.fail());
  assert.deepEqual(await ended, { result: "failed", reason: "recipe_error" });
});

test("two crafts of a player share a connection, and one goes on when the other is closed", async () => {
  const [craft, other] = [new Crafted(), new Crafted()];
  other.player = craft.player;
  await server.publish(craft.start(), other.start());
  const { craftnet } = client(craft, [udp()]);
  const feed = craftnet.crafting(craft.session, { playerId: craft.player });
  await feed.ready({ timeout: 20_000 });
  const second = craftnet.crafting(other.session, { playerId: craft.player });
  await second.ready({ timeout: 20_000 });
  feed.close();
  const paused = next(second, "progress", ({ status }) => status === "paused");
  await server.publish(other.pause());
  await paused;
});

test("every request names the preferred region, also those for the open connection", async () => {
  const [craft, other] = [new Crafted(), new Crafted()];
  other.player = craft.player;
  await server.publish(craft.start(), other.start());
  const asked = [];
  const recorded = (url, request) => {
    if (String(url).endsWith("/connect")) asked.push(JSON.parse(request.body));
    return fetch(url, request);
  };
  const { craftnet } = client(craft, [udp({ preferred_region: "us-east" })], server.url, { fetch: recorded });
  for (const { session } of [craft, other]) {
    await craftnet.crafting(session, { playerId: craft.player }).ready({ timeout: 20_000 });
  }
  assert.deepEqual(
    asked.map(({ preferred_region, session_token }) => [preferred_region, session_token !== undefined]),
    [
      ["us-east", false],
      ["us-east", true],
    ],
  );
});

test("queues use the next transport", async () => {
  const craft = new Crafted();
  const { craftnet, seen } = client(craft, [udp(), "json"]);
  await craftnet.queue(craft.player).ready({ timeout: 20_000 });
  assert.deepEqual([...new Set(seen)], ["websocket"]);
});

for (const [why, options] of [
  ["is switched off", ["--udp", "off"]],
  ["gets nowhere", ["--public-udp", "127.0.0.1:9"]],
]) {
  test(`a craft goes on over WebSocket where UDP ${why}`, async () => {
    const other = await new Server(...options).start();
    const craft = new Crafted();
    await other.publish(craft.start());
    const { craftnet, seen } = client(craft, [udp(), "json"], other.url);
    const feed = craftnet.crafting(craft.session, { playerId: craft.player });
    await feed.ready({ timeout: 30_000 });
    assert.deepEqual([...new Set(seen)], ["websocket"]);
    feed.close();
    await other.stop();
  });
}

test("a session that there is not ends the feed", async () => {
  const craft = new Crafted();
  const feed = client(craft, [udp()]).craftnet.crafting(craft.session, { playerId: craft.player });
  assert.equal((await next(feed, "ended")).result, "not_found");
});
