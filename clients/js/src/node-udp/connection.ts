import { Refused, refuseUnless, type Heartbeat } from "../wire.js";
import * as bodies from "./bodies.js";
import { Kind, kindFromServer } from "./datagrams.js";
import { Acknowledgements, Line } from "./line.js";
import { MessageParts } from "./message-parts.js";
import { Rotation, type Opener, type Sealer } from "./sealing.js";
import type { Session, Sessions, SessionNews } from "./session.js";
import { parseRecords, type SessionRecord, type StateRecord } from "./states.js";

const SILENCES = 3; // heartbeat intervals
/** The reason of a CLOSE when the client leaves. */
export const LEFT = 6;
const [RESYNC_PAUSE, LEAVE_PAUSE, HEARTBEAT_PAUSE] = [1.0, 5.0, 1.0]; // seconds
const UNSTEADY = 60; // seconds after a change of address in which another one is likely
const [ACK_DELAY, ACK_AFTER] = [0.02, 16]; // seconds; datagrams

/** What happened. Those of a session have its `index`. */
export type ConnectionEvent =
  | { readonly event: "connected" }
  | (SessionNews & { readonly index: number })
  | { readonly event: "refused"; readonly outcome: string }
  | { readonly event: "renewed"; readonly secret: Uint8Array }
  | { readonly event: "closed"; readonly reason: number }
  | { readonly event: "silence" }
  | { readonly event: "unreachable" };

/** What is to be sent, and what happened. */
export interface Output {
  datagrams: Buffer[];
  events: ConnectionEvent[];
}

export interface ConnectionSettings {
  readonly sealer: Sealer;
  readonly opener: Opener;
  /** Seconds between heartbeats. */
  readonly interval: number;
  readonly packetSize: number;
  readonly compressed: boolean;
  readonly sessions: Sessions;
}

/** The records of a MESSAGE: compressed beside content that others can choose, a secret would leak through the length. */
function parsePacked(content: Uint8Array): StateRecord[] {
  const records = parseRecords(content);
  refuseUnless(!records.some(({ record }) => record === "FreshSecret"), "type");
  return records;
}

const micros = (now: number): bigint => BigInt(Math.round(now * 1e6));

/** When an ACK is due after STATEs and MESSAGEs, and which tables it names. */
class Reports {
  #waiting = 0;
  #named = new Set<Session>();
  due = Infinity;

  /** A STATE or MESSAGE came in. */
  arrived(now: number): void {
    this.#waiting += 1;
    this.due = this.#waiting >= ACK_AFTER ? now : Math.min(this.due, now + ACK_DELAY);
  }

  /** The next ACK is to name this session's table. */
  name(session: Session): void {
    this.#named.add(session);
  }

