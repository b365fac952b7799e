import { Acknowledgements } from "./acknowledgements.mjs";
import * as bodies from "./bodies.mjs";
import { Kind, kindFromServer } from "./kinds.mjs";
import { Line } from "./line.mjs";
import { MessageParts } from "./message-parts.mjs";
import { parseRecords } from "./records.mjs";
import { demand, Refused } from "./refused.mjs";
import { Reports } from "./reports.mjs";
import { Rotation } from "./rotation.mjs";

const SILENCES = 3;
/** The reason of a CLOSE when the client leaves. */
export const LEFT = 6;
const [RESYNC_PAUSE, LEAVE_PAUSE, HEARTBEAT_PAUSE] = [1.0, 5.0, 1.0];

/** The records of a MESSAGE: what is packed beside what others can choose tells of itself by its length. */
function parsePacked(content) {
  const records = parseRecords(content);
  demand(!records.some(({ record }) => record === "FreshSecret"), "type");
  return records;
}

const micros = (now) => BigInt(Math.round(now * 1e6));

/**
 * A connection from the first sealed datagram on. Octets and the time (Unix seconds) go in; what is to be sent and what
 * happened are appended to `out`, { datagrams, events }.
 */
export class Connection {
  constructor({ sealer, opener, interval, packetSize, compressed, sessions }, out, now) {
    Object.assign(this, { sealer, opener, interval, sessions, out });
    this.arrived = new Acknowledgements();
    this.line = new Line();
    this.rotation = new Rotation(sealer);
    this.reports = new Reports();
    this.messages = compressed ? new MessageParts(packetSize) : null;
    this.over = false;
    this.heardAt = now;
    this.beaten = { at: -Infinity, sent: 0n };
    this.beatAgain = Infinity;
    this.resync = { wanted: false, next: now };
    this.leaving = { sessions: new Set(), due: Infinity, pause: 0 };
    this.secretFrom = 0;
  }

  // What comes in

  /** Take a sealed datagram. Throws Refused. */
  receive(datagram, now) {
    if (this.over) return;
    kindFromServer(datagram);
    const { kind, sequence, content } = this.opener.open(datagram);
    this.heardAt = now;
    if (kind === Kind.STATE || kind === Kind.MESSAGE) this.reports.arrived(now);
    this.arrived.take(content.subarray(0, 8), this.sealer.sequence);
    this.#take(kind, sequence, content.subarray(8), now);
    this.tick(now);
  }

