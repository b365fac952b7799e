// Watches one craftnet feed: every message as a line of JSON on standard output, the close code last.
//
//     CRAFTNET_TOKEN=… node watch.js ws://HOST:PORT/ws/crafting/SESSION?player_id=PLAYER [SUBPROTOCOL]

import { createInterface } from "node:readline";
import lz4 from "lz4js";
import WebSocket from "ws";

const LZ4 = "craftnet.json.lz4.v1";
const MAX_SIZE = 65536;

const [url, subprotocol = "craftnet.json.v1"] = process.argv.slice(2);
const dictionaries = new Map();

async function dictionary(id) {
  if (id === 0) return Buffer.alloc(0);
  if (!dictionaries.has(id)) {
    const target = new URL(`/ws/dictionaries/${id}`, url.replace(/^ws/, "http"));
    const response = await fetch(target);
    if (!response.ok) throw new Error(`no dictionary ${id}: ${response.status}`);
    dictionaries.set(id, Buffer.from(await response.arrayBuffer()));
  }
  return dictionaries.get(id);
}

async function unpacked(octets) {
  const size = octets.readUIntBE(1, 3);
  if (size > MAX_SIZE) throw new Error(`a message of ${size} octets`);
  const preset = await dictionary(octets[0]);
  // A block refers to what is in front of it: first the dictionary, then itself.
  const room = Buffer.alloc(preset.length + size);
  preset.copy(room);
  const end = lz4.decompressBlock(octets, room, 4, octets.length - 4, preset.length);
  if (end !== room.length) throw new Error("the message is not as long as it says");
  return room.subarray(preset.length);
}

async function told(data, binary) {
  if (!binary) return JSON.parse(data);
  if (socket.protocol === LZ4) return JSON.parse(await unpacked(data));
  return { record: data.toString("hex") };
}

const socket = new WebSocket(url, [subprotocol], {
  headers: { Authorization: `Bearer ${process.env.CRAFTNET_TOKEN}` },
});

// One after the other, because the first packed message waits for its dictionary.
let last = Promise.resolve();
function print(line) {
  last = last.then(async () => console.log(JSON.stringify(await line())));
}

socket.on("open", () => print(() => ({ opened: socket.protocol, extensions: socket.extensions })));
socket.on("message", (data, binary) => print(() => told(data, binary)));
socket.on("pong", (data) => print(() => ({ pong: data.toString() })));
socket.on("unexpected-response", (_, response) => print(() => ({ refused: response.statusCode })));
socket.on("error", (error) => print(() => ({ error: error.message })));
socket.on("close", (code) => {
  print(() => ({ closed: code }));
  last.then(() => process.exit(0));
});

// Lines on standard input: "ping", "close", or anything else, which is sent as a message.
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "ping") socket.ping("are you there?");
  else if (line === "close") socket.close(1000, "enough");
  else socket.send(line);
});
