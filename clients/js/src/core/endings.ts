/** Why connections end, and what a client does about it: docs/websocket.md, "Close codes". Pure. */

/** Why a feed is over. */
export type EndResult =
  /** The craft is complete, or failed. */
  | "completed"
  | "failed"
  /** The server has forgotten the session. */
  | "over"
  /** The token was revoked. */
  | "revoked"
  /** An operator ended the connection. */
  | "disconnected"
  /** No token that holds can be had. */
  | "unauthorized"
  /** The token holds, but not for this feed. */
  | "forbidden"
  /** There is no such session. */
  | "not_found"
  /** The server refuses what this client sends. */
  | "rejected"
  /** `close()` was called. */
  | "closed";

/** The end of a connection: a WebSocket close code, also for an ending that another transport or an HTTP status reported. */
export interface Ending {
  readonly code: number;
  readonly reason: string;
  /** Milliseconds that the server asks to wait. */
  readonly retryAfter?: number;
  /** Whether a proxy may have said so: another transport has to ask. */
  readonly unsure?: boolean;
  /** Whether the server does not have this transport. */
  readonly unsupported?: boolean;
}

/** Nothing is known but that the connection is gone. */
export const LOST = 1006;

/** The end of a connection of which nothing is known but this. */
export const lost = (reason: unknown): Ending => ({ code: LOST, reason: String(reason) });

const FINAL: Readonly<Record<number, EndResult>> = {
  1000: "over",
  1002: "rejected",
  1007: "rejected",
  1008: "rejected",
  1009: "rejected",
  4003: "revoked",
  4009: "disconnected",
  4029: "rejected",
  4400: "rejected",
  4403: "forbidden",
  4404: "not_found",
};

/** The result with which a feed is over after this code; undefined when it comes back. */
export const finalResult = (code: number): EndResult | undefined => FINAL[code];

/** What to ask for a fresh token with, after a code that blames the token. */
export const blamesToken = (code: number): "expired" | "refused" | undefined =>
  code === 4001 ? "expired" : code === 4401 ? "refused" : undefined;

/** The close code that stands for the HTTP status of a refusal. */
export const codeOfStatus = (status: number): number =>
  status === 503 ? 4453 : [400, 401, 403, 404, 429].includes(status) ? 4000 + status : LOST;

/** Milliseconds that a close reason asks to wait; undefined when it does not. */
export function retryAfter(reason: string): number | undefined {
  const match = /^retry in ([\d.]+) s$/.exec(reason);
  return match ? +match[1]! * 1000 : undefined;
}

export interface ReconnectOptions {
  /** Milliseconds: the bound of the first wait; it doubles from try to try. */
  readonly min: number;
  /** Milliseconds: the highest bound. */
  readonly max: number;
}

const SPREAD = 1000; // milliseconds, after a time that the server named

/**
 * Milliseconds to wait before the next try. Full jitter: a random part of a bound that doubles, and after a time that
 * the server named, a random part of a second.
 */
export function pause(
  failures: number,
  { min, max }: ReconnectOptions,
  asked: number | undefined,
  random: number,
): number {
  return asked == null ? random * Math.min(max, min * 2 ** failures) : asked + random * SPREAD;
}
