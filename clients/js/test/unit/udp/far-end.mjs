/** A server's end for tests: seals what the test gives it, and opens what the client sends. */

import { Client } from "../../../src/node-udp/client.ts";
import { Kind, parseFirst } from "../../../src/node-udp/datagrams.ts";
import { formatToken, Generation, handshakeKey, mac } from "../../../src/node-udp/keys.ts";
import { Opener, Sealer } from "../../../src/node-udp/sealing.ts";

export const START = 1_800_000_000;

const SECRET = Buffer.alloc(32, 7);
const CONNECTION_ID = 0xdeadbeef;
const SERVER_NONCE = Buffer.alloc(16, 1);

export const AGREED = {
  session_token: formatToken({ connectionId: CONNECTION_ID, secret: SECRET }),
  server_endpoint: "127.0.0.1:1",
  negotiated_packet_size: 1200,
  heartbeat_interval: 5000,
  compression: "lz4",
};

/** Makes nonces that differ. */
function nonces() {
  let made = 0;
  return (length) => Buffer.alloc(length, (made += 1));
}

/** A client and the server's end of its connection, without a network between them; `now` is the time of both. */
export class FarEnd {
  constructor(agreed = AGREED, servers = 1) {
    this.now = START;
    this.client = new Client(agreed, START, nonces(), servers);
  }

  /** What the client has sent since the last time: Buffers in the handshake. */
  sent() {
    return this.client.take().datagrams;
  }

  /** A CHALLENGE that answers this HELLO. */
  challenge(hello) {
    const head = Buffer.concat([Buffer.from([0x40 | Kind.CHALLENGE]), hello.subarray(1, 21)]);
    const octets = Buffer.concat([head, Buffer.alloc(8), SERVER_NONCE, Buffer.alloc(16, 9)]);
    return Buffer.concat([octets, mac(handshakeKey(SECRET), octets)]);
  }

  /** Do the handshake, up to the first sealed datagram of both. */
  connect(kind = Kind.HEARTBEAT, body = Buffer.alloc(24)) {
    const [hello] = this.sent();
    this.client.receive(this.challenge(hello), this.now);
    const keys = (sender) => Generation.first(SECRET, hello.subarray(5, 21), SERVER_NONCE, sender);
    this.sealer = new Sealer(CONNECTION_ID, keys("server"));
    this.opener = new Opener(CONNECTION_ID, keys("client"));
    this.sent();
    return this.send(kind, body);
  }

  /** Answer the client's first HEARTBEAT at once, so that it knows the clock of both. */
  answer() {
    const now = BigInt(Math.round(this.now * 1e6));
    const body = Buffer.alloc(24);
    [0, 8, 16].forEach((at) => body.writeBigUInt64BE(now, at));
    return this.send(Kind.HEARTBEAT, body);
  }

  /** What a server that keeps nothing answers to a datagram of the handshake: CHALLENGE, or the first HEARTBEAT. */
  static answer(datagram) {
    if ((datagram[0] & 31) === Kind.HELLO) return FarEnd.prototype.challenge(datagram);
    const keys = Generation.first(SECRET, datagram.subarray(5, 21), SERVER_NONCE, "server");
    return new Sealer(CONNECTION_ID, keys).seal(Kind.HEARTBEAT, Buffer.alloc(32));
  }

  /** Seal a datagram without sending it. */
  seal(kind, body = "") {
    const octets = typeof body === "string" ? Buffer.from(body.replaceAll(" ", ""), "hex") : body;
    return this.sealer.seal(kind, Buffer.concat([this.opener.window.acknowledgement(), octets]));
  }

  /** The client receives this; answers { events, kinds, bodies } of what comes of it. */
  deliver(datagram) {
    this.client.receive(datagram, this.now);
    return this.heard();
  }

  send(kind, body) {
    return this.deliver(this.seal(kind, body));
  }

  /** Let time pass, to the moment of each deadline of the client's. */
  pass(seconds) {
    const until = this.now + seconds;
    while (this.client.due <= until) {
      this.now = Math.max(this.now, this.client.due);
      this.client.tick(this.now);
    }
    this.now = until;
    return this.heard();
  }

  /** What the client has sent and said since the last time. */
  heard() {
    const { datagrams, events } = this.client.take();
    const opened = datagrams.map((datagram) => this.opener.open(datagram));
    return {
      events,
      kinds: opened.map(({ kind }) => kind),
      bodies: opened.map(({ content }) => content.subarray(8).toString("hex")),
      phases: datagrams.map((datagram) => parseFirst(datagram[0]).phase),
    };
  }
}
