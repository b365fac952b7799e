/** The devices of a player, over a fake transport: presence, cursors and what is reported when. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Devices } from "../../src/devices.js";
import type { Queue } from "../../src/index.js";
import { client, PLAYER, SESSION, settle, timestamp, type FakeTransport } from "./fake-server.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const place = (version: number): object => ({
  type: "queue_position",
  player_id: PLAYER,
  timestamp: timestamp(),
  queue_position: 2,
  station_type: "laboratory",
  epoch: "e",
  version,
});

const SINCE = "2026-01-15T10:12:00.000Z";

const devicesMessage = (names: Record<string, boolean>, own: object[] = [], cursors: object[] = own): object => ({
  type: "devices",
  player_id: PLAYER,
  timestamp: timestamp(),
  devices: Object.entries(names).map(([name, online]) => ({
    name,
    online,
    since: SINCE,
    ...(name === "phone" && own.length && { cursors: own }),
  })),
  ...(cursors.length && { cursors }),
});

const cursorMessage = (device: string, cursor: object): object => ({
  type: "device_cursor",
  player_id: PLAYER,
  timestamp: timestamp(),
  device,
  cursor: { epoch: "e", ...cursor },
});

const refused = (code: number): object => ({ type: "device_refused", timestamp: timestamp(), code, message: "why" });

async function begun(): Promise<{ server: FakeTransport; feed: Queue; devices: Devices; heard: unknown[] }> {
  const { craftnet, server } = client();
  const feed = craftnet.queue(PLAYER, { device: "phone" });
  const devices = new Devices(feed);
  const heard: unknown[] = [];
  devices.on("devices", (all) => heard.push(all.map(({ name, online }) => `${name} ${online}`)));
  devices.on("cursor", (change) => heard.push(change));
  devices.on("refused", (refusal) => heard.push(refusal));
  await settle();
  return { server, feed, devices, heard };
}

const received = (server: FakeTransport): object[] => server.newest.received.map((text) => JSON.parse(text));

test("a device registers and sees who else is there", async () => {
  const { server, devices, heard } = await begun();
  expect(server.newest.request.target).toEqual({ kind: "queue", playerId: PLAYER, device: "phone" });
  expect([devices.registered, devices.devices]).toEqual([false, []]);
  server.newest.send(devicesMessage({ phone: true }));
  server.newest.send(devicesMessage({ phone: true, desk: true }));
  expect(heard).toEqual([["phone true"], ["phone true", "desk true"]]);
  expect(devices.registered).toBe(true);
  expect(devices.devices[1]).toEqual({ name: "desk", online: true, since: Date.parse(SINCE), cursors: [] });
});

test("messages about devices change nothing else of the feed", async () => {
  const { server, feed } = await begun();
  server.newest.send(place(7), devicesMessage({ phone: true }), cursorMessage("desk", { seen: 7 }), refused(400));
  expect([feed.position, feed.snapshot.laboratory?.queuePosition]).toEqual(["e:7", 2]);
});

test("a notification has a position, which another device dismisses", async () => {
  const { server, feed, devices, heard } = await begun();
  const positions: (string | null)[] = [];
  feed.on("queue", ({ position }) => positions.push(position));
  server.newest.send(devicesMessage({ phone: true, desk: true }), place(7));
  const [position] = positions as [string];
  expect([position, devices.isSeen(position), devices.isDismissed(position)]).toEqual(["e:7", false, false]);
  server.newest.send(cursorMessage("desk", { seen: 7 }));
  expect([devices.isSeen(position), devices.isDismissed(position)]).toEqual([true, false]);
  server.newest.send(cursorMessage("desk", { seen: 8, dismissed: 7 }));
  expect([devices.isDismissed(position), devices.isDismissed("e:8"), devices.isDismissed("f:7")]).toEqual([
    true,
    false,
    false,
  ]);
  expect(heard.at(-1)).toEqual({ device: "desk", cursor: { epoch: "e", seen: 8, dismissed: 7 } });
});

test("reports wait until the device is registered, and the newest of each feed is sent", async () => {
  const { server, devices } = await begun();
  devices.seen("e:5");
  devices.seen("e:6");
  devices.dismiss("e:4");
  devices.seen("e:3:udp", SESSION);
  devices.seen("0:0");
  devices.seen(null);
  expect(received(server)).toEqual([]);
  expect([devices.isDismissed("e:4"), devices.isDismissed("e:5")]).toEqual([true, false]);
  server.newest.send(devicesMessage({ phone: true }));
  const first = [
    { type: "dismissed", epoch: "e", version: 4 },
    { type: "seen", epoch: "e", version: 6 },
  ];
  expect(received(server)).toEqual(first);
  await vi.advanceTimersByTimeAsync(500);
  expect(received(server)).toEqual([...first, { type: "seen", epoch: "e", version: 3, session_id: SESSION }]);
});

test("what is known is not reported again", async () => {
  const { server, devices } = await begun();
  server.newest.send(devicesMessage({ phone: true }, [{ epoch: "e", seen: 9, dismissed: 2 }]));
  devices.seen("e:9");
  devices.dismiss("e:2");
  expect(received(server)).toEqual([]);
  devices.dismiss("e:9");
  devices.dismiss("e:9");
  await vi.advanceTimersByTimeAsync(2000);
  expect(received(server)).toEqual([{ type: "dismissed", epoch: "e", version: 9 }]);
});

test("at most one feed's report in half a second", async () => {
  const { server, devices } = await begun();
  server.newest.send(devicesMessage({ phone: true }));
  for (let version = 1; version <= 20; version += 1) devices.seen(`e:${version}`);
  expect(received(server)).toEqual([{ type: "seen", epoch: "e", version: 1 }]);
  await vi.advanceTimersByTimeAsync(500);
  expect(received(server).at(-1)).toEqual({ type: "seen", epoch: "e", version: 20 });
  expect(received(server)).toHaveLength(2);
});

test("after a reconnection, what may have been lost is reported again", async () => {
  const { server, devices } = await begun();
  server.newest.send(devicesMessage({ phone: true }));
  devices.dismiss("e:5");
  await vi.advanceTimersByTimeAsync(1000);
  devices.seen("e:6");
  server.newest.end(1006);
  expect(devices.registered).toBe(false);
  await vi.advanceTimersByTimeAsync(1000);
  expect(received(server)).toEqual([]);
  server.newest.send(devicesMessage({ phone: true }, [{ epoch: "e", seen: 5, dismissed: 5 }]));
  await vi.advanceTimersByTimeAsync(1000);
  expect(received(server).at(-1)).toEqual({ type: "seen", epoch: "e", version: 6 });
  server.newest.end(1006);
  await vi.advanceTimersByTimeAsync(1000);
  server.newest.send(devicesMessage({ phone: true }, [{ epoch: "e", seen: 6, dismissed: 5 }]));
  await vi.advanceTimersByTimeAsync(1000);
  expect(received(server)).toEqual([]);
});

test("what was dismissed before this device arrived is an event, once", async () => {
  const { server, heard, devices } = await begun();
  const cursor = { session_id: SESSION, epoch: "e", seen: 5, dismissed: 5 };
  server.newest.send(devicesMessage({ phone: true }, [], [cursor]));
  server.newest.send(devicesMessage({ phone: true, desk: false }, [], [cursor]));
  const shown = { sessionId: SESSION, epoch: "e", seen: 5, dismissed: 5 };
  expect(heard).toEqual([["phone true"], { cursor: shown }, ["phone true", "desk false"]]);
  expect(devices.cursors).toEqual([shown]);
  expect([devices.isDismissed("e:5", SESSION), devices.isDismissed("e:5")]).toEqual([true, false]);
});

test("a refused report is not repeated, one that could not be kept is", async () => {
  const { server, devices, heard } = await begun();
  server.newest.send(devicesMessage({ phone: true }));
  devices.seen("e:1");
  server.newest.send(refused(503));
  expect(heard.at(-1)).toEqual({ code: 503, message: "why" });
  await vi.advanceTimersByTimeAsync(5000);
  expect(received(server)).toHaveLength(2);
  server.newest.send(refused(400));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(received(server)).toHaveLength(2);
});

test("a feed without a device, and the end of one", async () => {
  const { craftnet } = client();
  expect(() => new Devices(craftnet.queue(PLAYER))).toThrow('make it with { device: "phone" }');
  const { server, feed, devices, heard } = await begun();
  server.newest.send(devicesMessage({ phone: true }));
  const connection = server.newest;
  feed.close();
  devices.seen("e:1");
  expect([connection.received, heard.length]).toEqual([[], 1]);
});
