/** Which transport a feed uses: the first that gets through. */

import { now } from "./alarm.js";
import { lost } from "./core/endings.js";
import type { Link, Listener, Request, Transport } from "./transports/transport.js";
import { WebSocketTransport, type Encoding } from "./transports/websocket.js";

/** `bin`, `lz4` and `json` are WebSocket encodings; `sse` is for networks that WebSockets do not get through. */
export type TransportName = Encoding | "sse";

const TRIES = 2; // failures in a row after which the next transport is tried
const RETURN = 600_000; // milliseconds after which the first transport is tried again

/** Most pages never need it, so that its code comes when it is used. */
const sse: Transport = {
  name: "sse",
  supports: () => true,
  open(request: Request, listener: Listener): Link {
    const controller = new AbortController();
    import("./transports/sse.js").then(
      ({ watch }) => watch(request, listener, controller.signal),
      (error) => listener.ended(lost(error)),
    );
    return { close: () => controller.abort(), offer: () => false };
  },
};

/** The transports of a client in the order of preference. Feeds share what they learn about the network. */
export class Plan {
  #transports: Transport[] = [];
  #using = 0;
  #failures = new Map<Transport, number>();
  #until = 0; // then the first one is tried again

  constructor(names: readonly (TransportName | Transport)[]) {
    const encodings: Encoding[] = [];
    for (const each of names) {
      if (each === "sse") this.#transports.push(sse);
      else if (typeof each !== "string") this.#transports.push(each);
      else if (encodings.push(each) === 1) this.#transports.push(new WebSocketTransport(encodings));
    }
  }

  /** The transport to use; undefined when none works on this platform. */
  choose(request: Pick<Request, "target" | "WebSocket">): Transport | undefined {
    if (now() > this.#until) this.#using = 0;
    const order = [...this.#transports.slice(this.#using), ...this.#transports.slice(0, this.#using)];
    return order.find((transport) => transport.supports(request));
  }

  /** A connection ended before anything arrived, for no stated reason. Whether there is another transport to try. */
  failed(transport: Transport, unsupported?: boolean): boolean {
    const failures = (this.#failures.get(transport) ?? 0) + 1;
    this.#failures.set(transport, failures % TRIES);
    if (unsupported) this.#transports = this.#transports.filter((each) => each !== transport);
    else if (failures === TRIES) {
      this.#using = (this.#transports.indexOf(transport) + 1) % this.#transports.length;
      this.#until = now() + RETURN;
    }
    return this.#transports.length > 1;
  }

  succeeded(transport: Transport): void {
    this.#failures.delete(transport);
  }

  /** The network is another one: what was learned about the one before means nothing. */
  reset(): void {
    this.#using = 0;
    this.#failures.clear();
  }
}
