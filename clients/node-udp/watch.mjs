/** Watches crafting sessions over UDP and prints one JSON line an event: see README.md. */

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { Watching } from "./watching.mjs";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    session: { type: "string", multiple: true },
    player: { type: "string" },
    token: { type: "string" },
    compression: { type: "string", default: "lz4" },
    "packet-size": { type: "string" },
    show: { type: "string" },
  },
});
const bearer = options.token ?? process.env.CRAFTNET_TOKEN;
if (!options.url || !options.session || !options.player || !bearer) {
  console.error("usage: node watch.mjs --url URL --session UUID [--session UUID …] --player UUID --token JWT");
  process.exit(2);
}

const more = { supported_compression: [options.compression] };
if (options["packet-size"]) more.max_packet_size = Number(options["packet-size"]);
const account = { url: options.url, player: options.player, bearer, more };
const watching = new Watching(account, (event) => console.log(JSON.stringify(event)));

/** "leave SESSION" on the standard input leaves one, and the end of input, nothing. */
createInterface({ input: process.stdin }).on("line", (line) => {
  const [word, session] = line.split(" ");
  if (word === "leave") watching.leave(session);
});
process.stdin.unref?.();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => watching.stop());
if (options.show) setInterval(() => watching.show(), Number(options.show) * 1000).unref();

await watching.open(options.session);
