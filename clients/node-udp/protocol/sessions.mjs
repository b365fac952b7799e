import { Session } from "./session.mjs";

/** The sessions of a connection by their index; session 0 is there from the beginning. */
export class Sessions {
  #byIndex = new Map([[0, new Session(0)]]);

  /** The session with this index. It may be told before the answer that names it has come. */
  at(index) {
    if (!this.#byIndex.has(index)) this.#byIndex.set(index, new Session(index));
    return this.#byIndex.get(index);
  }

  /** Indexes of the sessions that are not over. */
  open() {
    return [...this.#byIndex.values()].filter((session) => session.over === null).map((session) => session.index);
  }
}
