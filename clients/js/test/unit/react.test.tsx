import { act, StrictMode } from "react";
import { create, type ReactTestRenderer } from "react-test-renderer";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Craftnet } from "../../src/index.js";
import { useCraft, usePercent, useQueue } from "../../src/react.js";
import { client, notification, PLAYER, progress, returned, SESSION } from "./fake-server.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  vi.spyOn(console, "error").mockReturnValue(); // the renderer says that it is old
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Lets effects, promises and timers that are due go on. */
const settle = () => act(async () => void (await vi.advanceTimersByTimeAsync(1)));

function Bar({ craftnet }: { craftnet: Craftnet }) {
  const { state, snapshot, result } = useCraft(craftnet, SESSION, { playerId: PLAYER });
  const percent = usePercent(snapshot.progress);
  return `${result?.result ?? state} ${percent.toFixed()} ${snapshot.materials.length}`;
}

function Places({ craftnet }: { craftnet: Craftnet }) {
  const { state, snapshot } = useQueue(craftnet, PLAYER);
  return `${state} ${Object.values(snapshot).map(({ queuePosition }) => queuePosition)}`;
}

async function rendered(node: React.ReactElement): Promise<ReactTestRenderer> {
  let root: ReactTestRenderer;
  await act(async () => void (root = create(node)));
  await settle();
  return root!;
}

test("a component shows a craft from its first state to its end", async () => {
  const { craftnet, server } = client();
  const root = await rendered(<Bar craftnet={craftnet} />);
  expect(root.toJSON()).toBe("connecting 0 0");
  await act(async () =>
    server.newest.send(returned(1, false), progress(2, 20, 40, "paused"), notification(3, "quality_too_low")),
  );
  expect(root.toJSON()).toBe("live 20 1");
  await act(async () => server.newest.send(progress(4, 0, undefined, "completed")));
  expect(root.toJSON()).toBe("completed 100 1");
});

test("components that watch the same share a feed, which ends with the last of them", async () => {
  const { craftnet, server } = client();
  const root = await rendered(
    <StrictMode>
      <Bar craftnet={craftnet} />
      <Bar craftnet={craftnet} />
    </StrictMode>,
  );
  expect(server.connections).toHaveLength(1);
  await act(async () => root.update(<Bar craftnet={craftnet} />));
  await settle();
  expect([server.connections.length, server.newest.closed]).toEqual([1, false]);
  await act(async () => root.update(<p />));
  await settle();
  expect(server.newest.closed).toBe(true);
});

test("a component moves to another craft", async () => {
  const { craftnet, server } = client();
  function Of({ session }: { session: string }) {
    return useCraft(craftnet, session, { playerId: PLAYER }).state;
  }
  const root = await rendered(<Of session={SESSION} />);
  await act(async () => root.update(<Of session={PLAYER} />));
  await settle();
  expect(
    server.connections.map(({ request, closed }) => [
      "sessionId" in request.target && request.target.sessionId,
      closed,
    ]),
  ).toEqual([
    [SESSION, true],
    [PLAYER, false],
  ]);
});

test("places in queues", async () => {
  const { craftnet, server } = client();
  const root = await rendered(<Places craftnet={craftnet} />);
  const place = {
    type: "queue_position",
    player_id: PLAYER,
    timestamp: "",
    epoch: "e",
    version: 1,
    queue_position: 3,
    station_type: "laboratory",
  };
  await act(async () => server.newest.send(place));
  expect(root.toJSON()).toBe("live 3");
});

test("a percent is drawn in each frame while the craft is active", async () => {
  const frames: ((time: number) => void)[] = [];
  vi.stubGlobal("requestAnimationFrame", (frame: (time: number) => void) => frames.push(frame));
  vi.stubGlobal("cancelAnimationFrame", () => (frames.length = 0));
  const { craftnet, server } = client();
  const root = await rendered(<Bar craftnet={craftnet} />);
  await act(async () => server.newest.send(returned(1, false), progress(2, 20, 40)));
  for (const expected of ["live 40 0", "live 60 0"]) {
    await act(async () => {
      await vi.advanceTimersByTimeAsync(10_000);
      frames.shift()!(performance.now());
    });
    expect(root.toJSON()).toBe(expected);
  }
  await act(async () => server.newest.send(progress(3, 71, 12, "paused")));
  expect(frames).toEqual([]);
});
