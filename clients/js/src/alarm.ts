const origin = Date.now() - performance.now(); // React Native has no performance.timeOrigin

/** Milliseconds, Unix time. It does not follow a clock that is set while the page is open. */
export const now = (): number => origin + performance.now();

/** One timer that can be set again. */
export class Alarm {
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Calls `act` once, `wait` milliseconds from now, with the milliseconds by which that is too late. */
  set(wait: number, act: (late: number) => void): void {
    this.clear();
    const due = now() + wait;
    this.#timer = setTimeout(() => act(now() - due), wait);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
