import { remainingAt, type ProgressModel, type Shown } from "./core/model.js";

/** The server's clock. */
export interface Clock {
  /** Unix milliseconds. */
  readonly serverTime: number;
}

export interface Progress extends ProgressModel {}

/** A progress to draw: it goes on by itself between two messages, on the server's clock. */
export class Progress {
  #shown: Shown;
  #clock: Clock;

  constructor(model: ProgressModel, shown: Shown, clock: Clock) {
    Object.assign(this, model);
    this.#shown = shown;
    this.#clock = clock;
  }

  /**
   * The percent to show: never backwards, unless the craft itself went back, and below 100 until it is complete.
   * `at` is Unix milliseconds on the server's clock, this moment unless given.
   */
  percentAt(at: number = this.#clock.serverTime): number {
    return this.#shown.at(this, at);
  }

  /** Seconds to completion; null when unknown. */
  remainingAt(at: number = this.#clock.serverTime): number | null {
    return remainingAt(this, at);
  }
}
