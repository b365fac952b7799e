const [PAUSE, MANY] = [0.02, 16];

/** When an ACK is due after STATEs and MESSAGEs, and which tables it names. */
export class Reports {
  #waiting = 0;
  #told = new Set();

  due = Infinity;

  /** A STATE or MESSAGE came in. */
  arrived(now) {
    this.#waiting += 1;
    this.due = this.#waiting >= MANY ? now : Math.min(this.due, now + PAUSE);
  }

  /** The next ACK is to name this session's table. */
  name(session) {
    this.#told.add(session);
  }

  /** Something else is sent, which acknowledges as well: it takes the place of an ACK that would name no table. */
  acknowledged() {
    if (this.#told.size === 0) this.#done();
  }

  /** What the ACK that is sent now says: versions of tables by the index of the session; the first is always named. */
  take(first) {
    const tables = new Map([first, ...this.#told].map((session) => [session.index, session.materials.version]));
    this.#done();
    return tables;
  }

  #done() {
    this.#waiting = 0;
    this.#told = new Set();
    this.due = Infinity;
  }
}
