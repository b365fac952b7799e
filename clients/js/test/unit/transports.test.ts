import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, describe, expect, test, vi } from "vitest";

import { EventStream, watch } from "../../src/transports/sse.js";
import type { Listener, Request } from "../../src/transports/transport.js";
import { WebSocketTransport } from "../../src/transports/websocket.js";
import { PLAYER, SESSION } from "./fake-server.js";

const request = (more: Partial<Request> = {}): Request => ({
  target: { kind: "crafting", sessionId: SESSION, playerId: PLAYER },
  url: "https://craft.example/base",
  token: "a.b.c",
  resume: null,
  heartbeat: 25,
  fetch,
  WebSocket: undefined,
  ...more,
});

const listener = () => ({ arrived: vi.fn(), alive: vi.fn(), tokenRefused: vi.fn(), ended: vi.fn() }) satisfies Listener;

class FakeSocket {
  static newest: FakeSocket;
  binaryType = "blob";
  protocol = "craftnet.json.v1";
  sent: string[] = [];
  closed: number | undefined;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: object) => void) | null = null;
  onerror: ((event: object) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.newest = this;
  }

  send = (data: string) => void this.sent.push(data);
  close = (code: number) => void (this.closed = code);
}

function opened(more: Partial<Request> = {}) {
  const [heard, transport] = [listener(), new WebSocketTransport(["bin", "lz4", "json"])];
  const link = transport.open(request({ WebSocket: FakeSocket, ...more }), heard);
  return { heard, transport, link, socket: FakeSocket.newest };
}

describe("WebSockets", () => {
  test("offer the encodings and the token, and ask for the epoch from the beginning", () => {
    const { socket } = opened();
    expect(socket.url).toBe(
      `wss://craft.example/base/ws/crafting/${SESSION}?heartbeat=25&player_id=${PLAYER}&resume=0%3A0`,
    );
    expect(socket.protocols).toEqual(["craftnet.bin.v1", "craftnet.json.lz4.v1", "craftnet.json.v1", "bearer.a.b.c"]);
  });

  test.each([
    [{ kind: "queue", playerId: PLAYER }, `/ws/queue/${PLAYER}?heartbeat=25&resume=e%3A7`],
    [{ kind: "health", services: [] }, "/health/ws?heartbeat=25"],
    [{ kind: "health", services: ["a", "b"] }, "/health/ws?heartbeat=25&services=a%2Cb"],
  ] as const)("know the route of %o", (target, path) => {
    expect(opened({ target, resume: "e:7", url: "http://h" }).socket.url).toBe(`ws://h${path}`);
  });

  test("take answers to tokens for themselves", () => {
    const { heard, link, socket } = opened();
    expect(link.offer("d.e.f")).toBe(true);
    expect(socket.sent).toEqual(['{"type":"token","token":"d.e.f"}']);
    socket.onmessage!({ data: '{"type":"token_accepted","timestamp":"…","expires_in":9}' });
    expect([heard.alive.mock.calls.length, heard.tokenRefused.mock.calls.length]).toEqual([1, 0]);
    socket.onmessage!({ data: '{"type":"token_refused","timestamp":"…","code":401,"message":"…"}' });
    expect([heard.alive.mock.calls.length, heard.tokenRefused.mock.calls.length]).toEqual([2, 1]);
    expect(heard.arrived).not.toHaveBeenCalled();
  });

  test("report why they ended, and when the server wants to be asked again", () => {
    const { heard, socket } = opened();
    socket.onclose!({ code: 1001, reason: "retry in 7.3 s" });
    const ending = { code: 1001, reason: "retry in 7.3 s", retryAfter: 7300, unsure: false };
    expect(heard.ended).toHaveBeenCalledExactlyOnceWith(ending);
  });

  test("report the HTTP status of a refusal where the platform does", () => {
    const { heard, socket } = opened();
    socket.onerror!({ message: "Unexpected server response: 404" });
    socket.onclose!({ code: 1006, reason: "" });
    const ending = { code: 4404, reason: "", retryAfter: undefined, unsure: true };
    expect(heard.ended).toHaveBeenCalledExactlyOnceWith(ending);
  });

  test("that are closed say nothing more", () => {
    const { link, socket } = opened();
    link.close();
    expect([socket.closed, socket.onmessage, socket.onclose]).toEqual([1000, null, null]);
    socket.onerror!({ message: "WebSocket was closed before the connection was established" });
  });

  test("read binary messages in their turn", async () => {
    const { heard, socket } = opened();
    socket.protocol = "craftnet.bin.v1";
    const record = "0110003000000007000001a3185c507baaaaaaaaaaaa4aaa8aaaaaaaaaaaaaaa0d05285a000030d40100000000000000";
    socket.onmessage!({ data: Uint8Array.from(Buffer.from(record, "hex")).buffer });
    socket.onmessage!({ data: '{"type":"progress_update"}' });
    socket.onclose!({ code: 1000, reason: "" });
    await vi.waitFor(() => expect(heard.ended).toHaveBeenCalledOnce());
    expect(heard.arrived.mock.calls).toEqual([
      [expect.objectContaining({ octets: expect.any(Uint8Array) })],
      ['{"type":"progress_update"}'],
    ]);
  });

  test("do not offer again what they cannot read", async () => {
    const { heard, transport, socket } = opened();
    socket.protocol = "craftnet.json.lz4.v1";
    socket.onmessage!({ data: new ArrayBuffer(3) });
    await vi.waitFor(() => expect(heard.ended).toHaveBeenCalledOnce());
    expect(heard.ended.mock.calls[0]![0].reason).toContain("craftnet.json.lz4.v1: ");
    expect(transport.offered).toEqual(["bin", "json"]);
  });
});

