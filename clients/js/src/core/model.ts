/** What a client holds of a craft, and the function of time that its progress is. Pure. */

export type Status = "active" | "paused" | "interrupted" | "completed" | "failed";

/** How long a craft is expected to take, by what the server has learned: seconds from the anchor of its progress. */
export interface Expectation {
  /** Half of all crafts like this one take no longer. */
  readonly p50: number;
  /** Nine in ten take no longer. */
  readonly p90: number;
}

/** A progress as the server last sent it; `percentAt` continues it. */
export interface ProgressModel {
  readonly status: Status;
  /** Percent at `anchor`, 0 to 100. */
  readonly percent: number;
  /** Unix milliseconds on the server's clock. */
  readonly anchor: number;
  /** Seconds to completion at `anchor`; null when unknown. */
  readonly remaining: number | null;
  /** 1 to 100; null when unknown. */
  readonly quality: number | null;
  readonly targetQuality: number | null;
  readonly failureReason: string | null;
  /** Missing where the server does not say. */
  readonly expected?: Expectation;
}

export type ProblemType = "insufficient_quantity" | "quality_too_low" | "material_unavailable";

/** What is wrong with a material, and the numbers that the server sends with it. */
export interface Problem {
  readonly type: ProblemType;
  readonly requiredQuantity?: number;
  readonly availableQuantity?: number;
  readonly requiredQuality?: number;
  readonly availableQuality?: number;
}

/** A material of a craft. `quantity` and `quality` are null when unknown: JSON has problems only. */
export interface Material {
  readonly id: string;
  readonly quantity: number | null;
  readonly quality: number | null;
  readonly problem: Problem | null;
}

export type Station = "basic_workbench" | "advanced_workbench" | "cyberware_station" | "vehicle_bay" | "laboratory";

/** Where a player stands in a queue. What the server does not send is missing. */
export interface QueuePlace {
  readonly playerId: string;
  readonly stationType?: Station;
  /** 1 is the front. */
  readonly queuePosition: number;
  readonly totalInQueue?: number;
  readonly estimatedWaitSeconds?: number;
  readonly canJumpQueue?: boolean;
  readonly jumpQueueCost?: number;
}

const ALMOST = 99.99; // only the server reports completion
const ROLLBACK = 3; // points; a progress that arrives further than that below the one shown is a real rollback

/** The percent that a progress has reached at `at`, Unix milliseconds on the server's clock. */
export function percentAt(model: ProgressModel, at: number): number {
  const { status, percent, remaining } = model;
  if (status === "completed") return 100;
  const elapsed = (at - model.anchor) / 1000;
  if (status !== "active" || remaining === null || elapsed <= 0) return Math.min(percent, ALMOST);
  return elapsed < remaining ? Math.min(percent + ((100 - percent) * elapsed) / remaining, ALMOST) : ALMOST;
}

/** The seconds to completion at `at`; null when unknown. */
export function remainingAt({ status, remaining, anchor }: ProgressModel, at: number): number | null {
  if (status === "completed") return 0;
  return status === "active" && remaining !== null
    ? Math.max(0, remaining - Math.max(0, at - anchor) / 1000)
    : remaining;
}

/** How long the craft is expected to take from `at` on; null when the server does not say. */
export function expectedAt({ status, expected, anchor }: ProgressModel, at: number): Expectation | null {
  if (!expected || status !== "active") return null;
  const left = (seconds: number) => Math.max(0, seconds - Math.max(0, at - anchor) / 1000);
  return { p50: left(expected.p50), p90: left(expected.p90) };
}

/** What a player has been shown: it runs backwards only when the craft itself went back. */
export class Shown {
  #percent = 0;
  #model: ProgressModel | null = null;

  /** The percent to show for `model` at `at`. */
  at(model: ProgressModel, at: number): number {
    const percent = percentAt(model, at);
    if (percent > this.#percent || (model !== this.#model && percent < this.#percent - ROLLBACK))
      this.#percent = percent;
    this.#model = model;
    return this.#percent;
  }
}

const SAMPLES = 8;

/** Differences between the server's clock and ours, milliseconds, of the newest messages. */
export type ClockSamples = readonly number[];

/** Adds what a message that the server dated `sent` and that arrived at `now` says about the clocks. */
export function sampled(samples: ClockSamples, sent: number, now: number): ClockSamples {
  return [...samples, sent - now].slice(-SAMPLES);
}

/** How far the server's clock is ahead, by the message that was the shortest under way; 0 before there is one. */
export function clockOffset(samples: ClockSamples): number {
  return samples.length ? Math.max(...samples) : 0;
}
