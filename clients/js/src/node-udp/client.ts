import { randomBytes } from "node:crypto";

import { Refused, refuseUnless } from "../wire.js";
import { Connection, LEFT, type ConnectionEvent, type Output } from "./connection.js";
import { Kind, kindFromServer } from "./datagrams.js";
import { Handshake, type Random } from "./handshake.js";
import { formatToken, parseToken } from "./keys.js";
import { Sessions } from "./session.js";

/** The events of a client: those of its connection, without the secret. */
export type UdpEvent = Exclude<ConnectionEvent, { event: "renewed" }> | { readonly event: "renewed" };

/** The events after which there are no others. */
export const ENDINGS: ReadonlySet<string> = new Set(["closed", "silence", "unreachable"]);

/** The answer of …/connect. */
export interface Agreement {
  readonly session_token: string;
  readonly server_endpoint: string;
  readonly negotiated_packet_size: number;
  /** Milliseconds. */
  readonly heartbeat_interval: number;
  readonly compression?: string;
  readonly session_index?: number;
}

/**
 * The whole protocol without a socket or a clock: octets and the time (Unix seconds) go in; `take()` has the datagrams to
 * send and the events. After each call, `due` is when `tick` wants to be called.
 */
export class Client {
  #out: Output = { datagrams: [], events: [] };
  #handshake: Handshake;
  #sessions = new Sessions();
  #connection: Connection | null = null;

  /** The newest session_token. */
  token: string;
  over = false;

  /** For a server at one of so many addresses. */
  constructor(
    private readonly agreed: Agreement,
    now: number,
    random: Random = randomBytes,
    servers = 1,
  ) {
    this.token = agreed.session_token;
    this.#handshake = new Handshake(parseToken(this.token), random, now, servers);
    this.tick(now);
  }

  /** Which of the server's addresses datagrams go to, from 0. */
  get server(): number {
    return this.#handshake.server;
  }

  get due(): number {
    if (this.over) return Infinity;
    return this.#connection?.due ?? Math.min(this.#handshake.due, this.#handshake.deadline);
  }

  /** Takes a datagram. What is refused makes an event and nothing else. */
  receive(datagram: Uint8Array, now: number): void {
    if (this.over) return;
    try {
      if (kindFromServer(datagram) === Kind.CHALLENGE) {
        this.#handshake.challenged(datagram, now);
        this.tick(now);
      } else if (this.#connection) this.#connection.receive(datagram, now);
      else this.#shake(datagram, now);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#out.events.push({ event: "refused", outcome: error.outcome });
    }
    this.#settle();
  }

  #shake(datagram: Uint8Array, now: number): void {
    const { answer } = this.#handshake;
    refuseUnless(answer !== null, "unknown_connection");
    const { negotiated_packet_size: packetSize, heartbeat_interval, compression } = this.agreed;
    const compressed = compression !== undefined;
    const settings = {
      ...answer,
      interval: heartbeat_interval / 1000,
      packetSize,
      compressed,
      sessions: this.#sessions,
    };
    const connection = new Connection(settings, this.#out, now);
    try {
      connection.receive(datagram, now);
    } finally {
      // What opened is the end of the handshake, whatever was wrong in it.
      if (answer.opener.window.newest > 0) this.#connected(connection, now);
    }
  }

  #connected(connection: Connection, now: number): void {
    this.#connection = connection;
    this.#out.events.unshift({ event: "connected" });
    connection.tick(now);
  }

  /** Does what is due at `now`. */
  tick(now: number): void {
    if (this.over) return;
    if (this.#connection) this.#connection.tick(now);
    else if (this.#handshake.isOver(now)) this.#out.events.push({ event: "unreachable" });
    else {
      const datagram = this.#handshake.send(now);
      if (datagram) this.#out.datagrams.push(datagram);
    }
    this.#settle();
  }

  /** The session with this index was joined to the connection, by …/connect. */
  join(index: number): void {
    this.#sessions.claim(index);
  }

  /** Hears no more of the sessions with these indexes. */
  leave(indexes: readonly number[], now: number): void {
    this.#connection?.leave(indexes, now);
    this.#settle();
  }

  /** Our own address has changed. */
  moved(now: number): void {
    this.#connection?.moved(now);
    this.#settle();
  }

  /** Hears no more of anything: the end. */
  close(): void {
    if (this.over) return;
    if (this.#connection) this.#connection.close();
    else this.#out.events.push({ event: "closed", reason: LEFT });
    this.#settle();
  }

  /** Seconds by which the server's clock is ahead; null while that is not known. */
  get offset(): number | null {
    return this.#connection?.line.offset ?? null;
  }

  #settle(): void {
    for (const event of this.#out.events) {
      if (event.event === "renewed") {
        this.token = formatToken({ connectionId: parseToken(this.token).connectionId, secret: event.secret });
      }
      this.over ||= ENDINGS.has(event.event);
    }
  }

  /** What is to be sent, and what happened, since the last time. */
  take(): { readonly datagrams: Buffer[]; readonly events: UdpEvent[] } {
    const events = this.#out.events
      .splice(0)
      .map((event) => (event.event === "renewed" ? { event: event.event } : event));
    return { datagrams: this.#out.datagrams.splice(0), events };
  }
}
