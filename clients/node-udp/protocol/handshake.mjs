import { Generation, handshakeKey } from "./keys.mjs";
import { hello, parseChallenge, response } from "./handshake-datagrams.mjs";
import { demand } from "./refused.mjs";
import { Opener, Sealer } from "./sealing.mjs";

const [FIRST_PAUSE, LONGEST_PAUSE, PATIENCE] = [0.5, 4.0, 15.0];
const RESPONSES = 3;

/**
 * The client's side of the handshake: what to send to which address of the server, when to send it again, and the keys
 * that come of it. HELLO goes to each address in turn, with a nonce for each, so that a CHALLENGE says which answers.
 */
export class Handshake {
  #first = 0; // the address that is tried first
  #sends = 0; // of what is sent until it is answered

  /** `random(n)` makes n octets; `now` is in seconds; `servers` is how many addresses the server may be at. */
  constructor({ connectionId, secret }, random, now, servers = 1) {
    this.connectionId = connectionId;
    this.secret = secret;
    this.random = random;
    this.servers = servers;
    this.key = handshakeKey(secret);
    this.deadline = now + PATIENCE;
    this.server = 0; // the address that the newest datagram goes to
    this.#start(now);
  }

  #start(now) {
    this.nonces = Array.from({ length: this.servers }, () => this.random(16));
    this.sealer = null;
    this.opener = null;
    this.#prepare(now);
  }

  #prepare(now) {
    this.#sends = 0;
    this.due = now;
  }

  /** What to send to `server` at `now`, if anything; `due` says when to ask again. */
  send(now) {
    if (now < this.due) return null;
    if (this.sealer && this.#sends === RESPONSES) {
      this.#first = (this.server + 1) % this.servers;
      this.#start(now);
    }
    const pauses = this.sealer ? this.#sends : Math.floor(this.#sends / this.servers);
    if (!this.sealer) this.server = (this.#first + this.#sends) % this.servers;
    this.#sends += 1;
    this.due = now + Math.min(FIRST_PAUSE * 2 ** pauses, LONGEST_PAUSE);
    return this.sealer ? this.response : hello(this.key, this.connectionId, this.nonces[this.server]);
  }

  over(now) {
    return now >= this.deadline;
  }

  /** Take a CHALLENGE. Throws Refused; (repeated) for one that answers no HELLO of ours, or another that does. */
  challenged(datagram, now) {
    const challenge = parseChallenge(this.key, this.connectionId, datagram);
    const { clientNonce, serverNonce } = challenge;
    const server = this.nonces.findIndex((nonce) => nonce.equals(clientNonce));
    demand(!this.sealer && server >= 0, "repeated");
    this.server = server;
    const keys = (sender) => Generation.first(this.secret, clientNonce, serverNonce, sender);
    this.sealer = new Sealer(this.connectionId, keys("client"));
    this.opener = new Opener(this.connectionId, keys("server"));
    this.response = response(this.key, this.connectionId, challenge);
    this.#prepare(now);
  }
}
