// A craftnet feed for a web page. It comes back by itself, where it was, and says so when there is no point in that.
//
//     import { Feed } from "./feed.js";
//     const feed = new Feed("wss://craft.example/ws/crafting/SESSION?player_id=PLAYER", {
//       token: async () => (await fetch("/login/token")).text(),
//       onmessage: (message) => …,
//       onend: (code, reason) => …,
//     });
//     …
//     feed.close();

const SUBPROTOCOL = "craftnet.json.v1";
const RETRY = /^retry in ([0-9]+(?:\.[0-9]+)?) s$/;

/** Close codes after which coming back makes no sense: docs/reference/close-codes.md. */
export const FINAL = new Set([1000, 1002, 1007, 1008, 1009, 4003, 4009, 4029, 4400, 4403, 4404]);

/** Close codes that blame the token. */
export const STALE = new Set([4001, 4401]);

/** Seconds that a close reason asks to wait; undefined when it does not. */
export function retryAfter(reason) {
  const match = RETRY.exec(reason);
  return match ? Number(match[1]) : undefined;
}

export class Feed {
  #url; #options; #socket; #silence; #pause; #resume; #failures = 0; #stale = 0; #ended = false;

  /**
   * @param url of the feed, without `resume` and `heartbeat`
   * @param options.token called before each try, with whether the last token was refused; a token, or a promise of one
   * @param options.heartbeat seconds of silence after which the server says that it lives, 5 to 300
   * @param options.patience seconds that such a message may take
   * @param options.onmessage called with each message but heartbeats
   * @param options.onwait called with the seconds until the next try, and the close code and reason before it
   * @param options.onend called once with the close code and reason when the feed is over
   */
  constructor(url, options) {
    this.#url = new URL(url);
    this.#options = { heartbeat: 25, patience: 5, onmessage() {}, onwait() {}, onend() {}, ...options };
    this.#connect();
  }

  /** The page has seen enough. */
  close() {
    this.#ended = true;
    clearTimeout(this.#pause);
    clearTimeout(this.#silence);
    this.#socket?.close(1000);
  }

  async #connect() {
    let token;
    try {
      token = await this.#options.token(this.#stale > 0);
    } catch (error) {
      this.#lost(undefined, `no token: ${error}`);
      return;
    }
    if (this.#ended) return;
    this.#url.searchParams.set("heartbeat", this.#options.heartbeat);
    if (this.#resume) this.#url.searchParams.set("resume", this.#resume);
    const socket = new WebSocket(this.#url, [SUBPROTOCOL, `bearer.${token}`]);
    this.#socket = socket;
    this.#listen();
    socket.onmessage = ({ data }) => this.#told(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#lost(code, reason);
    };
  }

  #told(message) {
    this.#failures = this.#stale = 0;
    this.#listen();
    if (message.epoch !== undefined) this.#resume = `${message.epoch}:${message.version}`;
    const { type, session_id, player_id, timestamp, epoch, version, ...data } = message;
    if (Object.keys(data).length) this.#options.onmessage(message);
  }

  /** From now on the server may be silent for the interval of heartbeats, and what one may take. */
  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      const socket = this.#socket;
      this.#socket = undefined; // a browser waits for the answer to a close frame, which will not come.
      socket.close();
      this.#lost(undefined, "the server is silent");
    }, (this.#options.heartbeat + this.#options.patience) * 1000);
  }

  #lost(code, reason) {
    clearTimeout(this.#silence);
    if (this.#ended) return;
    // A fresh token that is refused, too, is no accident.
    if (FINAL.has(code) || (STALE.has(code) && ++this.#stale > 1)) {
      this.#ended = true;
      this.#options.onend(code, reason);
      return;
    }
    const bound = Math.min(60, 2 ** this.#failures++);
    const asked = STALE.has(code) ? 0 : retryAfter(reason);
    const seconds = (asked ?? 0) + Math.random() * (asked === undefined ? bound : 1);
    this.#options.onwait(seconds, code, reason);
    this.#pause = setTimeout(() => this.#connect(), seconds * 1000);
  }
}