  /** Something else is sent, which acknowledges as well: it takes the place of an ACK that would name no table. */
  acknowledged(): void {
    if (this.#named.size === 0) this.#done();
  }

  /** What the ACK that is sent now says; the first session is always named. */
  take(first: Session): bodies.Tables {
    const tables = new Map([first, ...this.#named].map((session) => [session.index, session.materials.version]));
    this.#done();
    return tables;
  }

  #done(): void {
    this.#waiting = 0;
    this.#named = new Set();
    this.due = Infinity;
  }
}

/**
 * A connection from the first sealed datagram on. Octets and the time (Unix seconds) go in; what is to be sent and what
 * happened are appended to `out`.
 */
export class Connection {
  readonly line: Line = new Line();
  readonly sessions: Sessions;
  over = false;
  #settings: ConnectionSettings;
  #arrived = new Acknowledgements();
  #rotation: Rotation;
  #reports = new Reports();
  #messages: MessageParts | null;
  #heardAt: number;
  #beaten = { at: -Infinity, sent: 0n };
  #beatAgain = Infinity;
  #unsteadyUntil = -Infinity;
  #resync: { wanted: boolean; next: number };
  #leaving = { sessions: new Set<number>(), due: Infinity, pause: 0 };
  #secretFrom = 0;

  constructor(
    settings: ConnectionSettings,
    private readonly out: Output,
    now: number,
  ) {
    this.#settings = settings;
    this.sessions = settings.sessions;
    this.#rotation = new Rotation(settings.sealer);
    this.#messages = settings.compressed ? new MessageParts(settings.packetSize) : null;
    this.#heardAt = now;
    this.#resync = { wanted: false, next: now };
  }

  // What comes in

  /** Takes a sealed datagram. Throws Refused. */
  receive(datagram: Uint8Array, now: number): void {
    if (this.over) return;
    kindFromServer(datagram);
    const { kind, sequence, content } = this.#settings.opener.open(datagram);
    this.#heardAt = now;
    if (kind === Kind.STATE || kind === Kind.MESSAGE) this.#reports.arrived(now);
    this.#arrived.take(content.subarray(0, 8), this.#settings.sealer.sequence);
    this.#take(kind, sequence, content.subarray(8), now);
    this.tick(now);
  }

  #take(kind: number, sequence: number, body: Uint8Array, now: number): void {
    switch (kind) {
      case Kind.STATE:
        return this.apply(parseRecords(body), sequence, now);
      case Kind.MESSAGE: {
        refuseUnless(this.#messages !== null, "type");
        const whole = this.#messages.take(sequence, bodies.parseMessagePart(body));
        if (whole) this.apply(parsePacked(whole.content), whole.sequence, now);
        return;
      }
      case Kind.HEARTBEAT:
        return this.#heartbeatArrived(sequence, bodies.parseHeartbeat(body), now);
      case Kind.PATH_CHALLENGE:
        this.#send(Kind.PATH_RESPONSE, bodies.parsePath(body));
        this.#unsteadyUntil = now + UNSTEADY;
        return;
      case Kind.CLOSE:
        return this.#closed(bodies.parseClose(body));
    }
  }

  /** Takes all the records of a STATE that came with, or counts as of, this sequence. */
  apply(records: readonly StateRecord[], sequence: number, now: number): void {
    const changed = new Set<Session>();
    let session = this.sessions.received(0, now);
    for (const record of records) {
      if (record.record === "Selector") {
        session = this.sessions.received(record.session, now);
      } else if (record.record === "FreshSecret") {
        this.#renewed(record.secret, sequence);
      } else {
        this.#apply(session, record, sequence);
        changed.add(session);
      }
    }
    for (const each of changed) this.out.events.push(...each.news().map((news) => ({ ...news, index: each.index })));
  }

  #apply(session: Session, record: SessionRecord, sequence: number): void {
    const ofTable = record.record.startsWith("Materials") || record.record === "ProblemsPart";
    if (ofTable && session.over === null) this.#reports.name(session);
    try {
      session.take(record, sequence);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.out.events.push({ event: "refused", outcome: error.outcome });
      this.#resync.wanted = true;
    }
  }

  #renewed(secret: Uint8Array, sequence: number): void {
    if (sequence <= this.#secretFrom) return;
    this.#secretFrom = sequence;
    this.out.events.push({ event: "renewed", secret });
  }

  #heartbeatArrived(
    sequence: number,
    { sentUs: sent, echoedUs: echoed, receivedUs: received }: Heartbeat,
    now: number,
  ): void {
    const first = this.line.heard.sequence === 0;
    this.line.take(sequence, { sent, echoed, received }, micros(now));
    const lost = echoed !== this.#beaten.sent && now - this.#beaten.at > this.line.timeout;
    if (lost) this.#beatAgain = this.#beaten.at + HEARTBEAT_PAUSE;
    if (first) this.#beatAgain = now; // it is answered at once
  }

