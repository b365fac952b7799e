import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { isIP, isIPv4, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";

import { Client, type Agreement, type UdpEvent } from "./client.js";

const MOST_ADDRESSES = 6;
const LOOK_AROUND = 1000; // milliseconds

/** Unix seconds; unlike Date.now(), never set back. */
export const now = (): number => (performance.timeOrigin + performance.now()) / 1000;

/** The addresses of a host, in the order in which the system prefers them; of a link-local one, in each zone. */
export async function addresses(host: string): Promise<string[]> {
  const address = host.split("%")[0]!;
  if (isIPv6(address) && /^fe[89ab]/i.test(address)) return zones().map((zone) => `${address}%${zone}`);
  if (isIP(host)) return [host];
  const found = await lookup(host, { all: true, verbatim: true });
  return [...new Set(found.map((each) => each.address))].slice(0, MOST_ADDRESSES);
}

function zones(): string[] {
  const held = Object.entries(networkInterfaces()).map(([name, all]) => [name, all ?? []] as const);
  return held.filter(([, all]) => all.some((each) => each.family === "IPv6" && each.scopeid > 0)).map(([name]) => name);
}

/** The addresses of this machine; when they are others than before, so may be the one that we send from. */
function here(): string {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return JSON.stringify(all.map(({ address }) => address).sort());
}

/** A Client on a UDP socket: it is fed what arrives and woken when it wants to; `onEvent` hears each of its events. */
export class Socket {
  readonly client: Client;
  /** The addresses of the server as the socket names them; they are tried in turn. */
  readonly servers: readonly string[];
  #port: number;
  #socket: DatagramSocket;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval>;
  #here = here();

  constructor(
    agreed: Agreement,
    servers: readonly string[],
    private readonly onEvent: (event: UdpEvent) => void,
  ) {
    this.#port = Number(/:(\d+)$/.exec(agreed.server_endpoint)![1]);
    const both = servers.some(isIPv6); // one socket serves all of them
    this.servers = both ? servers.map((server) => (isIPv4(server) ? `::ffff:${server}` : server)) : servers;
    this.client = new Client(agreed, now(), undefined, servers.length);
    // Not connected: that would keep the address that it sends from, wherever this machine moves.
    this.#socket = createSocket(both ? "udp6" : "udp4");
    this.#socket.on("message", (datagram) => this.#act(() => this.client.receive(datagram, now())));
    this.#socket.on("error", () => {}); // what does not go out is not answered
    this.#watch = setInterval(() => this.#lookAround(), LOOK_AROUND).unref();
    setImmediate(() => this.#act(() => {}));
  }

  #lookAround(): void {
    const before = this.#here;
    this.#here = here();
    if (this.#here !== before) this.#act(() => this.client.moved(now()));
  }

  /** The session with this index joined. */
  join(index: number): void {
    this.#act(() => this.client.join(index));
  }

  leave(indexes: readonly number[]): void {
    this.#act(() => this.client.leave(indexes, now()));
  }

  close(): void {
    this.#act(() => this.client.close());
  }

  #act(change: () => void): void {
    if (this.client.over) return;
    change();
    const { datagrams, events } = this.client.take();
    for (const datagram of datagrams) this.#send(datagram, this.servers[this.client.server]!);
    if (this.client.over) this.#finish();
    else this.#sleep();
    for (const event of events) this.onEvent(event);
  }

  #send(datagram: Buffer, server: string): void {
    try {
      this.#socket.send(datagram, this.#port, server, () => {}); // no way there is as good as a datagram lost
    } catch {
      // no such port, or no such address
    }
  }

  #sleep(): void {
    clearTimeout(this.#timer);
    const wait = Math.max(0, this.client.due - now()) * 1000;
    this.#timer = setTimeout(() => this.#act(() => this.client.tick(now())), wait);
  }

  #finish(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    setImmediate(() => this.#socket.close()); // after what was just sent
  }
}
