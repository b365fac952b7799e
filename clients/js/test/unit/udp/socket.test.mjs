import { deepStrictEqual, strictEqual } from "node:assert";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { test } from "vitest";

import { addresses, Socket } from "../../../src/node-udp/socket.ts";
import { AGREED, FarEnd } from "./far-end.mjs";

/** A server on this address, and where it listens. */
async function server(address) {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.on("message", (datagram, { port, address: from }) => {
    if (datagram.length === 512) socket.send(FarEnd.answer(datagram), port, from);
  });
  socket.bind(0, address);
  await once(socket, "listening");
  return { socket, agreed: { ...AGREED, server_endpoint: `game.example:${socket.address().port}` } };
}

/** The first event of a client whose server is at one of these addresses. */
async function first({ socket, agreed }, servers) {
  let client;
  const event = await new Promise((resolve) => {
    client = new Socket(agreed, servers, resolve);
  });
  const used = client.servers[client.client.server];
  client.close();
  socket.close();
  return { event, used };
}

const CONNECTED = { event: "connected" };

test("the next address is tried when one stays silent, of whatever family", async () => {
  const found = await first(await server("127.0.0.1"), ["::1", "127.0.0.2", "127.0.0.1"]);
  deepStrictEqual(found, { event: CONNECTED, used: "::ffff:127.0.0.1" });
  const only = await first(await server("127.0.0.1"), ["127.0.0.1"]);
  deepStrictEqual(only, { event: CONNECTED, used: "127.0.0.1" });
});

const interfaces = Object.values(networkInterfaces()).flat();
const local = interfaces.find(({ family, address }) => family === "IPv6" && address.startsWith("fe80"));

test("a link-local address is tried in every zone", { skip: !local && "no link-local address here" }, async () => {
  const servers = await addresses(local.address);
  strictEqual(
    servers.every((each) => each.startsWith(`${local.address}%`)),
    true,
  );
  deepStrictEqual((await first(await server("::"), servers)).event, CONNECTED);
});

test("a host that has addresses", async () => {
  deepStrictEqual(await addresses("192.0.2.1"), ["192.0.2.1"]);
  strictEqual((await addresses("localhost")).length > 0, true);
});
