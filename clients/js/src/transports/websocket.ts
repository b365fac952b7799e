/** Feeds over WebSockets: docs/websocket.md. */

import { codeOfStatus, lost, LOST, retryAfter } from "../core/endings.js";
import { route, type Link, type Listener, type Request, type Transport, type WebSocketLike } from "./transport.js";

const SUBPROTOCOLS = { bin: "craftnet.bin.v1", lz4: "craftnet.json.lz4.v1", json: "craftnet.json.v1" };

export type Encoding = keyof typeof SUBPROTOCOLS;

const HANDSHAKE_STATUS = /response: (\d{3})/; // how the package ws reports the status of a refused handshake

/** A transport that offers these encodings in this order. */
export class WebSocketTransport implements Transport {
  readonly name = "websocket";
  offered: readonly Encoding[];

  constructor(encodings: readonly Encoding[]) {
    this.offered = encodings;
  }

  supports({ WebSocket }: Pick<Request, "WebSocket">): boolean {
    return !!WebSocket;
  }

  open(request: Request, listener: Listener): Link {
    return new Connection(this, request, listener);
  }
}

class Connection implements Link {
  #socket: WebSocketLike;
  #listener: Listener;
  #status = 0;
  #before: Promise<unknown> = Promise.resolve(); // what is still being unpacked

  constructor(transport: WebSocketTransport, request: Request, listener: Listener) {
    // Binary messages have no expected times.
    const others = "expected" in request.target ? transport.offered.filter((each) => each !== "bin") : [];
    const offered = others.length ? others : transport.offered;
    const protocols = [...offered.map((each) => SUBPROTOCOLS[each]), `bearer.${request.token}`];
    const socket = new request.WebSocket!(request.url.replace(/^http/, "ws") + route(request, "ws"), protocols);
    this.#socket = socket;
    this.#listener = listener;
    const inTurn = (act: () => unknown) => {
      if (socket.protocol === SUBPROTOCOLS.json) return act();
      this.#before = this.#before.then(act).catch((error) => {
        transport.offered = transport.offered.filter((each) => SUBPROTOCOLS[each] !== socket.protocol);
        this.close();
        listener.ended(lost(`${socket.protocol}: ${error}`));
      });
    };
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => inTurn(() => this.#take(data, request));
    socket.onerror = ({ message }) => {
      this.#status = Number(HANDSHAKE_STATUS.exec(message)?.[1]);
    };
    socket.onclose = ({ code = LOST, reason = "" }) => {
      const unsure = code === LOST;
      const known = unsure ? codeOfStatus(this.#status) : code;
      inTurn(() => listener.ended({ code: known, reason, retryAfter: retryAfter(reason), unsure }));
    };
  }

  async #take(data: string | ArrayBuffer, { url, fetch }: Request): Promise<void> {
    const listener = this.#listener;
    if (typeof data !== "string") {
      const octets = new Uint8Array(data);
      const arrival =
        this.#socket.protocol === SUBPROTOCOLS.lz4
          ? await (await import("../lz4.js")).unpack(octets, url, fetch)
          : (await import("../core/bin.js")).decode(octets);
      return listener.arrived(arrival);
    }
    if (!data.startsWith('{"type":"token_')) return listener.arrived(data);
    if (data.startsWith("refused", 15)) listener.tokenRefused();
    listener.alive();
  }

  offer(token: string): boolean {
    this.send(JSON.stringify({ type: "token", token }));
    return true;
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  close(): void {
    const socket = this.#socket;
    socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // the package ws reports a connection that is closed before it is open
    socket.close(1000);
  }
}
