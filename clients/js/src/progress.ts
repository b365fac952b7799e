import { expectedAt, remainingAt, type Expectation, type ProgressModel, type Shown } from "./core/model.js";

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
  #bar: ProgressModel;

  /** With `byExpected`, the percent advances by the expected time, where there is one. */
  constructor(model: ProgressModel, shown: Shown, clock: Clock, byExpected?: boolean) {
    Object.assign(this, model);
    this.#bar = byExpected && model.expected ? { ...model, remaining: model.expected.p50 } : model;
    this.#shown = shown;
    this.#clock = clock;
  }

  /**
   * The percent to show: never backwards, unless the craft itself went back, and below 100 until it is complete.
   * `at` is Unix milliseconds on the server's clock, this moment unless given.
   */
  percentAt(at: number = this.#clock.serverTime): number {
    return this.#shown.at(this.#bar, at);
  }

  /** Seconds to completion as the game's authority states them; null when unknown. */
  remainingAt(at: number = this.#clock.serverTime): number | null {
    return remainingAt(this, at);
  }

  /** Seconds to completion by what the server has learned from other crafts; null when it does not say. */
  expectedAt(at: number = this.#clock.serverTime): Expectation | null {
    return expectedAt(this, at);
  }
}