  #take(kind, sequence, body, now) {
    switch (kind) {
      case Kind.STATE:
        return this.apply(parseRecords(body), sequence, now);
      case Kind.MESSAGE: {
        demand(this.messages, "type");
        const whole = this.messages.take(sequence, bodies.parseMessagePart(body));
        return whole && this.apply(parsePacked(whole.content), whole.sequence, now);
      }
      case Kind.HEARTBEAT:
        return this.#heartbeatArrived(sequence, bodies.parseHeartbeat(body), now);
      case Kind.PATH_CHALLENGE:
        return this.#send(Kind.PATH_RESPONSE, bodies.parsePath(body));
      case Kind.CLOSE:
        return this.#closed(bodies.parseClose(body));
    }
  }

  /** Take all the records of a STATE that came with, or counts as of, this sequence. */
  apply(records, sequence, now) {
    const told = new Set();
    let session = this.sessions.told(0, now);
    for (const record of records) {
      if (record.record === "Selector") {
        session = this.sessions.told(record.session, now);
      } else if (record.record === "FreshSecret") {
        this.#renewed(record.secret, sequence);
      } else {
        this.#tell(session, record, sequence);
        told.add(session);
      }
    }
    for (const each of told) this.out.events.push(...each.news());
  }

  #tell(session, record, sequence) {
    const ofTable = record.record.startsWith("Materials") || record.record === "ProblemsPart";
    if (ofTable && session.over === null) this.reports.name(session);
    try {
      session.take(record, sequence);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.out.events.push({ event: "refused", outcome: error.outcome });
      this.resync.wanted = true;
    }
  }

  #renewed(secret, sequence) {
    if (sequence <= this.secretFrom) return;
    this.secretFrom = sequence;
    this.out.events.push({ event: "renewed", secret });
  }

  #heartbeatArrived(sequence, times, now) {
    const first = this.line.heard.sequence === 0;
    this.line.take(sequence, times, micros(now));
    const lost = times.echoed !== this.beaten.sent && now - this.beaten.at > this.line.timeout;
    if (lost) this.beatAgain = this.beaten.at + HEARTBEAT_PAUSE;
    if (first) this.beatAgain = now; // it is answered at once
  }

  #closed(reason) {
    this.#report();
    this.#end({ event: "closed", reason });
  }

  // What goes out

  /** When `tick` has something to do, Unix seconds. */
  get due() {
    if (this.over) return Infinity;
    const resync = this.resync.wanted ? this.resync.next : Infinity;
    return Math.min(this.#silent, this.reports.due, this.#beat, resync, this.leaving.due, this.sessions.due);
  }

  get #silent() {
    return this.heardAt + SILENCES * this.interval;
  }

  get #beat() {
    const soon = this.beaten.at + HEARTBEAT_PAUSE;
    const unheard = Math.max(soon, this.heardAt + this.interval);
    const unknown = this.line.offset === null ? soon : Infinity;
    return Math.min(this.beaten.at + this.interval, unheard, unknown, this.beatAgain);
  }

  /** Do what is due at `now`. */
  tick(now) {
    if (this.over) return;
    if (now >= this.#silent) return this.#end({ event: "silence" });
    if (now >= this.reports.due) this.#report();
    if (now >= this.#beat) this.#heartbeat(now);
    if (now >= this.leaving.due) this.#leave(now);
    if (now >= this.sessions.due) this.leave(this.sessions.unclaimed(now), now);
    if (this.resync.wanted && now >= this.resync.next) {
      this.resync = { wanted: false, next: now + RESYNC_PAUSE };
      this.#send(Kind.RESYNC);
    }
  }

  #report() {
    this.#send(Kind.ACK, this.ack());
  }

  /** The body of the ACK that is to be sent now. */
  ack() {
    return bodies.ack(this.reports.take(this.sessions.at(0)));
  }

  #heartbeat(now) {
    this.rotation.beforeHeartbeat(now, this.arrived.newest);
    const { sent: echoed, arrived: received } = this.line.heard;
    this.beaten = { at: now, sent: micros(now) };
    this.beatAgain = Infinity;
    this.line.beat(this.beaten.sent);
    this.#send(Kind.HEARTBEAT, bodies.heartbeat({ sent: this.beaten.sent, echoed, received }));
  }

  /** Our own address has changed: a heartbeat lets the server find the new one at once. */
  moved(now) {
    this.beatAgain = now;
    this.tick(now);
  }

  /** Hear no more of these sessions; with the last one, the connection ends. */
  leave(indexes, now) {
    const open = this.sessions.open();
    for (const index of indexes) if (open.includes(index)) this.leaving.sessions.add(index);
    if (open.every((index) => this.leaving.sessions.has(index))) return this.close();
    this.leaving.pause = this.line.timeout;
    this.#leave(now);
  }

  #leave(now) {
    const open = this.sessions.open().filter((index) => this.leaving.sessions.has(index));
    this.leaving.due = open.length > 0 ? now + this.leaving.pause : Infinity;
    this.leaving.pause = Math.min(2 * this.leaving.pause, LEAVE_PAUSE);
    if (open.length > 0) this.#send(Kind.LEAVE, bodies.leave(open));
  }

  /** Leave: the connection is over. */
  close() {
    this.#send(Kind.CLOSE, Buffer.from([LEFT]));
    this.#end({ event: "closed", reason: LEFT });
  }

  #end(event) {
    this.over = true;
    this.out.events.push(event);
  }

  #send(kind, body = Buffer.alloc(0)) {
    this.reports.acknowledged();
    const content = Buffer.concat([this.opener.window.acknowledgement(), body]);
    this.out.datagrams.push(this.sealer.seal(kind, content));
  }
}
