/** Records what a real server sends over each encoding while the same happens to a craft: test/feeds/*.json. */

import { writeFileSync } from "node:fs";

import { WebSocket } from "ws";

import { Crafted, Server } from "../test/live/server.mjs";

const SUBPROTOCOLS = { json: "craftnet.json.v1", lz4: "craftnet.json.lz4.v1", bin: "craftnet.bin.v1" };

const server = await new Server().start();
const craft = new Crafted();
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function recorded(encoding) {
  const url = `${server.url.replace("http", "ws")}/ws/crafting/${craft.session}?player_id=${craft.player}&resume=0:0&heartbeat=5`;
  const socket = new WebSocket(url, [SUBPROTOCOLS[encoding], `bearer.${craft.token()}`]);
  const messages = [];
  socket.on("message", (data, binary) => {
    messages.push({ at: Date.now(), ...(binary ? { octets: data.toString("hex") } : { text: data.toString() }) });
  });
  return { encoding, socket, messages, opened: new Promise((resolve) => socket.once("open", resolve)) };
}

await server.publish(craft.start());
const all = Object.keys(SUBPROTOCOLS).map(recorded);
await Promise.all(all.map(({ opened }) => opened));
const half = { progress_percentage: 40, status: "active", remaining_time_seconds: 30, current_quality: 55 };
for (const happens of [() => craft.queued(2), () => craft.short(7), () => craft.progress(half), () => craft.pause()]) {
  await pause(200);
  await server.publish(happens());
}
await pause(7000); // a heartbeat
await server.publish(craft.resume(), craft.restored(120));
await pause(200);
await server.publish(craft.complete());
await pause(500);
for (const { encoding, socket, messages } of all) {
  socket.close();
  const file = new URL(`../test/feeds/${encoding}.json`, import.meta.url);
  writeFileSync(
    file,
    `${JSON.stringify({ session: craft.session, player: craft.player, iron: craft.iron, messages }, null, 1)}\n`,
  );
}
await server.stop();
