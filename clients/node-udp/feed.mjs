import { Socket, addresses, now } from "./socket.mjs";

/** One UDP connection and the sessions it tells of, by name: `tell(event)` hears what happens, each with its session. */
export class Feed {
  #names = new Map(); // index → session id
  #early = []; // told before the answer that names the session

  /** A feed at wherever `agreed` says; rejects when that host has no address. */
  static async at(agreed, sessionId, tell) {
    const host = agreed.server_endpoint.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
    return new Feed(agreed, await addresses(host), sessionId, tell);
  }

  constructor(agreed, servers, sessionId, tell) {
    this.tell = tell;
    this.open = new Set([sessionId]);
    this.#names.set(0, sessionId);
    this.socket = new Socket(agreed, servers, (event) => this.#heard(event));
  }

  get token() {
    return this.socket.client.token;
  }

  get over() {
    return this.socket.client.over;
  }

  /** Another session is told over this connection, too. */
  join(index, sessionId) {
    this.#names.set(index, sessionId);
    this.open.add(sessionId);
    this.socket.join(index);
    for (const event of this.#early.splice(0)) this.#heard(event);
  }

  /** Hear no more of a session. */
  leave(sessionId) {
    this.socket.leave([...this.#names.keys()].filter((index) => this.#names.get(index) === sessionId));
  }

  /** Hear no more of anything. */
  leaveAll() {
    this.socket.close();
  }

  /** Tell how far each session is by now. */
  show() {
    for (const [index, session] of this.#names) {
      const percent = this.socket.client.shown(index, now());
      if (percent !== null) this.tell({ event: "shown", session, percent: Number(percent.toFixed(2)) });
    }
  }

  #heard({ index, ...event }) {
    if (index === undefined) return this.tell(event, this);
    if (!this.#names.has(index)) return void this.#early.push({ index, ...event });
    const { event: name, ...more } = event;
    const session = this.#names.get(index);
    if (name === "session_over") this.open.delete(session);
    this.tell({ event: name, session, ...more }, this);
  }
}
