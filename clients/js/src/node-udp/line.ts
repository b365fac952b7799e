/** What is known of the network between the two ends. */

import { refuseUnless, decodeAcknowledgement } from "../wire.js";

const SAMPLES = 8;
const [FIRST_TIMEOUT, LEAST, MOST] = [1.0, 0.1, 5.0]; // seconds
const MICRO = 1e6;
const LONGEST = 60; // seconds; a round trip beyond it is a clock that was set
const DRIFT = 0.1; // seconds by which clocks may part while samples are held, without having been set

interface Sample {
  readonly roundTrip: number;
  readonly offset: number;
}

/** A heartbeat that came in: Unix microseconds. */
export interface Beat {
  readonly sent: bigint;
  readonly echoed: bigint;
  readonly received: bigint;
}

/**
 * Round trip, resend timeout and the offset of the server's clock, from heartbeats. Times are seconds unless they are
 * BigInts, which are Unix microseconds.
 */
export class Line {
  #samples: Sample[] = [];
  #smoothed: number | null = null;
  #variation = 0;
  #sent: bigint[] = []; // of our last heartbeats, the newest last

  /** The newest heartbeat that came in, to be echoed. */
  heard: { readonly sequence: number; readonly sent: bigint; readonly arrived: bigint } = {
    sequence: 0,
    sent: 0n,
    arrived: 0n,
  };

  /** We send a heartbeat that says this. */
  beat(sent: bigint): void {
    this.#sent = [...this.#sent, sent].slice(-SAMPLES);
  }

  /** Takes a heartbeat that arrived at `now`. One that is older than the newest, or echoes what was never sent, is ignored. */
  take(sequence: number, { sent, echoed, received }: Beat, now: bigint): void {
    if (sequence <= this.heard.sequence) return;
    this.heard = { sequence, sent, arrived: now };
    if (!this.#sent.includes(echoed)) return;
    const roundTrip = Number(now - echoed - (sent - received)) / MICRO;
    if (roundTrip < 0 || roundTrip > LONGEST) return;
    this.#sample({ roundTrip, offset: Number(received - echoed + (sent - now)) / 2 / MICRO });
    this.#smooth(roundTrip);
  }

  /** An offset that cannot be, as long as those held are right, shows that one of the clocks was set. */
  #sample(sample: Sample): void {
    const best = this.#shortest();
    const most = best && (sample.roundTrip + best.roundTrip) / 2 + DRIFT;
    if (best && Math.abs(sample.offset - best.offset) > most!) this.#samples = [];
    this.#samples = [...this.#samples, sample].slice(-SAMPLES);
  }

  #smooth(roundTrip: number): void {
    if (this.#smoothed === null) {
      this.#smoothed = roundTrip;
      this.#variation = roundTrip / 2;
      return;
    }
    this.#variation += (Math.abs(this.#smoothed - roundTrip) - this.#variation) / 4;
    this.#smoothed += (roundTrip - this.#smoothed) / 8;
  }

  /** How far the server's clock is ahead, by the sample with the shortest round trip; null before the first. */
  get offset(): number | null {
    return this.#shortest()?.offset ?? null;
  }

  /** The smoothed round trip; null before the first. */
  get smoothed(): number | null {
    return this.#smoothed;
  }

  #shortest(): Sample | null {
    return this.#samples.reduce<Sample | null>(
      (best, each) => (best && best.roundTrip <= each.roundTrip ? best : each),
      null,
    );
  }

  /** After how long something that was not acknowledged is sent again (RFC 6298). */
  get timeout(): number {
    if (this.#smoothed === null) return FIRST_TIMEOUT;
    return Math.min(Math.max(this.#smoothed + 4 * this.#variation, LEAST), MOST);
  }
}

/** What of ours the other side has received, by the first 8 octets of its datagrams. */
export class Acknowledgements {
  newest = 0;

  /** `sent` is the newest sequence we sealed. Throws Refused (out_of_range) for an acknowledgement of what was never sent. */
  take(octets: Uint8Array, sent: number): void {
    const { newest: low, earlier } = decodeAcknowledgement(octets);
    if (low === 0 && earlier === 0 && sent < 2 ** 32) return;
    // Nothing we sent is 2³² behind what we sent last.
    const newest = sent - ((((sent - low) % 2 ** 32) + 2 ** 32) % 2 ** 32);
    refuseUnless(newest > 0, "out_of_range");
    const oldest = earlier === 0 ? newest : newest - (32 - Math.clz32(earlier));
    refuseUnless(oldest > 0, "out_of_range");
    this.newest = Math.max(this.newest, newest);
  }
}
