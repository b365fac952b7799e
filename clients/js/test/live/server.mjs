/** A real `twistd craftnet` for tests, with tokens and events for it. */

import { spawn } from "node:child_process";
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";

const TWISTD = process.env.CRAFTNET_TWISTD ?? fileURLToPath(new URL("../../../../.venv/bin/twistd", import.meta.url));
const SECRET = randomBytes(32).toString("hex");

const base64url = (value) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** A development token; `seconds` may be negative. */
export function token({ player, scope, seconds = 600 } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const head = base64url({ alg: "HS256", typ: "JWT" });
  const claims = base64url({
    iat: now,
    exp: now + seconds,
    jti: randomUUID(),
    ...(player && { sub: player }),
    ...(scope && { scope }),
  });
  const signature = createHmac("sha256", SECRET).update(`${head}.${claims}`).digest("base64url");
  return `${head}.${claims}.${signature}`;
}

/** A server in a process of its own. */
export class Server {
  #process = null;
  #options;
  text = "";

  constructor(...options) {
    this.#options = options;
    this.port = 0;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async start() {
    const http = `tcp:${this.port}:interface=127.0.0.1`;
    const line = [
      "--nodaemon",
      "--pidfile=",
      "craftnet",
      "--http",
      http,
      "--udp",
      "127.0.0.1:0",
      "--drain-time",
      "0",
      ...this.#options,
    ];
    const child = spawn(TWISTD, line, { cwd: tmpdir(), env: { ...process.env, CRAFTNET_JWT_SECRET: SECRET } });
    this.#process = child;
    this.text = "";
    await new Promise((resolve, reject) => {
      const hear = (data) => {
        this.text += data;
        const match = /HTTP and WebSocket: https?:\/\/\S+:(\d+)\n/.exec(this.text);
        if (match) resolve((this.port = Number(match[1])));
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      child.once("exit", (code) => reject(new Error(`twistd ended with ${code}:\n${this.text}`)));
    });
    return this;
  }

  /** What the process has printed, once `wanted` is in it. */
  async printed(wanted) {
    while (!wanted.test(this.text)) await once(this.#process.stdout, "data");
    return this.text;
  }

  async stop(signal = "SIGTERM") {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    child.kill(signal);
    await once(child, "exit");
  }

  /** Lets the process stand still, or go on. */
  signal(name) {
    this.#process.kill(name);
  }

  async post(path, body, bearer) {
    const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/json" };
    const response = await fetch(this.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${path}: ${response.status}: ${answer.message}`);
    return answer;
  }

  /** Posts events as the crafting authority does. */
  async publish(...events) {
    const answer = await this.post("/events", events, token({ scope: "crafting:publish" }));
    if (answer.rejected.length) throw new Error(JSON.stringify(answer.rejected));
  }
}

/** A proxy in front of a server that refuses WebSockets, as some networks have it. */
export class RefusingProxy {
  #http;

  constructor(server) {
    this.#http = createServer((asked, answer) => {
      const { method, url, headers } = asked;
      const onward = request({ host: "127.0.0.1", port: server.port, method, path: url, headers }, (answered) => {
        answer.writeHead(answered.statusCode, answered.headers);
        answered.pipe(answer);
      });
      onward.on("error", () => answer.destroy());
      answer.on("close", () => onward.destroy());
      asked.pipe(onward);
    });
    this.#http.on("upgrade", (_, socket) => socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"));
  }

  get url() {
    return `http://127.0.0.1:${this.#http.address().port}`;
  }

  async start() {
    await new Promise((resolve) => this.#http.listen(0, "127.0.0.1", resolve));
    return this;
  }

  stop() {
    this.#http.closeAllConnections();
    this.#http.close();
  }
}

export function event(event_type, data, more = {}) {
  const timestamp = new Date().toISOString();
  return { event_id: randomUUID(), event_type, timestamp, version: "1.0.0", source: "tests", data, ...more };
}

/** A craft and its player, with the events of its life. */
export class Crafted {
  session = randomUUID();
  iron = randomUUID();

  constructor(player = randomUUID()) {
    this.player = player;
  }

  token(more = {}) {
    return token({ player: this.player, ...more });
  }

  start(seconds = 60) {
    const materials = [{ material_id: this.iron, quantity: 10, quality: "common" }];
    return this.#event("session.start", {
      recipe_id: randomUUID(),
      player_id: this.player,
      estimated_duration_seconds: seconds,
      materials,
    });
  }

  progress(data) {
    return this.#event("session.progress", data);
  }

  pause() {
    return this.#event("session.pause", { pause_reason: "player_afk" });
  }

  resume() {
    return this.#event("session.resume", {});
  }

  complete() {
    return this.#event("session.complete", { result_item_id: randomUUID(), duration_seconds: 60 });
  }

  fail() {
    return this.#event("session.fail", { failure_reason: "recipe_error", duration_seconds: 1 });
  }

  /** There is so much iron, and it is too little. */
  short(available) {
    const change = { material_id: this.iron, change_type: "quantity_changed", new_quantity: available };
    const notification = {
      material_id: this.iron,
      notification_type: "insufficient_quantity",
      required_quantity: 100,
      available_quantity: available,
    };
    return this.#event("materials.update", { changes: [change], notifications: [notification] });
  }

  /** There is so much iron, whether or not it is enough. */
  stocked(quantity) {
    const change = { material_id: this.iron, change_type: "quantity_changed", new_quantity: quantity };
    return this.#event("materials.update", { changes: [change] });
  }

  /** There is so much iron, and it is enough. */
  restored(available) {
    const change = { material_id: this.iron, change_type: "quantity_changed", new_quantity: available };
    const notification = {
      material_id: this.iron,
      notification_type: "material_restored",
      available_quantity: available,
    };
    return this.#event("materials.update", { changes: [change], notifications: [notification] });
  }

  queued(position) {
    return event("crafting.queue.update", {
      player_id: this.player,
      queue_position: position,
      station_type: "laboratory",
    });
  }

  #event(name, data) {
    return event(`crafting.${name}`, { session_id: this.session, ...data });
  }
}

/** Resolves with the next event of a feed that `wanted` accepts. */
export function next(feed, type, wanted = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no such ${type} within 20 s; the feed is ${feed.state}`)), 20_000);
    const stop = feed.on(type, (event) => {
      if (!wanted(event)) return;
      clearTimeout(timer);
      stop();
      resolve(event);
    });
  });
}
