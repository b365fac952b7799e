import { refuseUnless } from "../wire.js";
import { hello, parseChallenge, response } from "./datagrams.js";
import { Generation, handshakeKey, type Sender, type Token } from "./keys.js";
import { Opener, Sealer } from "./sealing.js";

const [FIRST_PAUSE, LONGEST_PAUSE, TIMEOUT] = [0.5, 4.0, 15.0]; // seconds
const RESPONSES = 3;
const NONCE = 16; // octets

/** Makes so many random octets. */
export type Random = (length: number) => Buffer;

/** What came of a CHALLENGE. */
interface Answer {
  readonly sealer: Sealer;
  readonly opener: Opener;
  readonly response: Buffer;
}

/**
 * The client's side of the handshake: what to send to which address of the server, when to send it again, and the keys
 * that come of it. HELLO goes to each address in turn, with a nonce for each, so that a CHALLENGE says which answers.
 */
export class Handshake {
  #first = 0; // the address that is tried first
  #sends = 0; // of what is sent until it is answered
  #nonces: Buffer[] = [];
  #key: Buffer;

  /** What is to be sent once a CHALLENGE has come; null before. */
  answer: Answer | null = null;
  readonly deadline: number;
  /** When to ask `send` again, Unix seconds. */
  due = 0;
  /** The address that the newest datagram goes to, from 0. */
  server = 0;

  /** `now` is Unix seconds; `servers` is how many addresses the server may be at. */
  constructor(
    readonly token: Token,
    private readonly random: Random,
    now: number,
    private readonly servers = 1,
  ) {
    this.#key = handshakeKey(token.secret);
    this.deadline = now + TIMEOUT;
    this.#start(now);
  }

  #start(now: number): void {
    this.#nonces = Array.from({ length: this.servers }, () => this.random(NONCE));
    this.answer = null;
    this.#prepare(now);
  }

  #prepare(now: number): void {
    this.#sends = 0;
    this.due = now;
  }

  /** What to send to `server` at `now`, if anything; `due` says when to ask again. */
  send(now: number): Buffer | null {
    if (now < this.due) return null;
    if (this.answer && this.#sends === RESPONSES) {
      this.#first = (this.server + 1) % this.servers;
      this.#start(now);
    }
    const { answer } = this;
    const pauses = answer ? this.#sends : Math.floor(this.#sends / this.servers);
    if (!answer) this.server = (this.#first + this.#sends) % this.servers;
    this.#sends += 1;
    this.due = now + Math.min(FIRST_PAUSE * 2 ** pauses, LONGEST_PAUSE);
    return answer ? answer.response : hello(this.#key, this.token.connectionId, this.#nonces[this.server]!);
  }

  isOver(now: number): boolean {
    return now >= this.deadline;
  }

  /** Takes a CHALLENGE. Throws Refused; (repeated) for one that answers no HELLO of ours, or another that does. */
  challenged(datagram: Uint8Array, now: number): void {
    const { connectionId, secret } = this.token;
    const challenge = parseChallenge(this.#key, connectionId, datagram);
    const { clientNonce, serverNonce } = challenge;
    const server = this.#nonces.findIndex((nonce) => nonce.equals(clientNonce));
    refuseUnless(!this.answer && server >= 0, "repeated");
    this.server = server;
    const keys = (sender: Sender) => Generation.first(secret, clientNonce, serverNonce, sender);
    this.answer = {
      sealer: new Sealer(connectionId, keys("client")),
      opener: new Opener(connectionId, keys("server")),
      response: response(this.#key, challenge),
    };
    this.#prepare(now);
  }
}
