import { Generation, handshakeKey } from "./keys.mjs";
import { hello, parseChallenge, response } from "./handshake-datagrams.mjs";
import { demand } from "./refused.mjs";
import { Opener, Sealer } from "./sealing.mjs";

const [FIRST_PAUSE, LONGEST_PAUSE, PATIENCE] = [0.5, 4.0, 15.0];
const RESPONSES = 3;

/** The client's side of the handshake: what to send, when to send it again, and the keys that come of it. */
export class Handshake {
  /** `random(n)` makes n octets; `now` is in seconds. */
  constructor({ connectionId, secret }, random, now) {
    this.connectionId = connectionId;
    this.secret = secret;
    this.random = random;
    this.key = handshakeKey(secret);
    this.deadline = now + PATIENCE;
    this.#knock(now);
  }

  #knock(now) {
    this.clientNonce = this.random(16);
    this.sealer = null;
    this.opener = null;
    this.responses = 0;
    this.#prepare(hello(this.key, this.connectionId, this.clientNonce), now);
  }

  #prepare(datagram, now) {
    this.datagram = datagram;
    this.pause = FIRST_PAUSE;
    this.due = now;
  }

  /** What to send at `now`, if anything; `due` says when to ask again. */
  send(now) {
    if (now < this.due) return null;
    if (this.responses === RESPONSES) this.#knock(now);
    if (this.sealer) this.responses += 1;
    this.due = now + this.pause;
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    return this.datagram;
  }

  over(now) {
    return now >= this.deadline;
  }

  /** Take a CHALLENGE. Throws Refused; (repeated) for one that does not answer our HELLO, or another that does. */
  challenged(datagram, now) {
    const challenge = parseChallenge(this.key, this.connectionId, datagram);
    demand(!this.sealer && challenge.clientNonce.equals(this.clientNonce), "repeated");
    const keys = (sender) => Generation.first(this.secret, this.clientNonce, challenge.serverNonce, sender);
    this.sealer = new Sealer(this.connectionId, keys("client"));
    this.opener = new Opener(this.connectionId, keys("server"));
    this.#prepare(response(this.key, this.connectionId, challenge), now);
  }
}
