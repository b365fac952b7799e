const MOST = 99.99; // completion is only ever told

/** The percent that a progress as told has reached at `now`, Unix seconds on the server's clock. */
export function percentAt(progress, now) {
  const { status, percent, anchor, remaining } = progress;
  if (status === "completed") return percent;
  const elapsed = now - anchor;
  const moves = status === "active" && remaining !== null && elapsed > 0;
  if (!moves) return Math.min(percent, MOST);
  return elapsed < remaining ? Math.min(percent + ((100 - percent) * elapsed) / remaining, MOST) : MOST;
}

/** What a player is shown: never backwards, unless a smaller percent is told. */
export class Shown {
  #told = null;
  #shown = 0;

  /** The percent to show at `now` for the progress held. */
  at(progress, now) {
    if (this.#told !== progress) {
      if (this.#told && progress.percent < this.#told.percent) this.#shown = 0;
      this.#told = progress;
    }
    const percent = percentAt(progress, now);
    this.#shown = progress.status === "active" ? Math.max(this.#shown, percent) : percent;
    return this.#shown;
  }
}
