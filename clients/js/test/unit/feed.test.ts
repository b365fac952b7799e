import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { FeedEndedError } from "../../src/index.js";
import {
  begun,
  client,
  heartbeat,
  IRON,
  live,
  notification,
  PLAYER,
  progress,
  queued,
  returned,
  SESSION,
  settle,
  statesOf,
  timestamp,
} from "./fake-server.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a craft's life", () => {
  test("connects once its maker listens, is live with the first message, and ends with the craft", async () => {
    const { craftnet, server } = client();
    const craft = craftnet.crafting(SESSION, { playerId: PLAYER });
    const states = statesOf(craft);
    const [ended, recovered] = [vi.fn(), vi.fn()];
    craft.on("ended", ended);
    craft.on("recovered", recovered);
    expect(craft.state).toBe("idle");
    await settle();
    expect(server.newest.request).toMatchObject({
      url: "https://craft.example",
      token: "token",
      resume: null,
      heartbeat: 30,
    });
    expect(craft.state).toBe("connecting");
    server.newest.send(returned(1, false), progress(2, 20, 40), progress(3, 0, undefined, "completed"));
    expect(states.map(({ to }) => to)).toEqual(["connecting", "live", "ended"]);
    expect(ended).toHaveBeenCalledExactlyOnceWith({ result: "completed", reason: "" });
    expect(recovered).not.toHaveBeenCalled(); // it has not been there before
    expect([craft.snapshot.progress?.percentAt(), server.newest.closed]).toEqual([100, true]);
  });

  test("reports why a craft failed", async () => {
    const { server, craft } = await live();
    server.newest.send(progress(3, 50, undefined, "failed", { failure_reason: "recipe_error" }));
    expect(craft.result).toEqual({ result: "failed", reason: "recipe_error" });
  });

  test("close() ends it, once", async () => {
    const { server, craft, to } = await live();
    craft.close();
    craft.close();
    server.newest.send(progress(3, 30, 30));
    server.newest.end(1006);
    expect(to()).toEqual(["connecting", "live", "ended"]);
    expect([craft.result, vi.getTimerCount()]).toEqual([{ result: "closed", reason: "" }, 0]);
  });

  test("a handler that throws affects no other handler", async () => {
    const thrown = new Promise((resolve) => process.once("uncaughtException", resolve));
    const { server, craft } = await begun();
    const after = vi.fn();
    craft.on("progress", () => {
      throw new Error("a fault of the application");
    });
    craft.on("progress", after);
    server.newest.send(progress(2, 20, 40));
    vi.useRealTimers();
    expect(String(await thrown)).toContain("a fault of the application");
    expect(after).toHaveBeenCalledOnce();
  });

  test("a handler that closes the feed hears nothing more", async () => {
    const { server, craft } = await begun();
    const materials = vi.fn();
    craft.on("progress", () => craft.close());
    craft.on("materials", materials);
    server.newest.send(progress(2, 20, 40), notification(3, "quality_too_low"));
    expect(materials).not.toHaveBeenCalled();
  });
});

