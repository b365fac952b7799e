/**
 * A server that speaks the admin API of docs/reference/admin.md, with figures of its own: for what a real server shows
 * seldom, such as two nodes of which one is silent. It serves the built page with the server's content policy.
 */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

import { WebSocketServer } from "ws";

const BUILT = fileURLToPath(new URL("../../../craftnet/http/pages/dashboard/", import.meta.url));

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; " +
  "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

export const TOKEN = "operator.token.x";
export const SESSION = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
export const PLAYER = "11111111-1111-4111-8111-111111111111";
export const CONNECTION = "craft-1:4711.ws.5f0d1c2b3a49e8d7";

const now = () => new Date().toISOString();
const wave = (index, base, swing, period) =>
  base + swing * Math.sin(index / period) + swing * 0.4 * Math.sin(index / 2.3 + period);

const figures = (share) => ({
  connections: { websocket: Math.round(6120 * share), sse: Math.round(38 * share), udp: Math.round(2210 * share) },
  watchers: { crafting: Math.round(7900 * share), queue: Math.round(460 * share), health: 2 },
  sessions: Math.round(7420 * share),
  events_per_second: 1480 * share,
  deliveries_per_second: 8210 * share,
  bytes_per_second: 812_000 * share,
  delivery: {
    websocket: { count: 48_000, p50_ms: 0.31, p99_ms: 1.84 },
    udp: { count: 13_000, p50_ms: 0.12, p99_ms: 1.21 },
  },
  round_trip: { count: 2210, p50_ms: 38.2, p99_ms: 182.4 },
  loop_delay: { count: 600, p50_ms: 0.08, p99_ms: 1.9 },
  memory_bytes: Math.round(42e6 * share),
  session_memory_bytes: 5480,
  returns: Math.round(220 * share),
  recovered_ratio: 0.973,
  refusals: { unauthorized: 14, rate_limited: 61, origin: 3, slow_consumer: 2 },
});

const node = (name, share, more = {}) => ({
  node: name,
  answering: true,
  timestamp: now(),
  version: "0.1.0",
  uptime_seconds: 86_400 * 3 + 4200,
  ready: true,
  draining: false,
  state: { backend: "redis", shared: true, epoch: "5f0d1c2b3a49", response_time_ms: 1 },
  figures: figures(share),
  limits: {
    connections: { used: Math.round(6158 * share), limit: 20_000 },
    half_open: { used: 3, limit: 2000 },
    udp_tickets: { used: 12, limit: 20_000 },
  },
  ...more,
});

const overview = () => ({
  timestamp: now(),
  windows: { rates_seconds: 5, latencies_seconds: 60, counts_seconds: 900 },
  total: figures(1),
  nodes: [
    node("craft-1:4711", 0.52),
    node("craft-2:worker-0", 0.24, { draining: true, ready: false }),
    node("craft-2:worker-1", 0.24),
    node("craft-3:4711", 0, { answering: false, ready: false }),
  ],
});

const SHAPES = {
  connections: [8300, 260, 40],
  sessions: [7400, 180, 55],
  events_per_second: [1480, 160, 9],
  deliveries_per_second: [8200, 620, 11],
  bytes_per_second: [812_000, 90_000, 11],
  refusals_per_second: [0.09, 0.08, 6],
  websocket_p50_ms: [0.31, 0.05, 8],
  websocket_p99_ms: [1.8, 0.5, 8],
  udp_p50_ms: [0.12, 0.02, 7],
  udp_p99_ms: [0.9, 0.28, 7],
  round_trip_p50_ms: [38, 4, 20],
  round_trip_p99_ms: [180, 25, 20],
  loop_delay_p99_ms: [1.6, 0.9, 5],
  memory_bytes: [42e6, 1e6, 70],
};

const point = () =>
  Object.fromEntries(Object.entries(SHAPES).map(([name, shape]) => [name, Math.max(0, wave(180, ...shape))]));

const series = () => ({
  until: now(),
  step_seconds: 5,
  values: Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape]) => [
      name,
      Array.from({ length: 180 }, (_, index) => Math.max(0, wave(index, ...shape))),
    ]),
  ),
});

const began = Date.now();
const progress = (percent, seconds, more = {}) => ({
  status: "active",
  at: new Date(began).toISOString(),
  percent,
  remaining_seconds: seconds,
  quality: 55,
  target_quality: 80,
  ...more,
});

