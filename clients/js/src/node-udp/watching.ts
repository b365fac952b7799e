/** Sessions by name: over one connection where the server agrees, and over another when that breaks. */

import { ENDINGS, type Agreement, type UdpEvent } from "./client.js";
import { connect, ConnectError, type ConnectOptions } from "./connect.js";
import { addresses, Socket } from "./socket.js";

/** An event of a connection; those of a session have its id. */
export type WatchEvent = (UdpEvent | { event: "not_connected"; status: number | null; message: string }) & {
  readonly session?: string;
};

/** One UDP connection and its sessions, by name. */
export class SessionsConnection {
  /** Ids of the sessions that are not over. */
  readonly open: Set<string>;
  #names: Map<number, string>;
  #early: (UdpEvent & { index: number })[] = []; // received before the answer that names the session
  #socket: Socket;

  /** A connection to wherever `agreed` says. Rejects when that host has no address. */
  static async to(
    agreed: Agreement,
    sessionId: string,
    report: (event: WatchEvent, from: SessionsConnection) => void,
  ): Promise<SessionsConnection> {
    const host = agreed.server_endpoint.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
    return new SessionsConnection(agreed, await addresses(host), sessionId, report);
  }

  constructor(
    agreed: Agreement,
    servers: readonly string[],
    sessionId: string,
    private readonly report: (event: WatchEvent, from: SessionsConnection) => void,
  ) {
    this.open = new Set([sessionId]);
    this.#names = new Map([[agreed.session_index ?? 0, sessionId]]);
    this.#socket = new Socket(agreed, servers, (event) => this.#heard(event));
  }

  get token(): string {
    return this.#socket.client.token;
  }

  get over(): boolean {
    return this.#socket.client.over;
  }

  /** Seconds by which the server's clock is ahead; null while that is not known. */
  get offset(): number | null {
    return this.#socket.client.offset;
  }

  /** This connection carries another session, too. */
  join(index: number, sessionId: string): void {
    this.#names.set(index, sessionId);
    this.open.add(sessionId);
    this.#socket.join(index);
    for (const event of this.#early.splice(0)) this.#heard(event);
  }

  /** Hears no more of a session. */
  leave(sessionId: string): void {
    this.#socket.leave([...this.#names].filter(([, name]) => name === sessionId).map(([index]) => index));
  }

  /** Hears no more of anything. */
  leaveAll(): void {
    this.#socket.close();
  }

  #heard(event: UdpEvent): void {
    if (!("index" in event)) return this.report(event, this);
    const session = this.#names.get(event.index);
    if (session === undefined) return void this.#early.push(event);
    const { index: _, ...more } = event;
    if (event.event === "session_over") this.open.delete(session);
    this.report({ session, ...more } as WatchEvent, this);
  }
}

const [FIRST_WAIT, LONGEST_WAIT] = [0.5, 30]; // seconds
const [SHUTTING_DOWN, BROKEN] = [2, 3]; // reasons of a CLOSE
const TRANSIENT: ReadonlySet<number> = new Set([429, 500, 502, 503, 504]);

/** Whether to connect again after the end of a connection. */
function comesBack(event: WatchEvent): boolean {
  if (event.event === "closed") return event.reason === SHUTTING_DOWN || event.reason === BROKEN;
  return event.event === "silence" || event.event === "unreachable";
}

/** Whom a `Watching` watches for. */
export interface Account {
  readonly url: string;
  readonly playerId: string;
  readonly bearer: string;
  readonly options?: ConnectOptions;
}

/** Watches sessions of a player, over one connection where the server agrees, and comes back when one breaks. */
export class Watching {
  #connections = new Set<SessionsConnection>();
  #attempts = 0;
  #stopped = false;

  constructor(
    private readonly account: Account,
    private readonly report: (event: WatchEvent) => void,
  ) {}

  /** Watches these sessions; with a connection that has room, over that. Resolves when all are connected or given up. */
  async open(sessions: readonly string[], connection: SessionsConnection | null = null): Promise<void> {
    for (const session of sessions) {
      const asked = await this.#ask(session, connection);
      if (!asked || this.#stopped) continue;
      const { answer, shown } = asked;
      const joined = shown !== undefined && answer.session_token === shown;
      if (!joined) connection = (await this.#begin(answer, session)) ?? connection;
      else if (!connection!.over) connection!.join(answer.session_index ?? 0, session);
      else this.#comeBack([session]); // it ended while the answer was under way
    }
  }

  leave(session: string): void {
    for (const connection of this.#connections) connection.leave(session);
  }

  stop(): void {
    this.#stopped = true;
    for (const connection of this.#connections) connection.leaveAll();
  }

  /** Milliseconds by which the server's clock is ahead, by any connection. */
  get offset(): number {
    for (const { offset } of this.#connections) if (offset !== null) return offset * 1000;
    return 0;
  }

  /** What …/connect says, and the token of the connection that it was shown, if any; null when it was given up. */
  async #ask(
    sessionId: string,
    connection: SessionsConnection | null,
  ): Promise<{ answer: Agreement; shown: string | undefined } | null> {
    while (!this.#stopped) {
      try {
        const shown = connection && !connection.over ? connection.token : undefined; // it may be another when the answer comes
        const answer = await connect({ ...this.account, sessionId }, { ...this.account.options, session_token: shown });
        return { answer, shown };
      } catch (error) {
        const failed = error instanceof ConnectError ? error : null;
        this.report({
          event: "not_connected",
          session: sessionId,
          status: failed?.status ?? null,
          message: String(error),
        });
        if (failed && !TRANSIENT.has(failed.status)) return null;
        await this.#pause(failed?.retryAfter ?? 0);
      }
    }
    return null;
  }

  /** A connection of its own for this session; null, and another attempt later, when the server has no address. */
  async #begin(answer: Agreement, session: string): Promise<SessionsConnection | null> {
    try {
      const connection = await SessionsConnection.to(answer, session, (event, from) => this.#heard(event, from));
      this.#connections.add(connection);
      if (this.#stopped) connection.leaveAll();
      return connection;
    } catch (error) {
      this.report({ event: "not_connected", session, status: null, message: String(error) });
      this.#comeBack([session]);
      return null;
    }
  }

  #heard(event: WatchEvent, from: SessionsConnection): void {
    this.report(event);
    if (event.event === "connected") this.#attempts = 0;
    if (!ENDINGS.has(event.event)) return;
    this.#connections.delete(from);
    if (comesBack(event) && !this.#stopped) this.#comeBack([...from.open]);
  }

  #comeBack(sessions: readonly string[]): void {
    void this.#pause(0).then(() => this.open(sessions));
  }

  /** Exponential backoff with full jitter, after at least so many seconds. */
  #pause(least: number): Promise<void> {
    const most = Math.min(FIRST_WAIT * 2 ** this.#attempts++, LONGEST_WAIT);
    return new Promise((resolve) => setTimeout(resolve, (least + Math.random() * most) * 1000));
  }
}
