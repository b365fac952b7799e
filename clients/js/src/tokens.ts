/** The bearer token of all feeds of a client: where it comes from, and when it is replaced. */

import { Alarm, now } from "./alarm.js";
import { lifetime } from "./core/jwt.js";

/** Why a token is asked for. */
export type TokenReason =
  /** There is none yet. */
  | "missing"
  /** 80 % of its life is over; the feeds go on with the one before meanwhile. */
  | "expiring"
  /** The server refused it. */
  | "refused"
  /** Its life is over. */
  | "expired";

export type GetToken = (request: { reason: TokenReason; signal: AbortSignal }) => string | Promise<string>;

/** Thrown by `getToken` to say that the player has no right to a token: every feed ends for good. */
export class UnauthorizedError extends Error {
  override name = "UnauthorizedError";
}

const PATIENCE = 30_000; // milliseconds for `getToken`
const LONGEST = 2 ** 31 - 1; // milliseconds, of setTimeout
const RETRY = 5000; // milliseconds after which a fresh token is asked for again, when there was none

export interface TokenListener {
  /** A fresh token, while feeds are open with the one before. */
  renewed(token: string): void;
  unauthorized(reason: string): void;
}

export class Tokens {
  /** Milliseconds by which the server's clock is ahead. */
  offset = 0;
  #getToken: GetToken;
  #listener: TokenListener;
  #token: string | undefined;
  #blamed: TokenReason | undefined;
  #asking: Promise<string> | undefined;
  #controller: AbortController | undefined;
  #renewal = new Alarm();
  #planned: string | undefined;

  constructor(getToken: GetToken, listener: TokenListener) {
    this.#getToken = getToken;
    this.#listener = listener;
  }

  /** The token at hand, or a fresh one. Rejects with what `getToken` fails with. */
  async get(): Promise<string> {
    const [token, at] = [this.#token, now() + this.offset];
    if (!token) return this.#ask("missing");
    const reason = this.#blamed ?? (lifetime(token, at).end > at ? undefined : "expired");
    return reason ? this.#ask(reason) : token;
  }

  /** The server refused this token, or its life was over. */
  blame(token: string | undefined, reason: TokenReason): void {
    if (token === this.#token) this.#blamed = reason;
  }

  /** A feed is live with the token: it is to be replaced in time. */
  plan(): void {
    const [token, at] = [this.#token!, now() + this.offset];
    if (token === this.#planned) return;
    this.#planned = token;
    const due = lifetime(token, at).renewal - at;
    if (due < Infinity) this.renew("expiring", Math.min(Math.max(due, 1000), LONGEST));
  }

  /** Asks for a fresh token while feeds are open. */
  renew(reason: TokenReason, wait: number): void {
    this.#renewal.set(wait, async () => {
      const before = this.#token;
      try {
        const token = await this.#ask(reason);
        if (token === before) return this.renew(reason, RETRY);
        this.#listener.renewed(token);
        this.plan();
      } catch (error) {
        if (error instanceof UnauthorizedError) this.#listener.unauthorized(error.message);
        else this.renew(reason, RETRY);
      }
    });
  }

  /** No feed is open: asks for nothing any more. */
  rest(): void {
    this.#renewal.clear();
    this.#planned = undefined;
    this.#controller?.abort();
  }

  #ask(reason: TokenReason): Promise<string> {
    return (this.#asking ??= this.#call(reason).finally(() => (this.#asking = undefined)));
  }

  async #call(reason: TokenReason): Promise<string> {
    const controller = (this.#controller = new AbortController());
    const { signal } = controller;
    const timer = setTimeout(() => controller.abort(), PATIENCE);
    const aborted = new Promise<never>((_, reject) => {
      signal.onabort = () => reject(new Error("getToken was aborted"));
    });
    try {
      const token = await Promise.race([this.#getToken({ reason, signal }), aborted]);
      if (!token || typeof token !== "string") throw new TypeError("getToken must return a string");
      this.#blamed = undefined;
      return (this.#token = token);
    } finally {
      clearTimeout(timer);
      this.#controller = undefined;
    }
  }
}