  #closed(reason: number): void {
    this.#report();
    this.#end({ event: "closed", reason });
  }

  // What goes out

  /** When `tick` has something to do, Unix seconds. */
  get due(): number {
    if (this.over) return Infinity;
    const resync = this.#resync.wanted ? this.#resync.next : Infinity;
    return Math.min(this.#silent, this.#reports.due, this.#beat, resync, this.#leaving.due, this.sessions.due);
  }

  get #silent(): number {
    return this.#heardAt + SILENCES * this.#settings.interval;
  }

  get #beat(): number {
    const { interval } = this.#settings;
    const soon = this.#beaten.at + HEARTBEAT_PAUSE;
    const unheard = Math.max(soon, this.#heardAt + interval);
    // While the address may change unnoticed, a heartbeat every second shows it to the server.
    const often = this.line.offset === null || this.#beaten.at < this.#unsteadyUntil ? soon : Infinity;
    return Math.min(this.#beaten.at + interval, unheard, often, this.#beatAgain);
  }

  /** Does what is due at `now`. */
  tick(now: number): void {
    if (this.over) return;
    if (now >= this.#silent) return this.#end({ event: "silence" });
    if (now >= this.#reports.due) this.#report();
    if (now >= this.#beat) this.#heartbeat(now);
    if (now >= this.#leaving.due) this.#leave(now);
    if (now >= this.sessions.due) this.leave(this.sessions.unclaimed(now), now);
    if (this.#resync.wanted && now >= this.#resync.next) {
      this.#resync = { wanted: false, next: now + RESYNC_PAUSE };
      this.#send(Kind.RESYNC);
    }
  }

  #report(): void {
    this.#send(Kind.ACK, this.ack());
  }

  /** The body of the ACK that is to be sent now. */
  ack(): Buffer {
    return bodies.ack(this.#reports.take(this.sessions.at(0)));
  }

  #heartbeat(now: number): void {
    this.#rotation.beforeHeartbeat(now, this.#arrived.newest);
    const { sent: echoedUs, arrived: receivedUs } = this.line.heard;
    this.#beaten = { at: now, sent: micros(now) };
    this.#beatAgain = Infinity;
    this.line.beat(this.#beaten.sent);
    this.#send(Kind.HEARTBEAT, bodies.heartbeat({ sentUs: this.#beaten.sent, echoedUs, receivedUs }));
  }

  /** Our own address has changed: a heartbeat lets the server find the new one at once. */
  moved(now: number): void {
    this.#beatAgain = now;
    this.#unsteadyUntil = now + UNSTEADY;
    this.tick(now);
  }

  /** Hears no more of these sessions; with the last one, the connection ends. */
  leave(indexes: readonly number[], now: number): void {
    const open = this.sessions.open();
    for (const index of indexes) if (open.includes(index)) this.#leaving.sessions.add(index);
    if (open.every((index) => this.#leaving.sessions.has(index))) return this.close();
    this.#leaving.pause = this.line.timeout;
    this.#leave(now);
  }

  #leave(now: number): void {
    const leaving = this.#leaving;
    const open = this.sessions.open().filter((index) => leaving.sessions.has(index));
    leaving.due = open.length > 0 ? now + leaving.pause : Infinity;
    leaving.pause = Math.min(2 * leaving.pause, LEAVE_PAUSE);
    if (open.length > 0) this.#send(Kind.LEAVE, bodies.leave(open));
  }

  /** Leaves: the connection is over. */
  close(): void {
    this.#send(Kind.CLOSE, bodies.close(LEFT));
    this.#end({ event: "closed", reason: LEFT });
  }

  #end(event: ConnectionEvent): void {
    this.over = true;
    this.out.events.push(event);
  }

  #send(kind: number, body: Uint8Array = new Uint8Array()): void {
    const { opener, sealer } = this.#settings;
    this.#reports.acknowledged();
    this.out.datagrams.push(sealer.seal(kind, Buffer.concat([opener.window.acknowledgement(), body])));
  }
}
