const SAMPLES = 8;
const [FIRST_TIMEOUT, LEAST, MOST] = [1.0, 0.1, 5.0];
const MICRO = 1e6;
const LONGEST = 60; // seconds; a round trip beyond it is a clock that was set
const DRIFT = 0.1; // seconds by which clocks may part while samples are held, without having been set

/**
 * Round trip, resend timeout and the offset of the server's clock, from heartbeats. Times are seconds unless they are
 * BigInts, which are Unix microseconds.
 */
export class Line {
  #samples = [];
  #smoothed = null;
  #variation = 0;
  #sent = []; // of our last heartbeats, the newest last

  /** The newest heartbeat that came in, to be echoed. */
  heard = { sequence: 0, sent: 0n, arrived: 0n };

  /** We send a heartbeat that says this. */
  beat(sent) {
    this.#sent = [...this.#sent, sent].slice(-SAMPLES);
  }

  /** Take a heartbeat that arrived at `now`. What is older than the newest, or echoes what was never sent, tells nothing. */
  take(sequence, { sent, echoed, received }, now) {
    if (sequence <= this.heard.sequence) return;
    this.heard = { sequence, sent, arrived: now };
    if (!this.#sent.includes(echoed)) return;
    const roundTrip = Number(now - echoed - (sent - received)) / MICRO;
    if (roundTrip < 0 || roundTrip > LONGEST) return;
    this.#sample({ roundTrip, offset: Number(received - echoed + (sent - now)) / 2 / MICRO });
    this.#smooth(roundTrip);
  }

  /** An offset that cannot be, as long as those held are right, shows that one of the clocks was set. */
  #sample(sample) {
    const best = this.#shortest();
    const most = best && (sample.roundTrip + best.roundTrip) / 2 + DRIFT;
    if (best && Math.abs(sample.offset - best.offset) > most) this.#samples = [];
    this.#samples = [...this.#samples, sample].slice(-SAMPLES);
  }

  #smooth(roundTrip) {
    if (this.#smoothed === null) {
      this.#smoothed = roundTrip;
      this.#variation = roundTrip / 2;
      return;
    }
    this.#variation += (Math.abs(this.#smoothed - roundTrip) - this.#variation) / 4;
    this.#smoothed += (roundTrip - this.#smoothed) / 8;
  }

  /** How far the server's clock is ahead, by the sample with the shortest round trip; null before the first. */
  get offset() {
    return this.#shortest()?.offset ?? null;
  }

  /** The smoothed round trip; null before the first. */
  get smoothed() {
    return this.#smoothed;
  }

  get roundTrip() {
    return this.#shortest()?.roundTrip ?? null;
  }

  #shortest() {
    return this.#samples.reduce((best, sample) => (best && best.roundTrip <= sample.roundTrip ? best : sample), null);
  }

  /** After how long something that was not acknowledged is sent again (RFC 6298). */
  get timeout() {
    if (this.#smoothed === null) return FIRST_TIMEOUT;
    return Math.min(Math.max(this.#smoothed + 4 * this.#variation, LEAST), MOST);
  }
}
