import { expect, test } from "vitest";

import * as format from "../src/format";
import type { CraftProgress, Overview, ServerMessage } from "../src/messages";
import {
  advanced,
  dropped,
  freshness,
  initial,
  memoryPerSession,
  percentAt,
  received,
  remainingAt,
  STALE_AFTER,
  TRACE_LENGTH,
  traced,
  viewed,
  withoutToken,
} from "../src/state";

const NOW = Date.parse("2026-01-15T10:30:00.000Z");
const at = (offset = 0): string => new Date(NOW + offset).toISOString();
const hello: ServerMessage = {
  type: "hello",
  timestamp: at(),
  info: {
    node: "craft-1:4711",
    version: "0.1.0",
    mode: "on",
    may_operate: true,
    promises: {
      websocket_delivery_ms: 5,
      udp_delivery_ms: 1,
      session_memory_bytes: 10_240,
      session_bytes_per_second: 51_200,
    },
  },
};
const overview = (offset = 0, point = {}): ServerMessage => ({
  type: "overview",
  timestamp: at(offset),
  overview: { nodes: [] } as unknown as Overview,
  point,
});
const series: ServerMessage = {
  type: "series",
  timestamp: at(),
  series: { until: at(), step_seconds: 5, values: { connections: [1, 2, 3] } },
};

test("a feed is live when it says hello, and its clock is known", () => {
  const state = received(initial, hello, NOW - 250);
  expect(state.connection).toEqual({ phase: "live" });
  expect(state.ahead).toBe(250);
  expect(state.info?.may_operate).toBe(true);
});

test("figures are loading, live, stale, and disconnected", () => {
  let state = received(initial, hello, NOW);
  expect(freshness(state, NOW)).toBe("loading");
  state = received(state, overview(), NOW);
  expect(freshness(state, NOW + STALE_AFTER)).toBe("live");
  expect(freshness(state, NOW + STALE_AFTER + 1)).toBe("stale");
  expect(freshness({ ...state, connection: { phase: "waiting", until: 0, reason: "" } }, NOW)).toBe("disconnected");
});

test("a step that has ended keeps the last value that it had", () => {
  let state = received(received(initial, hello, NOW), series, NOW);
  state = received(state, overview(1000, { connections: 4 }), NOW + 1000);
  expect(state.series).toMatchObject({ until: NOW, values: { connections: [1, 2, 3] }, point: { connections: 4 } });
  state = received(state, overview(4000, { connections: 6 }), NOW + 4000);
  state = received(state, overview(5000, { connections: 7 }), NOW + 5000);
  expect(state.series).toMatchObject({ until: NOW + 5000, values: { connections: [2, 3, 6] } });
});

test("a page that slept for a week goes on at once", () => {
  const week = 7 * 24 * 3600 * 1000;
  const before = { until: NOW, step: 5000, values: { connections: [1, 2] }, point: { connections: 3 } };
  expect(advanced(before, { connections: 9 }, NOW + week).until).toBeGreaterThan(NOW + week - 10_000);
});

test("memory per session is unknown with few sessions", () => {
  const values = { memory_bytes: [1e6, 1e6, 1e6, null], sessions: [4000, 0, 999, 4000] };
  expect(memoryPerSession({ until: NOW, step: 5000, values, point: {} })).toEqual([250, null, null, null]);
});

test("a view shows what was subscribed to, until it is dropped", () => {
  let state = viewed(initial, "v1", { view: "sessions" });
  const view = (id: string, data: unknown): ServerMessage => ({
    type: "view",
    id,
    timestamp: at(),
    view: "sessions",
    data,
  });
  state = received(state, view("v1", { sessions: [] }), NOW);
  expect(state.views["v1"]?.data).toEqual({ sessions: [] });
  state = received(state, { type: "error", timestamp: at(), code: 503, message: "Redis is away.", id: "v1" }, NOW);
  expect(state.views["v1"]).toMatchObject({ data: { sessions: [] }, error: "Redis is away." });
  state = received(dropped(state, "v1"), view("v1", {}), NOW);
  expect(state.views).toEqual({});
});

