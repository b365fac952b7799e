/** What a client is made with. */

import type { ReconnectOptions } from "./core/endings.js";
import type { Plan, TransportName } from "./plan.js";
import type { StorageOption } from "./storage.js";
import type { GetToken, Tokens } from "./tokens.js";
import type { Transport, WebSocketConstructor } from "./transports/transport.js";

export interface Options {
  /** Returns a bearer token. Throw UnauthorizedError when the player has no right to one: every feed then ends. */
  getToken: GetToken;
  /** In the order of preference; all of `bin`, `lz4`, `json`, `sse` unless given. */
  transports?: readonly (TransportName | Transport)[];
  /** Bounds of the waits between tries, milliseconds: 500 and 20,000 unless given. */
  reconnect?: Partial<ReconnectOptions>;
  /** Milliseconds of silence after which the server counts as gone: 65,000 unless given. */
  staleAfter?: number;
  /**
   * Where feeds are kept when the page is hidden and by `suspend()`: a storage, or `() => sessionStorage`. Nothing is
   * kept unless given.
   */
  storage?: StorageOption;
  /** The platform's unless given. Node.js has one from version 22 on. */
  WebSocket?: WebSocketConstructor;
  /** The platform's unless given. */
  fetch?: typeof fetch;
}

/** What feeds have from the client that made them. */
export interface Shared {
  readonly url: string;
  readonly tokens: Tokens;
  readonly plan: Plan;
  readonly reconnect: ReconnectOptions;
  readonly staleAfter: number;
  readonly storage: StorageOption | undefined;
  readonly WebSocket: WebSocketConstructor | undefined;
  readonly fetch: typeof fetch;
  ended(feed: object): void;
}
