/** UDP as a transport of `Craftnet`: crafts over one connection of a player, for the same reducer as every other transport. */

import { codeOfStatus, lost, type Ending } from "../core/endings.js";
import type { Material, ProgressModel } from "../core/model.js";
import { stateArrival, type StateUpdate } from "../core/state-update.js";
import type { RowProblem } from "../wire.js";
import type { Link, Listener, Request, Transport } from "../transports/transport.js";
import { connect, ConnectError, type ConnectOptions, type Watched } from "./connect.js";
import type { Table } from "./materials.js";
import type { HeldProgress } from "./session.js";
import { SessionsConnection, type WatchEvent } from "./watching.js";

const PATIENCE = 3000; // milliseconds for the first datagram
const REASON = 500; // milliseconds for the reason of a failure, whose parts may come later
const ALIVE = 5000; // milliseconds between signs of life: a connection that is silent ends by itself

const UNAVAILABLE = 503;

/** The WebSocket close code that says what a reason of CLOSE says. */
const CODES: Readonly<Record<number, number>> = { 1: 1000, 2: 1001, 3: 1011, 4: 4001, 5: 4404, 6: 1000, 7: 4003 };

const progressOf = ({ anchor, ...more }: HeldProgress): ProgressModel => ({ ...more, anchor: anchor * 1000 });

function problemOf({ problem: type, ...numbers }: RowProblem): Material["problem"] {
  if (type === "material_restored") return null;
  return { type, ...Object.fromEntries(Object.entries(numbers).filter(([, number]) => number !== null)) };
}

const materialsOf = (table: Table): Material[] =>
  table.map(({ materialId: id, quantity, quality, problem }) => ({
    id,
    quantity,
    quality,
    problem: problem && problemOf(problem),
  }));

/** What a feed gets of one session. */
class SessionLink implements Link {
  readonly sessionId: string;
  /** Whether progress shall be the expected one; of the first session of a connection, it is that of all. */
  readonly expected: boolean | undefined;
  connection: SessionsConnection | null = null;
  #timers: ReturnType<typeof setTimeout>[] = [];
  #held: ReturnType<typeof setTimeout> | undefined; // a failure that waits for its reason
  #over = false;

  constructor(
    readonly watched: Watched,
    private readonly request: Request,
    private readonly listener: Listener,
    private readonly options: ConnectOptions,
    private readonly left: (link: SessionLink) => void,
  ) {
    this.sessionId = watched.sessionId;
    this.expected = options.expected ?? ("expected" in request.target || undefined);
    this.#timers.push(setTimeout(() => this.ended(lost("no datagram came")), PATIENCE));
    this.#timers.push(
      setInterval(() => this.connection && !this.connection.over && this.#live && listener.alive(), ALIVE),
    );
  }

  #live = false;

  get over(): boolean {
    return this.#over;
  }

  heard(event: WatchEvent): void {
    switch (event.event) {
      case "connected":
        return this.#deliver({});
      case "progress":
        clearTimeout(this.#held);
        if (event.progress.status !== "failed" || event.progress.failureReason !== null)
          return this.#progress(event.progress);
        this.#held = setTimeout(() => this.#progress(event.progress), REASON);
        return;
      case "materials":
        return this.#deliver({ materials: materialsOf(event.materials) });
      case "position":
        return this.#deliver({ position: `${event.epoch}:${event.version}:udp` });
      case "session_over":
      case "closed":
        return this.ended({ code: CODES[event.reason] ?? 1006, reason: "" });
      case "silence":
      case "unreachable":
        return this.ended(lost(event.event));
    }
  }

  #progress(progress: HeldProgress): void {
    this.#deliver({ progress: progressOf(progress) });
  }

  #deliver(update: StateUpdate): void {
    if (this.#over) return;
    if (!this.#live) clearTimeout(this.#timers[0]);
    this.#live = true;
    const offset = this.connection?.offset;
    this.listener.arrived(stateArrival(offset == null ? update : { ...update, offset: offset * 1000 }));
  }

  ended(ending: Ending): void {
    if (this.#over) return;
    this.#finish();
    this.listener.ended(ending);
  }

  /** Why …/connect failed. */
  refused(error: unknown): void {
    if (!(error instanceof ConnectError)) return this.ended(lost(error));
    const { status, reason, retryAfter } = error;
    if (status === UNAVAILABLE) return this.ended(lost(reason)); // such as UDP switched off: the next transport may do
    this.ended({ code: codeOfStatus(status), reason, retryAfter: retryAfter && retryAfter * 1000 });
  }

  offer(bearer: string): boolean {
    const { connection } = this;
    if (!connection) return false;
    const { fetch } = this.request;
    connect({ ...this.watched, bearer }, { ...this.options, session_token: connection.token }, fetch).then(
      () => this.#over || this.listener.alive(),
      (error) =>
        this.#over ||
        (error instanceof ConnectError && error.status === 401 ? this.listener.tokenRefused() : undefined),
    );
    return true;
  }

  close(): void {
    if (this.#over) return;
    this.#finish();
    if (this.connection && !this.connection.over) this.connection.leave(this.sessionId);
  }

  #finish(): void {
    this.#over = true;
    clearTimeout(this.#held);
    for (const timer of this.#timers) clearTimeout(timer);
    this.left(this);
  }
}

/** A transport for Node.js: `transports: [udp(), "bin", "json"]`. Crafts only; queues and health use the next one. */
export function udp(options: ConnectOptions = {}): Transport {
  const links = new Set<SessionLink>();

  function hear(event: WatchEvent, from: SessionsConnection): void {
    for (const link of [...links]) {
      const concerns =
        event.session === undefined
          ? link.connection === from
          : link.sessionId === event.session && link.connection === from;
      if (concerns && (event.event !== "refused" || event.session !== undefined)) link.heard(event);
    }
  }

  /** An open connection of the same player to the same server, with the same kind of progress. */
  function shared({ watched: { url, playerId }, expected }: SessionLink): SessionsConnection | undefined {
    for (const { watched, connection, expected: other } of links) {
      if (!connection || connection.over || expected !== other) continue;
      if (watched.url === url && watched.playerId === playerId) return connection;
    }
    return undefined;
  }

  async function begin(link: SessionLink, get: Request["fetch"]): Promise<void> {
    const open = shared(link);
    const shown = open?.token;
    const { expected } = link;
    const answer = await connect(link.watched, { ...options, expected, session_token: shown }, get);
    if (link.over) return;
    if (open && !open.over && answer.session_token === shown) {
      link.connection = open;
      link.heard({ event: "connected" });
      open.join(answer.session_index ?? 0, link.sessionId);
      return;
    }
    const connection = await SessionsConnection.to(answer, link.sessionId, hear);
    if (link.over) connection.leaveAll();
    else link.connection = connection;
  }

  return {
    name: "udp",
    supports: ({ target }) => target.kind === "crafting",
    open(request, listener) {
      const { target, url, token: bearer } = request;
      if (target.kind !== "crafting") throw new TypeError("UDP watches crafts only");
      const { sessionId, playerId } = target;
      const link = new SessionLink({ url, sessionId, playerId, bearer }, request, listener, options, (over) =>
        links.delete(over),
      );
      links.add(link);
      begin(link, request.fetch).catch((error) => link.refused(error));
      return link;
    },
  };
}
