import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { UnauthorizedError } from "../../src/index.js";
import { begun, client, FakeTransport, jwt, live, PLAYER, returned, SESSION, settle } from "./fake-server.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("tokens", () => {
  test("are asked for once by all feeds, with the reason", async () => {
    const getToken = vi.fn(() => "one");
    const { craftnet, server } = client({ getToken });
    craftnet.crafting(SESSION, { playerId: PLAYER });
    craftnet.queue(PLAYER);
    await settle();
    expect(getToken).toHaveBeenCalledExactlyOnceWith({ reason: "missing", signal: expect.any(AbortSignal) });
    expect(server.connections.map(({ request }) => request.token)).toEqual(["one", "one"]);
  });

  test("are replaced in-band at 80 % of their life, on the server's clock", async () => {
    const start = Math.round(Date.now() / 1000) + 3600; // this machine's clock is an hour behind
    const tokens = [jwt(start - 100, start + 900), jwt(start + 700, start + 1700)];
    const getToken = vi.fn((_: object) => tokens.shift()!);
    const [first, second] = tokens;
    const { server } = await begun({ getToken, staleAfter: 1e9 });
    server.newest.send({ ...returned(1, false), timestamp: new Date(start * 1000).toISOString() });
    await vi.advanceTimersByTimeAsync(698_000);
    expect(getToken).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(3000);
    expect(getToken).toHaveBeenLastCalledWith(expect.objectContaining({ reason: "expiring" }));
    expect([server.newest.request.token, server.newest.offered]).toEqual([first, [second]]);
    expect(server.connections).toHaveLength(1);
  });

  test("that are expiring reach a transport without messages by a new connection", async () => {
    const seconds = Date.now() / 1000;
    const getToken = vi.fn(({ reason }: { reason: string }) =>
      jwt(seconds, seconds + (reason === "missing" ? 100 : 9999)),
    );
    const { server, craft } = await live({ getToken, staleAfter: 1e9 }, [new FakeTransport("sse", false)]);
    await vi.advanceTimersByTimeAsync(81_000);
    expect(getToken).toHaveBeenCalledTimes(2);
    expect([server.connections.length, craft.state]).toEqual([2, "connecting"]);
    expect(server.newest.request.resume).toBe("e:2");
  });

  test("that none is to be had of are asked for again", async () => {
    const getToken = vi.fn(() => {
      if (getToken.mock.calls.length === 1) throw new Error("the login service is away");
      return "two";
    });
    const { server, states } = await begun({ getToken });
    expect(states.at(-1)).toMatchObject({ to: "waiting", reason: "no token: Error: the login service is away" });
    await vi.advanceTimersByTimeAsync(500);
    expect(server.newest.request.token).toBe("two");
  });

  test("that a player has no right to end every feed", async () => {
    const { craft } = await begun({
      getToken: async () => {
        throw new UnauthorizedError("banned");
      },
    });
    expect(craft.result).toEqual({ result: "unauthorized", reason: "banned" });
  });

  test("that are refused at once by an application leave nothing behind", async () => {
    const { craft } = await begun({
      getToken: () => {
        throw new UnauthorizedError("banned");
      },
    });
    expect([craft.result?.result, vi.getTimerCount()]).toEqual(["unauthorized", 0]);
    await settle(); // an unhandled rejection would fail the run
  });

  test("that never come are not waited for", async () => {
    let signal: AbortSignal | undefined;
    const { states } = await begun({
      getToken: (request) => {
        signal = request.signal;
        return new Promise(() => {});
      },
    });
    await vi.advanceTimersByTimeAsync(30_000);
    expect([signal!.aborted, states.at(-1)!.to]).toEqual([true, "waiting"]);
  });

  test("are asked for again with the reason, when the server refuses or ends them; a second refusal is the end", async () => {
    const getToken = vi.fn((_: { reason: string }) => `token ${getToken.mock.calls.length}`);
    const { server, craft, states } = await live({ getToken });
    const reasons = () => getToken.mock.calls.map(([{ reason }]) => reason);
    server.newest.end(4001, "the token expired");
    expect(states.at(-1)!.retryIn).toBe(1000); // at most, however many failures there were
    await vi.advanceTimersByTimeAsync(1000);
    expect([reasons(), server.newest.request.token]).toEqual([["missing", "expired"], "token 2"]);
    server.newest.end(4401);
    await vi.advanceTimersByTimeAsync(1000);
    expect(reasons().at(-1)).toBe("refused");
    server.newest.end(4401, "the signature does not hold");
    expect(craft.result).toEqual({ result: "unauthorized", reason: "the signature does not hold" });
  });

  test("that an open feed does not take are replaced by others", async () => {
    const getToken = vi.fn((_: { reason: string }) => `token ${getToken.mock.calls.length}`);
    const { server } = await live({ getToken });
    server.newest.listener.tokenRefused();
    await vi.advanceTimersByTimeAsync(5000);
    expect(getToken).toHaveBeenLastCalledWith(expect.objectContaining({ reason: "refused" }));
    expect(server.newest.offered).toEqual(["token 2"]);
  });
});

describe("which transport", () => {
  test("the next one after two unexplained failures, and the first again on another network", async () => {
    const [first, second] = [new FakeTransport("first"), new FakeTransport("second")];
    const { craft } = await begun({ staleAfter: 1e9 }, [first, second]);
    first.newest.end(1006);
    await vi.advanceTimersByTimeAsync(500);
    first.newest.end(1006);
    await vi.advanceTimersByTimeAsync(1000);
    second.newest.send(returned(1, false));
    second.newest.end(1006);
    await vi.advanceTimersByTimeAsync(2000);
    expect([first.connections.length, second.connections.length, craft.state]).toEqual([2, 2, "connecting"]);
    second.newest.send(returned(1, false));
    await vi.advanceTimersByTimeAsync(600_001);
    second.newest.end(1006);
    await vi.advanceTimersByTimeAsync(500);
    expect(first.connections).toHaveLength(3);
  });

  test("the same one after a refusal", async () => {
    const [first, second] = [new FakeTransport("first"), new FakeTransport("second")];
    await begun({}, [first, second]);
    for (let count = 0; count < 4; count += 1) {
      first.newest.end(4429, "", 100);
      await vi.advanceTimersByTimeAsync(1100);
    }
    expect([first.connections.length, second.connections.length]).toEqual([5, 0]);
  });

  test("another one has to say it, too, when a proxy may have refused", async () => {
    const [first, second] = [new FakeTransport("first"), new FakeTransport("second")];
    const { craft } = await begun({}, [first, second]);
    for (const wait of [500, 1000]) {
      first.newest.listener.ended({ code: 4403, reason: "", unsure: true });
      await vi.advanceTimersByTimeAsync(wait);
    }
    expect([craft.state, second.connections.length]).toEqual(["connecting", 1]);
    second.newest.end(4404, "no such session");
    expect(craft.result?.result).toBe("not_found");
  });

  test("a refusal counts where the server does not have the other one", async () => {
    const [first, second] = [new FakeTransport("first"), new FakeTransport("second")];
    const { craft } = await begun({}, [second, first]);
    second.newest.listener.ended({ code: 1006, reason: "no such route", unsupported: true });
    await vi.advanceTimersByTimeAsync(500);
    first.newest.listener.ended({ code: 4403, reason: "", unsure: true });
    expect(craft.result?.result).toBe("forbidden");
  });

  test("none, where none works", async () => {
    const { states } = await begun({ transports: ["json"], WebSocket: undefined });
    expect(states.at(-1)).toMatchObject({ to: "waiting", reason: expect.stringContaining("pass a WebSocket") });
  });
});