describe("an event stream", () => {
  test.each([1, 2, 7, 1000])("is read from pieces of %i characters", (length) => {
    const text =
      ': a comment\r\nretry: 7300\nid: e:1\ndata: {"a":\r\ndata: 1}\r\n\r\nevent: x\rdata:two\r\rdata\n\nid: e:2\n\ndata: lost';
    const stream = new EventStream();
    const found = [];
    for (let at = 0; at < text.length; at += length) found.push(...stream.push(text.slice(at, at + length)));
    expect(found).toEqual([
      { name: "retry", value: "7300" },
      { name: "message", value: '{"a":\n1}' },
      { name: "x", value: "two" },
      { name: "message", value: "" },
    ]);
  });
});

describe("server-sent events", () => {
  const stops: (() => void)[] = [];
  afterEach(() => stops.splice(0).forEach((stop) => stop()));

  async function serve(
    answer: (headers: Record<string, unknown>, path: string, response: ServerResponse) => void,
  ): Promise<string> {
    const server = createServer((asked, response) => answer(asked.headers, asked.url!, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    stops.push(() => (server.closeAllConnections(), server.close()));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test("are read with the token in a header, from a position, until the server says when to come back", async () => {
    const asked: unknown[] = [];
    const url = await serve((headers, path, response) => {
      asked.push(path, headers.authorization, headers.accept);
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.end(': alive\n\nid: e:8\ndata: {"type":"progress_update"}\n\nretry: 7300\n\n');
    });
    const heard = listener();
    await watch(request({ url, resume: "e:7" }), heard, new AbortController().signal);
    expect(asked).toEqual([
      `/sse/crafting/${SESSION}?heartbeat=25&player_id=${PLAYER}&resume=e%3A7`,
      "Bearer a.b.c",
      "text/event-stream",
    ]);
    expect(heard.arrived.mock.calls).toEqual([['{"type":"progress_update"}']]);
    expect(heard.ended).toHaveBeenCalledExactlyOnceWith({ code: 1001, reason: "", retryAfter: 7300 });
    expect(heard.alive).toHaveBeenCalled();
  });

  test.each([
    [
      404,
      {},
      { code: 404, message: "There is no such session." },
      { code: 4404, reason: "There is no such session.", retryAfter: undefined },
    ],
    [429, { "Retry-After": "7" }, { message: "too many" }, { code: 4429, reason: "too many", retryAfter: 7000 }],
    [503, { "Retry-After": "1" }, { message: "later" }, { code: 4453, reason: "later", retryAfter: 1000 }],
    [
      404,
      {},
      { message: "There is no such route." },
      { code: 1006, reason: "There is no such route.", unsupported: true },
    ],
    [502, {}, undefined, { code: 1006, reason: "the server answered 502", retryAfter: undefined }],
  ] as const)("that are refused with %i say why", async (status, headers, body, ending) => {
    const url = await serve((_, __, response) =>
      response.writeHead(status, headers).end(body ? JSON.stringify(body) : "<html>"),
    );
    const heard = listener();
    await watch(request({ url }), heard, new AbortController().signal);
    expect(heard.ended).toHaveBeenCalledExactlyOnceWith(expect.objectContaining(ending));
  });

  test("say why they end", async () => {
    const close = 'retry: 7300\nevent: close\ndata: {"code":4001,"reason":"The token expired."}\n\n';
    const url = await serve((_, __, response) => response.writeHead(200).end(`event: other\ndata: 1\n\n${close}`));
    const heard = listener();
    await watch(request({ url }), heard, new AbortController().signal);
    expect(heard.ended).toHaveBeenCalledExactlyOnceWith({ code: 4001, reason: "The token expired.", retryAfter: 7300 });
    expect(heard.arrived).not.toHaveBeenCalled();
  });

  test("end when no feed needs them any more", async () => {
    const url = await serve((_, __, response) => response.writeHead(200).write("data: 1\n\n"));
    const [heard, controller] = [listener(), new AbortController()];
    heard.arrived.mockImplementation(() => controller.abort());
    await watch(request({ url }), heard, controller.signal);
    expect(heard.ended).not.toHaveBeenCalled();
  });
});
