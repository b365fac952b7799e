/** Watches crafting sessions over UDP and prints one JSON line per event: `--help` says how. */

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { Shown, Watching } from "@craftnet/client/node-udp";

const USAGE = `usage: node watch-udp.mjs --url URL --session UUID [--session UUID …] --player UUID --token JWT

  --compression none   asks for no LZ4
  --packet-size BYTES  the max_packet_size to ask for
  --show SECONDS       prints how far each session is, so often
  CRAFTNET_TOKEN takes the place of --token. A line "leave UUID" on the standard input leaves a session; SIGINT leaves all.`;

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    session: { type: "string", multiple: true },
    player: { type: "string" },
    token: { type: "string" },
    compression: { type: "string", default: "lz4" },
    "packet-size": { type: "string" },
    show: { type: "string" },
    help: { type: "boolean" },
  },
});
const bearer = options.token ?? process.env.CRAFTNET_TOKEN;
if (options.help || !options.url || !options.session || !options.player || !bearer) {
  console.error(USAGE);
  process.exit(options.help ? 0 : 2);
}

/** Names as PROTOCOL.md and the server's JSON write them. */
function written(value) {
  if (Array.isArray(value)) return value.map(written);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([name, held]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    written(held),
  ]);
  return Object.fromEntries(entries);
}

const bars = new Map(); // by session: the progress held, and what was shown of it

const account = {
  url: options.url.replace(/\/+$/, ""),
  playerId: options.player,
  bearer,
  options: { supported_compression: [options.compression] },
};
if (options["packet-size"]) account.options.max_packet_size = Number(options["packet-size"]);
const watching = new Watching(account, (event) => {
  if (event.event === "progress") {
    const { shown } = bars.get(event.session) ?? { shown: new Shown() };
    bars.set(event.session, { shown, model: { ...event.progress, anchor: event.progress.anchor * 1000 } });
  }
  console.log(JSON.stringify(written(event)));
});

createInterface({ input: process.stdin }).on("line", (line) => {
  const [word, session] = line.split(" ");
  if (word === "leave") watching.leave(session);
});
process.stdin.unref?.();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => watching.stop());
if (options.show) {
  const show = () => {
    const now = performance.timeOrigin + performance.now() + watching.offset;
    for (const [session, { shown, model }] of bars) {
      console.log(JSON.stringify({ event: "shown", session, percent: Number(shown.at(model, now).toFixed(2)) }));
    }
  };
  setInterval(show, Number(options.show) * 1000).unref();
}

await watching.open(options.session);
