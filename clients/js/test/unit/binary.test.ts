/** The position of a feed over craftnet.bin.v1, whose records have none, and what a feed reports after a return. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { decode } from "../../src/core/bin.js";
import type { Craft } from "../../src/index.js";
import { encodeChangeRow, encodeHeader, encodeProgressBody, type ChangeRow } from "../../src/wire.js";
import { begun, IRON, notification, returned, SESSION, settle, type FakeTransport } from "./fake-server.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A version: all changes, those of the materials, and one change of the queue. */
const version = (changes: number, materials: number): number => changes * 2 ** 22 + materials * 2 ** 11 + 1;

const record = (packetType: number, sequence: number, body: Uint8Array) => {
  const header = { packetType, version: 1, length: 32 + body.length, sequence, timestampMs: Date.now() };
  return decode(Uint8Array.from([...encodeHeader({ ...header, sessionId: SESSION }), ...body]));
};

const changed = (sequence: number, quantity: number, changeType: ChangeRow["changeType"] = "quantity_changed") =>
  record(2, sequence, encodeChangeRow({ materialId: IRON, quantity, changeType, quality: null }));

const progressed = (sequence: number) =>
  record(1, sequence, encodeProgressBody({ percent: 20, quality: 50, targetQuality: 50, remaining: null, flags: 1 }));

/** A feed at version(5, 3), and the quantities of each change of its materials that it reports from then on. */
async function watched(): Promise<{ craft: Craft; server: FakeTransport; reported: (number | null)[] }> {
  const { craft, server } = await begun();
  server.newest.send(returned(version(5, 3), false), progressed(5));
  const reported: (number | null)[] = [];
  craft.on("materials", (event) => reported.push(...event.changed.map(({ quantity }) => quantity)));
  return { craft, server, reported };
}

/** Loses the connection and opens another one: the position from which the feed resumes, which the server confirms. */
async function reconnected({ craft, server, reported }: Awaited<ReturnType<typeof watched>>): Promise<string | null> {
  server.newest.end(1006);
  craft.wake();
  await settle();
  const { resume } = server.newest.request;
  reported.length = 0;
  server.newest.send(returned(Number(resume!.split(":")[1]), true));
  return resume;
}

test("records of materials advance the position, once the record after them has come", async () => {
  const watch = await watched();
  const { craft, server } = watch;
  server.newest.send(changed(6, 10));
  expect(craft.position).toBe(`e:${version(5, 3)}`);
  server.newest.send(changed(8, 20)); // a change of the session itself, which is not counted, has come between
  expect(craft.position).toBe(`e:${version(6, 4)}`);
  server.newest.send(progressed(9));
  expect(await reconnected(watch)).toBe(`e:${version(7, 5)}`);
});

test("a record that the server repeats after a return is reported once", async () => {
  const watch = await watched();
  const { craft, server, reported } = watch;
  server.newest.send(changed(6, 10), changed(7, 20));
  expect(reported).toEqual([10, 20]);
  expect(await reconnected(watch)).toBe(`e:${version(6, 4)}`); // the second may have notifications
  server.newest.send(changed(7, 20));
  expect(reported).toEqual([]);
  const problem = { required_quantity: 30, available_quantity: 20 };
  server.newest.send(notification(version(7, 5), "insufficient_quantity", problem)); // it had not come
  expect([reported, craft.position]).toEqual([[20], `e:${version(7, 5)}`]);
});

test("a record that is repeated twice is counted once", async () => {
  const watch = await watched();
  const { server, reported } = watch;
  server.newest.send(changed(6, 10));
  for (let lost = 0; lost < 2; lost += 1) {
    expect(await reconnected(watch)).toBe(`e:${version(5, 3)}`);
    server.newest.send(changed(6, 10));
    expect(reported).toEqual([]);
  }
  server.newest.send(changed(7, 20));
  expect(reported).toEqual([20]);
  expect(await reconnected(watch)).toBe(`e:${version(6, 4)}`);
});

test("a record that was missed is reported, and so is one of another epoch", async () => {
  const watch = await watched();
  const { server, reported } = watch;
  server.newest.send(changed(6, 10));
  await reconnected(watch);
  server.newest.send(changed(6, 10), changed(7, 30));
  expect(reported).toEqual([30]);
  server.newest.send({ ...returned(version(1, 1), false), epoch: "f" }, changed(2, 30));
  expect(reported).toEqual([30, 30]);
});

test("a material that is gone is reported once", async () => {
  const watch = await watched();
  const { craft, server, reported } = watch;
  server.newest.send(changed(6, 10), changed(7, 0, "removed"));
  await reconnected(watch);
  server.newest.send(changed(7, 0, "removed"));
  expect([reported, craft.snapshot.materials]).toEqual([[], []]);
});

test("the position follows a long craft, so that the server can still read it", async () => {
  const { craft, server } = await watched();
  server.newest.send(progressed(5 + 1023));
  expect(craft.position).toBe(`e:${version(5, 3)}`);
  server.newest.send(progressed(5 + 1024));
  expect(craft.position).toBe(`e:${version(5 + 1024, 3)}`);
});

test("the count of materials begins again after 2047", async () => {
  const { craft, server } = await watched();
  server.newest.send({ ...returned(version(3000, 2047), false) }, changed(3001, 10), progressed(3002));
  expect(craft.position).toBe(`e:${version(3001, 0)}`);
});

test("a notification that is not the last of its change leaves the position before it", async () => {
  const watch = await watched();
  const { server, reported } = watch;
  server.newest.send(changed(6, 10), notification(version(5, 3), "quality_too_low"));
  expect(await reconnected(watch)).toBe(`e:${version(5, 3)}`);
  server.newest.send(changed(6, 10));
  expect(reported).toEqual([]);
});

test("nothing is counted before the state is whole", async () => {
  const { craft, server } = await begun();
  server.newest.send(returned(0, true), changed(6, 10), progressed(2000));
  expect(craft.position).toBe("e:0");
});