const row = (index, craft) => ({
  session_id: index === 0 ? SESSION : `${index.toString(16).padStart(8, "b")}-aaaa-4aaa-8aaa-aaaaaaaaaaaa`,
  player_id: index === 0 ? PLAYER : `${index.toString(16).padStart(8, "1")}-1111-4111-8111-111111111111`,
  recipe_id: "cccccccc-cccc-4ccc-8ccc-cccccccccccc",
  changes: 7 + index,
  progress: craft,
});

const ROWS = [
  row(0, progress(42.25, 1736)),
  row(1, progress(8, 300)),
  row(2, progress(71, 40)),
  row(3, progress(55, 80, { status: "paused" })),
  row(4, progress(100, 0, { status: "completed" })),
  row(5, progress(31, 90, { status: "failed", failure_reason: "insufficient_materials" })),
];

const watcher = (connection, transport, encoding, more = {}) => ({
  connection,
  node: "craft-1:4711",
  transport,
  feed: "crafting",
  encoding,
  address: "192.0.2.0/24",
  expires: now(),
  session_id: SESSION,
  player_id: PLAYER,
  client: "UnrealEngine/5.4",
  token_id: "b1946ac9",
  round_trip_ms: 31.2,
  loss: 0.01,
  ...more,
});

const WATCHERS = [
  watcher(CONNECTION, "websocket", "craftnet.bin.v1"),
  watcher("craft-1:4711.udp.77aa", "udp", "udp + lz4", { client: "1.4.2", round_trip_ms: 44.7, loss: 0.023 }),
  watcher("craft-1:4711.sse.9c01", "sse", "sse", {
    client: "Mozilla/5.0",
    waiting_updates: 2,
    waiting_bytes: 1830,
    lag_seconds: 0.4,
  }),
];

const QUEUE = [
  {
    player_id: PLAYER,
    queue_position: 3,
    since: now(),
    station_type: "laboratory",
    total_in_queue: 12,
    estimated_wait_seconds: 95,
    jump_queue_cost: 40,
    session_id: SESSION,
  },
];

const VIEWS = {
  sessions: ({ search }) => ({
    sessions: ROWS.filter((each) => !search || each.session_id.startsWith(search)),
    ...(search ? {} : { next: "eyJhIjo1MH0" }),
  }),
  session: () => ({
    session: ROWS[0],
    materials: [
      { material_id: "0f1e2d3c-4b5a-4697-8877-665544332206", quantity: 12, quality: 60 },
      {
        material_id: "7a6b5c4d-3e2f-4d1c-9b0a-9f8e7d6c5b05",
        quantity: 2,
        problem: { notification_type: "insufficient_quantity", required_quantity: 5, available_quantity: 2 },
      },
    ],
    queue: QUEUE,
    watchers: WATCHERS,
    history: [
      { timestamp: now(), kind: "event", text: "crafting.session.start: accepted" },
      { timestamp: now(), kind: "materials", text: "2 of 5 pieces of 7a6b5c4d", version: 3 },
    ],
    position: "5f0d1c2b3a49:12582915",
  }),
  queues: () => ({ entries: QUEUE }),
  player: () => ({
    player_id: PLAYER,
    sessions: [ROWS[0]],
    queue: QUEUE,
    connections: WATCHERS,
    tokens: [{ connections: 2, expires: now(), scopes: [], token_id: "b1946ac9", issued: now() }],
    devices: [{ address: "192.0.2.0/24", connections: 2, transports: ["websocket"], client: "UnrealEngine/5.4" }],
  }),
  "slow-consumers": () => ({ connections: [WATCHERS[2]], closed: 3 }),
  "security-events": () => ({
    events: [
      {
        timestamp: now(),
        node: "craft-1:4711",
        event: "token_refused",
        fields: { reason: "expired", address: "192.0.2.0/24" },
      },
    ],
  }),
  health: () => ({
    nodes: [
      {
        node: "craft-1:4711",
        reports: {
          "crafting-network": {
            status: "degraded",
            timestamp: now(),
            message: "Redis answers slowly.",
            uptime: 86_400,
            checks: {
              sessions: { status: "ok", response_time: 3 },
              redis: { status: "degraded", message: "took 480 ms", response_time: 480 },
            },
          },
        },
      },
    ],
  }),
};

const CONFIGURATION = {
  node: "craft-1:4711",
  options: [
    { option: "http", value: "tcp:8080", default: true },
    { option: "backend", value: "redis:host=redis", default: false },
    { option: "auth", value: "jwt:jwks=https://login.example/keys.json", default: false },
  ],
};

