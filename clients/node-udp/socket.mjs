import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";

import { Client } from "./protocol/client.mjs";

/** Unix seconds; unlike Date.now(), never set back. */
export function now() {
  return (performance.timeOrigin + performance.now()) / 1000;
}

/** A Client on a UDP socket: it is fed what arrives and woken when it wants to; `onEvent` hears each of its events. */
export class Socket {
  #timer = null;

  constructor(agreed, onEvent) {
    const [, host, port] = agreed.server_endpoint.match(/^\[?(.*?)\]?:(\d+)$/);
    this.onEvent = onEvent;
    this.client = new Client(agreed, now());
    this.socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    this.socket.on("message", (datagram) => this.#act(() => this.client.receive(datagram, now())));
    this.socket.on("error", () => {}); // an ICMP answer proves nothing; silence does
    this.connected = false;
    const begin = (error) => {
      this.connected = !error; // where there is no way, the handshake will not be answered
      this.#act(() => {});
    };
    try {
      this.socket.connect(Number(port), host, begin);
    } catch (error) {
      begin(error); // no such port
    }
  }

  /** The session with this index joined. */
  join(index) {
    this.#act(() => this.client.join(index));
  }

  leave(indexes) {
    this.#act(() => this.client.leave(indexes, now()));
  }

  close() {
    this.#act(() => this.client.close());
  }

  #act(change) {
    if (this.client.over) return;
    change();
    const { datagrams, events } = this.client.take();
    if (this.connected) for (const datagram of datagrams) this.socket.send(datagram);
    if (this.client.over) this.#finish();
    else this.#sleep();
    for (const event of events) this.onEvent(event);
  }

  #sleep() {
    clearTimeout(this.#timer);
    const wait = Math.max(0, this.client.due - now()) * 1000;
    this.#timer = setTimeout(() => this.#act(() => this.client.tick(now())), wait);
  }

  #finish() {
    clearTimeout(this.#timer);
    setImmediate(() => this.socket.close()); // after what was just sent
  }
}
