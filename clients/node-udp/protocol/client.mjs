import { randomBytes } from "node:crypto";

import { Connection, LEFT } from "./connection.mjs";
import { Handshake } from "./handshake.mjs";
import { Kind, kindFromServer } from "./kinds.mjs";
import { demand, Refused } from "./refused.mjs";
import { Sessions } from "./sessions.mjs";
import { formatToken, parseToken } from "./token.mjs";

/** The events after which there are no others. */
export const ENDINGS = new Set(["closed", "silence", "unreachable"]);

/**
 * The whole protocol without a socket or a clock: octets and the time (Unix seconds) go in; `take()` has the datagrams to
 * send and the events. After each call, `due` is when `tick` wants to be called.
 */
export class Client {
  #out = { datagrams: [], events: [] };

  /** `agreed` is the answer of …/connect, for a server at one of so many addresses; `random(n)` makes n octets. */
  constructor(agreed, now, random = randomBytes, servers = 1) {
    this.token = agreed.session_token;
    this.agreed = agreed;
    this.handshake = new Handshake(parseToken(this.token), random, now, servers);
    this.sessions = new Sessions();
    this.connection = null;
    this.over = false;
    this.tick(now);
  }

  /** Which of the server's addresses datagrams go to, from 0. */
  get server() {
    return this.handshake.server;
  }

  get due() {
    if (this.over) return Infinity;
    return this.connection ? this.connection.due : Math.min(this.handshake.due, this.handshake.deadline);
  }

  /** Take a datagram. What is refused makes an event and nothing else. */
  receive(datagram, now) {
    if (this.over) return;
    try {
      if (kindFromServer(datagram) === Kind.CHALLENGE) this.#challenged(datagram, now);
      else if (this.connection) this.connection.receive(datagram, now);
      else this.#shake(datagram, now);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#out.events.push({ event: "refused", outcome: error.outcome });
    }
    this.#settle();
  }

  #challenged(datagram, now) {
    this.handshake.challenged(datagram, now);
    this.tick(now);
  }

  #shake(datagram, now) {
    const { sealer, opener } = this.handshake;
    demand(opener, "unknown_connection");
    const { negotiated_packet_size: packetSize } = this.agreed;
    const interval = this.agreed.heartbeat_interval / 1000; // it is told in milliseconds
    const compressed = this.agreed.compression !== undefined;
    const means = { sealer, opener, interval, packetSize, compressed, sessions: this.sessions };
    const connection = new Connection(means, this.#out, now);
    try {
      connection.receive(datagram, now);
    } finally {
      // What opened is the end of the handshake, whatever was wrong in it.
      if (opener.window.newest > 0) this.#connected(connection, now);
    }
  }

  #connected(connection, now) {
    this.connection = connection;
    this.#out.events.unshift({ event: "connected" });
    connection.tick(now);
  }

  /** Do what is due at `now`. */
  tick(now) {
    if (this.over) return;
    if (this.connection) this.connection.tick(now);
    else if (this.handshake.over(now)) this.#out.events.push({ event: "unreachable" });
    else {
      const datagram = this.handshake.send(now);
      if (datagram) this.#out.datagrams.push(datagram);
    }
    this.#settle();
  }

  /** The session with this index was joined to the connection, by …/connect. */
  join(index) {
    this.sessions.claim(index);
  }

  /** Hear no more of the sessions with these indexes. */
  leave(indexes, now) {
    this.connection?.leave(indexes, now);
    this.#settle();
  }

  /** Our own address has changed. */
  moved(now) {
    this.connection?.moved(now);
    this.#settle();
  }

  /** Hear no more of anything: the end. */
  close() {
    if (this.over) return;
    if (this.connection) this.connection.close();
    else this.#out.events.push({ event: "closed", reason: LEFT });
    this.#settle();
  }

  /** How far the server's clock is ahead, seconds; 0 while that is not known. */
  get offset() {
    return this.connection?.line.offset ?? 0;
  }

  /** The percent to show of a session at `now`; null while none was told. */
  shown(index, now) {
    const session = this.sessions.at(index);
    return session.progress ? session.shown.at(session.progress, now + this.offset) : null;
  }

  #settle() {
    for (const event of this.#out.events) {
      if (event.event === "renewed" && event.secret) {
        this.token = formatToken(parseToken(this.token).connectionId, event.secret);
        delete event.secret;
      }
      this.over ||= ENDINGS.has(event.event);
    }
  }

  /** { datagrams, events } since the last time. */
  take() {
    return { datagrams: this.#out.datagrams.splice(0), events: this.#out.events.splice(0) };
  }
}
