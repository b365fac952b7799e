import { Session } from "./session.mjs";

const PATIENCE = 20;

/** The sessions of a connection by their index; session 0 is there from the beginning. */
export class Sessions {
  #byIndex = new Map([[0, new Session(0)]]);
  #unclaimed = new Map(); // index → when it was told first

  /** The session with this index. */
  at(index) {
    if (!this.#byIndex.has(index)) this.#byIndex.set(index, new Session(index));
    return this.#byIndex.get(index);
  }

  /** The server tells of this session: perhaps before the answer of …/connect names it. */
  told(index, now) {
    if (!this.#byIndex.has(index)) this.#unclaimed.set(index, now);
    return this.at(index);
  }

  /** The answer of …/connect has named it. */
  claim(index) {
    this.#unclaimed.delete(index);
    return this.at(index);
  }

  /** When somebody should have claimed every session by now. */
  get due() {
    return Math.min(...this.#unclaimed.values()) + PATIENCE;
  }

  /** Those that nobody has claimed in time, each once. */
  unclaimed(now) {
    const late = [...this.#unclaimed.keys()].filter((index) => now >= this.#unclaimed.get(index) + PATIENCE);
    for (const index of late) this.#unclaimed.delete(index);
    return late;
  }

  /** Indexes of the sessions that are not over. */
  open() {
    return [...this.#byIndex.values()].filter((session) => session.over === null).map((session) => session.index);
  }
}
