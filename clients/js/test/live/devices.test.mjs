/** The devices of a player, and expected times, against a real server with both options. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Craftnet } from "@craftnet/client";
import { Devices } from "@craftnet/client/devices";
import { udp } from "@craftnet/client/node-udp";
import { WebSocket } from "ws";

import { Crafted, next, Server } from "./server.mjs";

const opened = [];
let folder, server;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "craftnet-"));
  const options = ["--devices", "--learn-progress", join(folder, "learned.json"), "--refresh", "600"];
  server = await new Server(...options).start();
});
after(async () => {
  opened.forEach((craftnet) => craftnet.close());
  await server.stop();
  await rm(folder, { recursive: true });
});

function client(craft, options = {}) {
  const craftnet = new Craftnet(server.url, { getToken: () => craft.token(), WebSocket, ...options });
  opened.push(craftnet);
  return craftnet;
}

const names = (devices) => devices.filter(({ online }) => online).map(({ name }) => name);

/** A device with a feed of the player's queues, once it is registered. */
async function device(craft, name, options) {
  const feed = client(craft, options).queue(craft.player, { device: name });
  const devices = new Devices(feed);
  await next(devices, "devices");
  return { feed, devices };
}

for (const transport of ["bin", "lz4", "json"]) {
  test(`two devices see each other and share what was dismissed, over ${transport}`, async () => {
    const craft = new Crafted();
    const phone = await device(craft, "phone", { transports: [transport] });
    const arrived = next(phone.devices, "devices", (all) => all.length === 2);
    const desk = await device(craft, "desk", { transports: [transport] });
    await arrived;
    for (const { devices } of [phone, desk]) assert.deepEqual(names(devices.devices), ["phone", "desk"]);

    const heard = [next(phone.feed, "queue"), next(desk.feed, "queue")];
    await server.publish(craft.queued(3));
    const [{ position }, other] = await Promise.all(heard);
    assert.equal(position, other.position);

    const seen = next(desk.devices, "cursor");
    phone.devices.seen(position);
    assert.equal((await seen).device, "phone");
    assert.ok(desk.devices.isSeen(position) && !desk.devices.isDismissed(position));

    const dismissed = next(phone.devices, "cursor", ({ cursor }) => cursor.dismissed > 0);
    desk.devices.dismiss(position);
    await dismissed;
    assert.ok(phone.devices.isDismissed(position));

    const late = await device(craft, "tablet", { transports: [transport] });
    assert.ok(late.devices.isDismissed(position));
  });
}

test("the end of a craft, on the feed of a player", async () => {
  const craft = new Crafted();
  const [phone, desk] = await Promise.all(
    ["phone", "desk"].map((name) => client(craft).player(craft.player, { device: name })),
  );
  const [mine, others] = [new Devices(phone), new Devices(desk)];
  await Promise.all([next(mine, "devices"), next(others, "devices")]);
  const ends = [phone, desk].map((feed) => next(feed, "craft", ({ craft }) => craft.progress?.status === "failed"));
  await server.publish(craft.start(), craft.fail());
  const [{ position, sessionId }] = await Promise.all(ends);
  const moved = next(others, "cursor");
  mine.dismiss(position, sessionId);
  assert.deepEqual([(await moved).cursor.sessionId, others.isDismissed(position, sessionId)], [craft.session, true]);
});

test("a device on an event stream is seen and hears, and cannot report", async () => {
  const craft = new Crafted();
  const phone = await device(craft, "phone");
  const page = await device(craft, "page", { transports: ["sse"] });
  const [mine, heard] = [next(phone.feed, "queue"), next(page.feed, "queue")];
  await server.publish(craft.queued(3));
  const { position } = await mine;
  await heard;
  page.devices.seen(position);
  const moved = next(page.devices, "cursor");
  phone.devices.dismiss(position);
  assert.equal((await moved).device, "phone");
  assert.deepEqual(names(phone.devices.devices), ["phone", "page"]);
});

test("a wrong report is refused, and the feed goes on", async () => {
  const craft = new Crafted();
  const { feed, devices } = await device(craft, "phone");
  const refused = next(devices, "refused");
  devices.seen("other:1");
  assert.equal((await refused).code, 400);
  assert.equal(feed.state, "live");
});

test("after a suspension the device is there again, with what was dismissed meanwhile", async () => {
  const craft = new Crafted();
  const craftnet = client(craft);
  const feed = craftnet.queue(craft.player, { device: "phone" });
  const devices = new Devices(feed);
  await next(devices, "devices");
  const heard = next(feed, "queue");
  await server.publish(craft.queued(3));
  const { position } = await heard;
  craftnet.suspend();
  devices.dismiss(position);
  assert.equal(devices.registered, false);
  const moved = next(devices, "cursor");
  craftnet.resume();
  assert.ok((await moved).cursor.dismissed > 0);
});

/** Teaches the server that crafts take half as long again as is estimated, and starts one. */
async function learned(craft) {
  const past = new Date(Date.now() - 90_000).toISOString();
  const taught = [];
  for (let count = 0; count < 40; count += 1) {
    const other = new Crafted();
    taught.push({ ...other.start(60), timestamp: past }, other.complete());
  }
  await server.publish(...taught);
  await server.publish(craft.start(60));
}

test("a bar that goes by what the server has learned", async () => {
  const craft = new Crafted();
  await learned(craft);
  for (const options of [{}, { transports: ["sse"] }, { transports: ["lz4"] }]) {
    const feed = client(craft, options).crafting(craft.session, { playerId: craft.player, expected: true });
    await feed.ready({ timeout: 20_000 });
    const { progress } = feed.snapshot;
    const { p50, p90 } = progress.expectedAt(progress.anchor);
    assert.ok(Math.abs(p50 - 90) < 3 && p90 >= p50, `${p50}, ${p90}`);
    const half = progress.percentAt(progress.anchor + 30_000);
    assert.ok(Math.abs(half - 33) < 4, `${half} after 30 s`);
    assert.ok(Math.abs(progress.remainingAt(progress.anchor) - 60) < 3);
  }
});

test("over UDP, progress is the expected one for feeds that ask", async () => {
  const craft = new Crafted();
  await learned(craft);
  const craftnet = client(craft, { transports: [udp()] });
  const feeds = [true, false].map((expected) => craftnet.crafting(craft.session, { playerId: craft.player, expected }));
  await Promise.all(feeds.map((feed) => next(feed, "progress")));
  const halves = feeds.map(({ snapshot: { progress } }) => progress.percentAt(progress.anchor + 30_000));
  assert.ok(Math.abs(halves[0] - 33) < 4 && Math.abs(halves[1] - 50) < 4, `${halves} after 30 s`);
});
