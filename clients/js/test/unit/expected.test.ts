/** The time that the server expects a craft to take, and a bar that advances by it. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { WebSocketTransport } from "../../src/transports/websocket.js";
import type { Player } from "../../src/index.js";
import { client, PLAYER, progress, returned, SESSION, settle } from "./fake-server.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const forecast = (p50: number, p90: number): object => ({ expected_seconds_p50: p50, expected_seconds_p90: p90 });

test("what the server expects is on the progress, from its anchor on", async () => {
  const { craftnet, server } = client();
  const craft = craftnet.crafting(SESSION, { playerId: PLAYER });
  await settle();
  server.newest.send(returned(1, false), progress(2, 20, 40, "active", forecast(80, 120)));
  const shown = craft.snapshot.progress!;
  expect([shown.expected, shown.expectedAt()]).toEqual([
    { p50: 80, p90: 120 },
    { p50: 80, p90: 120 },
  ]);
  expect(shown.expectedAt(shown.anchor + 90_000)).toEqual({ p50: 0, p90: 30 });
  // The bar goes by the authority's remaining time, unless it was asked otherwise.
  expect([shown.percentAt(shown.anchor + 20_000), shown.remainingAt(shown.anchor + 20_000)]).toEqual([60, 20]);
  server.newest.send(progress(3, 30, 40));
  expect(craft.snapshot.progress!.expectedAt()).toBeNull();
  server.newest.send(progress(4, 30, 40, "paused", forecast(80, 120)));
  expect(craft.snapshot.progress!.expectedAt()).toBeNull();
});

test("a bar that advances by the expected time says so to the server", async () => {
  const { craftnet, server } = client();
  const craft = craftnet.crafting(SESSION, { playerId: PLAYER, expected: true });
  await settle();
  expect(server.newest.request.target).toEqual({
    kind: "crafting",
    sessionId: SESSION,
    playerId: PLAYER,
    expected: true,
  });
  server.newest.send(returned(1, false), progress(2, 20, 40, "active", forecast(80, 120)));
  const shown = craft.snapshot.progress!;
  expect([shown.percentAt(shown.anchor + 20_000), shown.remainingAt(shown.anchor + 20_000)]).toEqual([40, 20]);
  expect(shown.percentAt(shown.anchor + 200_000)).toBe(99.99);
  server.newest.send(progress(3, 50, 40));
  const plain = craft.snapshot.progress!;
  expect(plain.percentAt(plain.anchor + 20_000)).toBe(75);
  expect(plain.remainingAt(plain.anchor + 20_000)).toBe(20);
});

test("the same for everything of a player", async () => {
  const { craftnet, server } = client();
  const begun = craftnet.player(PLAYER, { expected: true, device: "phone" });
  await vi.waitFor(() => expect(server.connections).toHaveLength(1));
  const feed: Player = await begun;
  expect(server.newest.request.target).toEqual({ kind: "player", playerId: PLAYER, expected: true, device: "phone" });
  server.newest.send(progress(2, 20, 40, "active", forecast(80, 120)));
  const shown = feed.snapshot.crafts[SESSION]!.progress!;
  expect(shown.percentAt(shown.anchor + 20_000)).toBe(40);
});

test("binary messages have no expected times: such a feed asks for others", () => {
  const opened: { url: string; protocols: string[] }[] = [];
  class Socket {
    constructor(url: string, protocols: string[]) {
      opened.push({ url, protocols });
    }
  }
  const request = {
    target: { kind: "crafting", sessionId: SESSION, playerId: PLAYER, expected: true },
    url: "https://craft.example",
    token: "token",
    resume: null,
    heartbeat: 30,
    fetch,
    WebSocket: Socket as never,
  } as const;
  const listener = {} as never;
  new WebSocketTransport(["bin", "lz4", "json"]).open(request, listener);
  new WebSocketTransport(["bin"]).open(request, listener);
  new WebSocketTransport(["bin", "json"]).open(
    { ...request, target: { kind: "queue", playerId: PLAYER, device: "my phone" } },
    listener,
  );
  expect(opened.map(({ protocols }) => protocols[0])).toEqual([
    "craftnet.json.lz4.v1",
    "craftnet.bin.v1",
    "craftnet.bin.v1",
  ]);
  expect(new URL(opened[0]!.url).searchParams.get("expected")).toBe("1");
  expect(new URL(opened[2]!.url).searchParams.get("device")).toBe("my phone");
});
