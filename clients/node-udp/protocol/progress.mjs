const MOST = 99.99; // completion is only ever told
const WENT_BACK = 3; // points; what is told may lie less below what was shown, by the error of what was held before

/** The percent that a progress as told has reached at `now`, Unix seconds on the server's clock. */
export function percentAt(progress, now) {
  const { status, percent, anchor, remaining } = progress;
  if (status === "completed") return 100;
  const elapsed = now - anchor;
  const moves = status === "active" && remaining !== null && elapsed > 0;
  if (!moves) return Math.min(percent, MOST);
  return elapsed < remaining ? Math.min(percent + ((100 - percent) * elapsed) / remaining, MOST) : MOST;
}

/** What a player is shown: never backwards, unless the craft itself went back. */
export class Shown {
  #told = null;
  #shown = 0;

  /** The percent to show at `now` for the progress held. */
  at(progress, now) {
    const percent = percentAt(progress, now);
    const wentBack = this.#told !== progress && percent < this.#shown - WENT_BACK;
    this.#told = progress;
    this.#shown = wentBack ? percent : Math.max(this.#shown, percent);
    return this.#shown;
  }
}
