/** A network that refuses WebSockets, with real sockets: the feed goes on as server-sent events. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";

import { Craftnet, type Craft, type StateChange, type WebSocketConstructor } from "../../src/index.js";
import { PLAYER, progress, returned, SESSION } from "./fake-server.js";

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

let server: Server;
const stops: (() => void)[] = [];

afterEach(() => {
  stops.splice(0).forEach((stop) => stop());
  vi.restoreAllMocks();
});

/** A proxy that refuses upgrades, before a server whose streams the test answers. */
async function proxied(): Promise<{ url: string; upgrades: () => number; next: () => Promise<Asked> }> {
  let upgrades = 0;
  const [asked, waiting]: [Asked[], ((one: Asked) => void)[]] = [[], []];
  server = createServer((request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" }).flushHeaders();
    const one = { request, response };
    const taker = waiting.shift();
    if (taker) taker(one);
    else asked.push(one);
  });
  server.on("upgrade", (_, socket) => {
    upgrades += 1;
    socket.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => (server.closeAllConnections(), server.close()));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    upgrades: () => upgrades,
    next: () => new Promise((resolve) => (asked.length ? resolve(asked.shift()!) : waiting.push(resolve))),
  };
}

function watch(url: string): { craft: Craft; states: StateChange[] } {
  const craftnet = new Craftnet(url, {
    getToken: () => "a.b.c",
    WebSocket: WebSocket as unknown as WebSocketConstructor,
    reconnect: { min: 10, max: 10 },
  });
  stops.push(() => craftnet.close());
  const craft = craftnet.crafting(SESSION, { playerId: PLAYER });
  const states: StateChange[] = [];
  craft.on("state", (change) => states.push(change));
  return { craft, states };
}

const event = (message: object) => `id: e:1\ndata: ${JSON.stringify(message)}\n\n`;

test("after two refused upgrades; it comes back as it left, when the server says", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0);
  const { url, upgrades, next } = await proxied();
  const { craft, states } = watch(url);
  const first = await next();
  expect(first.request.url).toBe(`/sse/crafting/${SESSION}?heartbeat=30&player_id=${PLAYER}&resume=0%3A0`);
  expect([upgrades(), first.request.headers.authorization]).toEqual([2, "Bearer a.b.c"]);
  first.response.write(event(progress(7, 20, 40)));
  await craft.ready();
  expect([craft.position, craft.snapshot.progress?.percent]).toEqual(["e:7", 20]);
  first.response.end("retry: 50\n\n");
  const second = await next();
  expect(states.at(-2)).toMatchObject({ to: "waiting", code: 1001, retryIn: 50 });
  expect(upgrades()).toBe(2);
  expect(second.request.url).toContain("&resume=e%3A7");
  const recovered = new Promise((resolve) => craft.on("recovered", resolve));
  second.response.write(`: alive\n\n${event(returned(8, true))}`);
  expect(await recovered).toMatchObject({ recovered: true });
});

test("closing ends the stream", async () => {
  const { url, next } = await proxied();
  const { craft } = watch(url);
  const { response } = await next();
  response.write(event(progress(7, 20, 40)));
  await craft.ready();
  const gone = new Promise((resolve) => response.once("close", resolve));
  craft.close();
  await gone;
});
