import { remainingAt, type ProgressModel, type Shown } from "./core/model.js";

export interface Progress extends ProgressModel {}

/** A progress to draw: it goes on by itself between two messages, on the server's clock. */
export class Progress {
  #shown: Shown;
  #serverTime: () => number;

  constructor(model: ProgressModel, shown: Shown, serverTime: () => number) {
    Object.assign(this, model);
    this.#shown = shown;
    this.#serverTime = serverTime;
  }

  /**
   * The percent to show: never backwards, unless the craft itself went back, and below 100 until it is complete.
   * `at` is Unix milliseconds on the server's clock, this moment unless given.
   */
  percentAt(at: number = this.#serverTime()): number {
    return this.#shown.at(this, at);
  }

  /** Seconds to completion; null when unknown. */
  remainingAt(at: number = this.#serverTime()): number | null {
    return remainingAt(this, at);
  }
}