describe("the events of a craft", () => {
  test("a bar goes on between two messages on the server's clock, and never back", async () => {
    const { server, craft } = await begun();
    let bar = craft.snapshot.progress;
    craft.on("progress", (newest) => (bar = newest));
    server.newest.send({ ...progress(2, 20, 40), timestamp: timestamp(60_000) });
    expect(craft.serverTime - Date.now()).toBeCloseTo(60_000, 0);
    expect(bar!.percentAt()).toBeCloseTo(20, 1);
    await vi.advanceTimersByTimeAsync(20_000);
    expect([bar!.percentAt(), bar!.remainingAt()].map((each) => Math.round(each!))).toEqual([60, 20]);
    server.newest.send({ ...progress(3, 58, 21), timestamp: timestamp(60_000) });
    expect(bar!.percentAt()).toBeCloseTo(60, 1);
    server.newest.send({ ...progress(4, 30, 35), timestamp: timestamp(60_000) });
    expect(bar!.percentAt()).toBeCloseTo(30, 1);
  });

  test("materials by their problems, until they are restored", async () => {
    const { server, craft } = await live();
    const received = vi.fn();
    craft.on("materials", received);
    server.newest.send(notification(3, "insufficient_quantity", { required_quantity: 5, available_quantity: 2 }));
    const problem = { type: "insufficient_quantity", requiredQuantity: 5, availableQuantity: 2 };
    const iron = { id: IRON, quantity: null, quality: null, problem };
    expect(received).toHaveBeenLastCalledWith({ type: "materials", materials: [iron], changed: [iron] });
    server.newest.send(notification(4, "material_restored"));
    expect(craft.snapshot.materials).toEqual([{ ...iron, problem: null }]);
  });

  test("places in queues", async () => {
    const { server, craft } = await live();
    const place = { playerId: PLAYER, queuePosition: 3, stationType: "laboratory", estimatedWaitSeconds: 9 };
    const received = vi.fn();
    craft.on("queue", received);
    server.newest.send(queued(3, 3));
    expect(received).toHaveBeenCalledExactlyOnceWith({ type: "queue", place });
    expect(craft.snapshot.queues).toEqual([place]);
  });

  test("a snapshot is the same object until something changes", async () => {
    const { server, craft } = await live();
    const before = craft.snapshot;
    server.newest.send(heartbeat(3));
    expect(craft.snapshot).toBe(before);
    server.newest.send(queued(4, 2));
    expect([craft.snapshot === before, craft.snapshot.progress === before.progress]).toEqual([false, true]);
    expect(craft.position).toBe("e:4");
  });

  test("its changes can be iterated over; a newer progress replaces one that was not read", async () => {
    const { server, craft } = await live();
    const found: string[] = [];
    const reading = (async () => {
      for await (const change of craft) {
        found.push(
          change.type === "progress"
            ? `${change.progress.status} ${change.progress.percentAt().toFixed()}`
            : change.type,
        );
      }
    })();
    await settle();
    server.newest.send(progress(3, 30, 40), notification(4, "quality_too_low"), progress(5, 40, 30));
    await settle();
    server.newest.send(progress(6, 0, undefined, "completed"));
    await reading;
    expect(found).toEqual(["materials", "active 40", "completed 100"]);
  });
});

describe("ready", () => {
  test("waits for the whole state", async () => {
    const { server, craft } = await begun();
    const ready = vi.fn();
    void craft.ready().then(ready);
    server.newest.send(returned(1, false));
    await settle();
    expect(ready).not.toHaveBeenCalled();
    server.newest.send(progress(2, 20, 40));
    await settle();
    expect(ready).toHaveBeenCalledOnce();
    await craft.ready();
  });

  test("rejects when the feed ends, the time is over, or the signal says so", async () => {
    const { craft } = await begun();
    const controller = new AbortController();
    const aborted = expect(craft.ready({ signal: controller.signal })).rejects.toThrow("enough");
    controller.abort(new Error("enough"));
    await aborted;
    await expect(craft.ready({ signal: controller.signal })).rejects.toThrow("enough");
    const late = expect(craft.ready({ timeout: 1000 })).rejects.toThrow("not ready within 1000 ms");
    await vi.advanceTimersByTimeAsync(1000);
    await late;
    const ended = expect(craft.ready()).rejects.toThrow(FeedEndedError);
    craft.close();
    await ended;
    await expect(craft.ready()).rejects.toThrow(FeedEndedError);
  });
});

