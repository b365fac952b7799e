import type { WebSocketConstructor, WebSocketLike } from "../transports/transport.js";

/** What a simulated network does to every message. */
export interface Conditions {
  /** Milliseconds, one way. */
  delay: number;
  /** Milliseconds: up to so much more, at random. */
  jitter: number;
  /** Share of messages, 0 to 1, whose packets are lost once: TCP repeats them later, and what follows waits for them. */
  loss: number;
  /** Whether nothing gets through: open connections fall silent, new ones fail. */
  offline: boolean;
}

const RETRANSMISSION = 200; // milliseconds, Linux's shortest timeout

/** Passes things on in their order, each after its delay. */
class Lane {
  #last = 0;

  constructor(private readonly conditions: Conditions) {}

  pass(act: () => void): void {
    const { delay, jitter, loss, offline } = this.conditions;
    const repeated = Math.random() < loss ? RETRANSMISSION + 2 * delay : 0;
    const now = performance.now();
    this.#last = Math.max(this.#last, now + delay + Math.random() * jitter + repeated);
    if (offline) setTimeout(() => this.pass(act), RETRANSMISSION);
    else setTimeout(act, this.#last - now);
  }
}

/**
 * A WebSocket and a fetch for the options of a client, between which and the server is a network with these conditions.
 * `conditions` can be changed at any time.
 */
export class SimulatedNetwork {
  readonly conditions: Conditions;
  readonly WebSocket: WebSocketConstructor;
  readonly fetch: typeof fetch;
  #cuts = new Set<() => void>();

  constructor(
    conditions: Partial<Conditions> = {},
    platform: { WebSocket?: WebSocketConstructor; fetch?: typeof fetch } = {},
  ) {
    this.conditions = { delay: 0, jitter: 0, loss: 0, offline: false, ...conditions };
    const Real = platform.WebSocket ?? (globalThis as { WebSocket?: unknown }).WebSocket;
    this.WebSocket = socketsThrough(this.conditions, Real as WebSocketConstructor, this.#cuts);
    this.fetch = fetchThrough(this.conditions, platform.fetch ?? ((...asked) => fetch(...asked)));
  }

  /** A direction for things other than messages: passes them on in their order, each after its delay. */
  lane(): (act: () => void) => void {
    const lane = new Lane(this.conditions);
    return (act) => lane.pass(act);
  }

  /** Breaks every open WebSocket, as a change of networks does. */
  cut(): void {
    for (const cut of [...this.#cuts]) cut();
  }
}

function socketsThrough(
  conditions: Conditions,
  Real: WebSocketConstructor,
  cuts: Set<() => void>,
): WebSocketConstructor {
  return class Simulated implements WebSocketLike {
    binaryType = "arraybuffer";
    onmessage: ((event: any) => void) | null = null;
    onclose: ((event: any) => void) | null = null;
    onerror: ((event: any) => void) | null = null;
    #socket: WebSocketLike;
    #out = new Lane(conditions);
    #in = new Lane(conditions);

    constructor(url: string, protocols: string[]) {
      const socket = (this.#socket = new Real(url, protocols));
      const cut = () => this.#end({ code: 1006, reason: "" });
      socket.binaryType = "arraybuffer";
      socket.onmessage = ({ data }) => this.#in.pass(() => this.onmessage?.({ data }));
      socket.onclose = (event) => this.#in.pass(() => this.#end(event));
      socket.onerror = (event) => this.#in.pass(() => this.onerror?.(event));
      cuts.add(cut);
      this.#cut = cut;
      if (conditions.offline) setTimeout(cut, conditions.delay);
    }

    #cut: () => void;

    get protocol(): string {
      return this.#socket.protocol;
    }

    #end(event: { code: number; reason: string }): void {
      cuts.delete(this.#cut);
      const { onclose } = this;
      this.onmessage = this.onclose = this.onerror = null;
      this.#socket.onmessage = this.#socket.onclose = null;
      this.#socket.onerror = () => {};
      this.#socket.close(1000);
      onclose?.({ code: event.code, reason: event.reason });
    }

    send(data: string): void {
      this.#out.pass(() => this.#socket.send(data));
    }

    close(code?: number, reason?: string): void {
      cuts.delete(this.#cut);
      this.#out.pass(() => this.#socket.close(code, reason));
    }
  };
}

function fetchThrough(conditions: Conditions, real: typeof fetch): typeof fetch {
  return async (...asked) => {
    const [out, back] = [new Lane(conditions), new Lane(conditions)];
    if (conditions.offline) throw new TypeError("the simulated network is offline");
    await new Promise<void>((resolve) => out.pass(resolve));
    const response = await real(...asked);
    const late = new TransformStream<Uint8Array, Uint8Array>({
      transform: (piece, controller) =>
        new Promise<void>((resolve) => back.pass(() => (controller.enqueue(piece), resolve()))),
    });
    const { status, statusText, headers } = response;
    return new Response(response.body?.pipeThrough(late) ?? null, { status, statusText, headers });
  };
}
