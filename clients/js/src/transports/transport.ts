/** What connects a feed with a server. */

import type { Arrival } from "../core/reduce.js";
import type { Ending } from "../core/endings.js";

/** What a feed watches. */
export type Target =
  | { readonly kind: "crafting"; readonly sessionId: string; readonly playerId: string; readonly expected?: boolean }
  | { readonly kind: "queue"; readonly playerId: string; readonly device?: string }
  | { readonly kind: "player"; readonly playerId: string; readonly device?: string; readonly expected?: boolean }
  | { readonly kind: "health"; readonly services: readonly string[] };

/** What a transport needs for one connection. */
export interface Request {
  readonly target: Target;
  /** The server, without a slash at the end. */
  readonly url: string;
  readonly token: string;
  /** Where the feed is, as text; null for the first time. */
  readonly resume: string | null;
  /** Seconds of silence after which the server is asked to say something. */
  readonly heartbeat: number;
  readonly fetch: typeof fetch;
  readonly WebSocket: WebSocketConstructor | undefined;
}

/** Called by a transport; nothing after `ended`. */
export interface Listener {
  arrived(arrival: Arrival): void;
  /** The server lives, but says nothing about the feed. */
  alive(): void;
  /** The server refused a fresh token that was sent on the open connection. */
  tokenRefused(): void;
  ended(ending: Ending): void;
}

export interface Link {
  /** Ends the connection in order; the listener hears no more of it. */
  close(): void;
  /** Shows a fresh token, or the same one to see whether the server answers; false when it cannot be done. */
  offer(token: string): boolean;
  /** Sends a text message; missing where the transport only listens. */
  send?(text: string): void;
}

export interface Transport {
  readonly name: string;
  /** Whether this platform, and this transport, can watch such a target. */
  supports(request: Pick<Request, "target" | "WebSocket">): boolean;
  open(request: Request, listener: Listener): Link;
}

/** As browsers, Node.js and the package ws have it. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export interface WebSocketLike {
  binaryType: string;
  readonly protocol: string;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** The path and query of a target; `root` is that of the transport's routes. */
export function route({ target, resume, heartbeat }: Request, root: "ws" | "sse"): string {
  const query: [string, unknown][] = [["heartbeat", heartbeat]];
  let path = root === "ws" ? "/health/ws" : "/sse/health";
  if (target.kind !== "health") {
    const id = target.kind === "crafting" ? target.sessionId : target.playerId;
    path = `/${root}/${target.kind}/${id}`;
    if (id !== target.playerId) query.push(["player_id", target.playerId]);
    // A position that never was: the first message, at once, then says where the feed is.
    query.push(["resume", resume ?? "0:0"]);
    if ("expected" in target) query.push(["expected", 1]);
    if ("device" in target) query.push(["device", target.device]);
  } else if (target.services.length) query.push(["services", target.services]);
  return `${path}?${query.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&")}`;
}