test("a trace keeps its newest entries, and counts those that were left out", () => {
  let state = traced(initial, "t1", "session");
  const entry = { timestamp: at(), node: "n", direction: "in", kind: "event", bytes: 1, name: "x" } as const;
  const entries = Array.from({ length: 100 }, () => entry);
  for (let sent = 0; sent < 8; sent += 1)
    state = received(state, { type: "trace", id: "t1", timestamp: at(), entries, dropped: 2 }, NOW);
  expect(state.traces["t1"]?.entries.length).toBe(TRACE_LENGTH);
  expect(state.traces["t1"]?.dropped).toBe(16);
});

test("messages of a newer server are ignored", () => {
  expect(received(initial, { type: "new", timestamp: at() } as never, NOW).connection).toEqual(initial.connection);
});

test("a craft goes on by itself while it is active", () => {
  const active: CraftProgress = { status: "active", at: at(), percent: 40, remaining_seconds: 60 };
  expect(percentAt(active, NOW - 1000)).toBe(40);
  expect(percentAt(active, NOW + 30_000)).toBe(70);
  expect(percentAt(active, NOW + 90_000)).toBe(100);
  expect(remainingAt(active, NOW + 30_000)).toBe(30);
  expect(percentAt({ ...active, status: "paused" }, NOW + 30_000)).toBe(40);
  expect(remainingAt({ ...active, status: "paused" }, NOW + 30_000)).toBe(60);
  expect(percentAt({ status: "active", at: at(), percent: 40 }, NOW + 30_000)).toBe(40);
  expect(percentAt({ ...active, status: "completed" }, NOW)).toBe(100);
  expect(remainingAt({ ...active, status: "failed" }, NOW)).toBeUndefined();
});

test.each([
  ["#token=a.b.c", "", "a.b.c"],
  ["#token=a.b.c&/queues", "#/queues", "a.b.c"],
  ["#/sessions/5f0d?token=a.b.c", "#/sessions/5f0d", "a.b.c"],
  ["#/sessions/5f0d", "#/sessions/5f0d", undefined],
  ["#/health&token=", "#/health", undefined],
  ["", "", undefined],
])("the fragment %s is the page %s and a token", (fragment, page, token) => {
  expect(withoutToken(fragment)).toEqual([page, token]);
});

test.each([
  [format.duration(59.6), "1 min"],
  [format.duration(95), "1 min 35 s"],
  [format.duration(3 * 86_400 + 4200), "3 d 1 h"],
  [format.milliseconds(0.314), "0.31 ms"],
  [format.milliseconds(undefined), "–"],
  [format.bytes(10_240), "10.0 KiB"],
  [format.number(8368), "8,368"],
  [format.number(0.25), "0.3"],
])("%s", (shown, expected) => expect(shown).toBe(expected));

test("a node has a series of its own, which begins with the page and ends when the node is gone", () => {
  const nodes = (name: string, connections: number) =>
    [
      {
        node: name,
        answering: true,
        figures: { connections: { websocket: connections, udp: 1 }, delivery: {}, loop_delay: { count: 0 } },
      },
    ] as unknown as Overview["nodes"];
  const message = (offset: number, shown: Overview["nodes"]): ServerMessage => ({
    type: "overview",
    timestamp: at(offset),
    overview: { nodes: shown } as unknown as Overview,
    point: {},
  });
  let state = received(initial, message(0, nodes("a", 4)), NOW);
  expect(state.nodes["a"]!.point["connections"]).toBe(5);
  expect(state.nodes["a"]!.values["connections"]).toHaveLength(36);
  expect(state.nodes["a"]!.values["udp_p99_ms"]!.at(-1)).toBeNull();
  state = received(state, message(5_000, nodes("a", 7)), NOW);
  expect(state.nodes["a"]!.values["connections"]!.slice(-2)).toEqual([null, 5]);
  state = received(state, message(6_000, nodes("b", 1)), NOW);
  expect(Object.keys(state.nodes)).toEqual(["b"]);
});
