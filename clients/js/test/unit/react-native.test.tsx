/** The React Native example, in Node.js with its shims. */

import { act } from "react";
import { create, type ReactTestRenderer } from "react-test-renderer";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import CraftingScreen from "../../examples/react-native/App.js";
import { AppState } from "../../examples/react-native/shims/react-native.js";
import { client, notification, IRON, PLAYER, progress, returned, SESSION } from "./fake-server.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  vi.stubGlobal("requestAnimationFrame", vi.fn());
  vi.stubGlobal("cancelAnimationFrame", vi.fn());
  vi.spyOn(console, "error").mockReturnValue(); // the renderer says that it is old
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const settle = () => act(async () => void (await vi.advanceTimersByTimeAsync(1)));
const texts = (root: ReactTestRenderer) =>
  root.root.findAll(({ type }) => (type as unknown) === "Text").map(({ children }) => children.join(""));

test("the screen shows a craft, is quiet in the background, and goes on where it was", async () => {
  const { craftnet, server } = client();
  let root!: ReactTestRenderer;
  await act(
    async () => void (root = create(<CraftingScreen craftnet={craftnet} sessionId={SESSION} playerId={PLAYER} />)),
  );
  await settle();
  const [craft, queue] = server.connections;
  const place = {
    type: "queue_position",
    player_id: PLAYER,
    timestamp: "",
    epoch: "e",
    version: 1,
    queue_position: 3,
    station_type: "laboratory",
  };
  await act(async () => {
    craft!.send(returned(1, false), progress(2, 20, 40, "paused"), notification(3, "quality_too_low"));
    queue!.send(place);
  });
  expect(texts(root)).toEqual(["paused, 20.0 %", `${IRON}: quality_too_low`, "laboratory: place 3"]);
  await act(async () => AppState.become("background"));
  expect([craft!.closed, queue!.closed]).toEqual([true, true]);
  await act(async () => AppState.become("active"));
  await settle();
  expect(server.connections.map(({ request }) => request.resume)).toEqual([null, null, "e:3", "e:1"]);
  await act(async () => root.unmount());
  await settle();
  expect(server.connections.every(({ closed }) => closed)).toBe(true);
});
