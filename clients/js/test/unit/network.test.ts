import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { SimulatedNetwork } from "../../src/debug.js";
import type { WebSocketLike } from "../../src/transports/transport.js";

let far: FarSocket;

class FarSocket implements WebSocketLike {
  binaryType = "";
  protocol = "craftnet.json.v1";
  onmessage: ((event: any) => void) | null = null;
  onclose: ((event: any) => void) | null = null;
  onerror: ((event: any) => void) | null = null;
  sent: string[] = [];
  closed: number[] = [];

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    far = this;
  }

  send(data: string): void {
    this.sent.push(data);
  }

  close(code = 0): void {
    this.closed.push(code);
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function opened(conditions: ConstructorParameters<typeof SimulatedNetwork>[0]) {
  const network = new SimulatedNetwork(conditions, { WebSocket: FarSocket });
  const socket = new network.WebSocket("ws://h", ["a"]);
  const [heard, closed] = [[] as unknown[], vi.fn()];
  socket.onmessage = ({ data }) => heard.push(data);
  socket.onclose = closed;
  return { network, socket, heard, closed };
}

test("messages take their time in both directions, and stay in order", async () => {
  const { network, socket, heard } = opened({ delay: 100, jitter: 20 });
  far.onmessage!({ data: "one" });
  socket.send("up");
  network.conditions.delay = 10;
  far.onmessage!({ data: "two" });
  await vi.advanceTimersByTimeAsync(109);
  expect([heard, far.sent]).toEqual([[], []]);
  await vi.advanceTimersByTimeAsync(1);
  expect([heard, far.sent]).toEqual([["one", "two"], ["up"]]);
});

test("what is lost comes later, and holds back what follows", async () => {
  const { network, heard } = opened({ loss: 0.6, delay: 50 });
  far.onmessage!({ data: "lost once" });
  network.conditions.loss = 0;
  far.onmessage!({ data: "after it" });
  await vi.advanceTimersByTimeAsync(349);
  expect(heard).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(heard).toEqual(["lost once", "after it"]);
});

test("offline, open connections are silent until it is over, and new ones fail", async () => {
  const { network, heard } = opened({});
  network.conditions.offline = true;
  far.onmessage!({ data: "later" });
  const other = new network.WebSocket("ws://h", ["a"]);
  const refused = vi.fn();
  other.onclose = refused;
  await vi.advanceTimersByTimeAsync(5000);
  expect([heard, refused.mock.calls]).toEqual([[], [[{ code: 1006, reason: "" }]]]);
  await expect(network.fetch("http://h")).rejects.toThrow("offline");
  network.conditions.offline = false;
  await vi.advanceTimersByTimeAsync(250);
  expect(heard).toEqual(["later"]);
});

test("a cut breaks what is open", () => {
  const { network, closed } = opened({});
  network.cut();
  network.cut();
  expect([closed.mock.calls, far.closed]).toEqual([[[{ code: 1006, reason: "" }]], [1000]]);
});

test("closing is passed on", async () => {
  const { socket, closed } = opened({ delay: 10 });
  socket.close(1000);
  await vi.advanceTimersByTimeAsync(10);
  expect([far.closed, closed.mock.calls]).toEqual([[1000], []]);
});

test("answers of fetch take their time, too", async () => {
  const network = new SimulatedNetwork({ delay: 100 }, { fetch: async () => new Response("ok", { status: 201 }) });
  const asked = network.fetch("http://h").then(async (response) => [response.status, await response.text()]);
  await vi.advanceTimersByTimeAsync(300);
  expect(await asked).toEqual([201, "ok"]);
});