describe("coming back", () => {
  test("with a bound that doubles, to its position, and says how that went", async () => {
    const { server, craft, states } = await live();
    const recovered = vi.fn();
    craft.on("recovered", recovered);
    server.newest.send(notification(3, "quality_too_low"));
    for (const wait of [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]) {
      server.newest.end(1006);
      expect(states.at(-1)).toEqual({ from: expect.any(String), to: "waiting", code: 1006, reason: "", retryIn: wait });
      await vi.advanceTimersByTimeAsync(wait - 1);
      expect(craft.state).toBe("waiting");
      await vi.advanceTimersByTimeAsync(1);
      expect(craft.state).toBe("connecting");
    }
    expect(server.newest.request.resume).toBe("e:3");
    server.newest.send(returned(3, true));
    expect(recovered).toHaveBeenLastCalledWith({ type: "recovered", recovered: true });
    expect(craft.snapshot.materials).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(10_000);
    server.newest.end(1006);
    expect(states.at(-1)!.retryIn).toBe(500); // that connection has held
    await vi.advanceTimersByTimeAsync(500);
    server.newest.send(returned(9, false), progress(9, 50, 20));
    expect(recovered).toHaveBeenLastCalledWith({ type: "recovered", recovered: false });
    expect([craft.snapshot.materials, craft.position]).toEqual([[], "e:9"]);
  });

  test("each wait is a random part of its bound", async () => {
    const { server, states } = await live();
    vi.spyOn(Math, "random").mockReturnValue(0.25);
    server.newest.end(1011);
    expect(states.at(-1)!.retryIn).toBe(125);
  });

  test("not before the time that a server which drains has named, whatever wakes the feed", async () => {
    const { server, craft, states } = await live();
    server.newest.end(1001, "retry in 7.3 s", 7300);
    expect(states.at(-1)!.retryIn).toBe(8300);
    craft.wake();
    await vi.advanceTimersByTimeAsync(8299);
    expect(craft.state).toBe("waiting");
    await vi.advanceTimersByTimeAsync(1);
    expect(craft.state).toBe("connecting");
  });

  test.each([
    [1000, "over"],
    [1008, "rejected"],
    [4003, "revoked"],
    [4009, "disconnected"],
    [4029, "rejected"],
    [4400, "rejected"],
    [4403, "forbidden"],
    [4404, "not_found"],
  ] as const)("never after %i", async (code, result) => {
    const { server, craft } = await live();
    server.newest.end(code, "why");
    expect(craft.result).toEqual({ result, reason: "why" });
    await vi.runAllTimersAsync();
    expect(server.connections).toHaveLength(1);
  });

  test("from a position of before", async () => {
    const { craftnet, server } = client();
    const craft = craftnet.crafting(SESSION, { playerId: PLAYER, resume: "e:41:udp" });
    const recovered = vi.fn();
    craft.on("recovered", recovered);
    await settle();
    expect(server.newest.request.resume).toBe("e:41:udp");
    server.newest.send(returned(42, true));
    expect(recovered).toHaveBeenCalledOnce();
  });

  test("after what no server sends", async () => {
    const { server, states } = await live();
    server.newest.send("{");
    expect([states.at(-1)!.to, server.newest.closed]).toEqual(["waiting", true]);
  });
});

describe("a server that is silent", () => {
  test("is given up after staleAfter", async () => {
    const { server, states } = await live({ staleAfter: 20_000 });
    expect(server.newest.request.heartbeat).toBe(7);
    await vi.advanceTimersByTimeAsync(15_000);
    server.newest.listener.alive();
    await vi.advanceTimersByTimeAsync(19_999);
    expect(states.at(-1)!.to).toBe("live");
    await vi.advanceTimersByTimeAsync(1);
    expect(states.at(-1)).toMatchObject({ to: "waiting", reason: "the server is silent" });
  });

  test("is given a chance when the timer itself was late, as in a page that was frozen", async () => {
    const { server, craft } = await live({ staleAfter: 20_000 });
    const start = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => start + 600_000);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(craft.state).toBe("live");
    server.newest.send(heartbeat(3));
    await vi.advanceTimersByTimeAsync(5000);
    expect(craft.state).toBe("live");
  });

  test("does not keep a feed connecting for ever", async () => {
    const { states } = await begun();
    await vi.advanceTimersByTimeAsync(15_000);
    expect(states.at(-1)).toMatchObject({ to: "waiting", reason: "no answer" });
  });
});