const traced = (sequence) => [
  {
    timestamp: now(),
    node: "craft-1:4711",
    direction: "in",
    kind: "event",
    bytes: 318,
    name: "crafting.session.progress",
    outcome: "accepted",
    content: { progress_percentage: 42 + sequence },
  },
  ...WATCHERS.map((each) => ({
    timestamp: now(),
    node: each.node,
    direction: "out",
    kind: { websocket: "frame", udp: "datagram", sse: "stream" }[each.transport],
    bytes: { websocket: 50, udp: 52, sse: 361 }[each.transport],
    name: "progress_update",
    connection: each.connection,
    transport: each.transport,
    encoding: each.encoding,
    content: [{ type: "progress_update", progress_data: { progress_percentage: 42 + sequence } }],
  })),
];

const json = (response, status, body) => {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
};

/** The fake server on a free port, and how to steer it. */
export class FakeServer {
  /** Every action that was asked for: path and body. */
  actions = [];
  #sockets = new Set();
  #http = createServer((request, response) => void this.#answer(request, response));
  #feeds = new WebSocketServer({ noServer: true, handleProtocols: () => "craftnet.json.v1" });

  constructor({ mayOperate = true } = {}) {
    this.info = {
      node: "craft-1:4711",
      version: "0.1.0",
      mode: mayOperate ? "on" : "read-only",
      may_operate: mayOperate,
      promises: {
        websocket_delivery_ms: 5,
        udp_delivery_ms: 1,
        session_memory_bytes: 10_240,
        session_bytes_per_second: 51_200,
      },
    };
    this.#http.on("upgrade", (request, socket, head) => {
      if (!request.headers["sec-websocket-protocol"]?.includes(TOKEN)) {
        socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
        return;
      }
      this.#feeds.handleUpgrade(request, socket, head, (feed) => this.#serve(feed));
    });
  }

  async listen(port = 0) {
    await new Promise((done) => this.#http.listen(port, "127.0.0.1", done));
    this.port = this.#http.address().port;
    this.url = `http://127.0.0.1:${this.port}/dashboard/`;
    return this;
  }

  /** Closes every feed; with a code. */
  drop(code = 1001, reason = "retry in 0.1 s") {
    for (const feed of this.#sockets) feed.close(code, reason);
  }

  async close() {
    for (const feed of this.#sockets) feed.terminate();
    this.#http.closeAllConnections();
    await new Promise((done) => this.#http.close(done));
  }

  async #answer(request, response) {
    const { pathname } = new URL(request.url, "http://x");
    if (pathname.startsWith("/admin")) return this.#api(request, response, pathname);
    const name = pathname.replace("/dashboard/", "") || "index.html";
    try {
      const file = await readFile(BUILT + name);
      response.writeHead(200, { "Content-Type": TYPES[extname(name)], "Content-Security-Policy": POLICY });
      response.end(file);
    } catch {
      response.writeHead(404).end();
    }
  }

  async #api(request, response, path) {
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      return json(response, 401, { code: 401, message: "The token is not valid." });
    if (request.method === "GET") {
      if (path === "/admin") return json(response, 200, this.info);
      return json(response, 200, CONFIGURATION);
    }
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString());
    this.actions.push({ path: decodeURIComponent(path), body });
    if (body.reason === "refuse") return json(response, 403, { code: 403, message: "This needs crafting:operate." });
    return json(response, 200, { action: "disconnect", node: "craft-1:4711", affected: 1, timestamp: now() });
  }

  #serve(feed) {
    this.#sockets.add(feed);
    const send = (message) => feed.readyState === 1 && feed.send(JSON.stringify({ timestamp: now(), ...message }));
    const tick = () => send({ type: "overview", overview: overview(), point: point() });
    const timers = new Map([["tick", setInterval(tick, 1000)]]);
    send({ type: "hello", info: this.info });
    send({ type: "series", series: series() });
    tick();
    feed.on("message", (octets) => {
      const message = JSON.parse(octets);
      clearInterval(timers.get(message.id));
      if (message.type === "subscribe")
        send({ type: "view", id: message.id, view: message.view, data: VIEWS[message.view](message) });
      if (message.type === "trace") {
        let sequence = 0;
        const push = () => send({ type: "trace", id: message.id, entries: traced((sequence += 1)), dropped: 0 });
        push();
        timers.set(message.id, setInterval(push, 500));
      }
    });
    feed.on("close", () => {
      this.#sockets.delete(feed);
      for (const timer of timers.values()) clearInterval(timer);
    });
  }
}
