import { connect, ConnectFailed } from "./connect.mjs";
import { Feed } from "./feed.mjs";
import { ENDINGS } from "./protocol/client.mjs";

const [FIRST_WAIT, LONGEST_WAIT] = [0.5, 30];
const SHUTTING_DOWN = 2;
const BROKEN = 3;
const TRANSIENT = new Set([429, 500, 502, 503, 504]);

/** Whether to connect again after the end of a connection. */
function comesBack({ event, reason }) {
  return event === "silence" || event === "unreachable" || reason === SHUTTING_DOWN || reason === BROKEN;
}

/** Watches sessions of a player, over one connection where the server agrees, and comes back when one breaks. */
export class Watching {
  #feeds = new Set();
  #attempts = 0;
  #stopped = false;

  /** `account`: { url, player, bearer, more }, `more` being what …/connect is asked for besides; `tell(event)`. */
  constructor(account, tell) {
    this.account = account;
    this.tell = tell;
  }

  /** Watch these sessions; with a feed that has room, over that. Ends when all are connected or given up. */
  async open(sessions, feed = null) {
    for (const session of sessions) {
      const { answer, shown } = await this.#ask(session, feed);
      if (!answer || this.#stopped) continue;
      const joined = shown !== undefined && answer.session_token === shown;
      if (!joined) feed = (await this.#begin(answer, session)) ?? feed;
      else if (!feed.over) feed.join(answer.session_index ?? 0, session);
      else this.#comeBack([session]); // it ended while the answer was under way
    }
  }

  leave(session) {
    for (const feed of this.#feeds) feed.leave(session);
  }

  stop() {
    this.#stopped = true;
    for (const feed of this.#feeds) feed.leaveAll();
  }

  show() {
    for (const feed of this.#feeds) feed.show();
  }

  /** { answer, shown }: what …/connect says, and the token of the feed that it was shown, if any. */
  async #ask(session, feed) {
    const { url, player, bearer, more } = this.account;
    while (!this.#stopped) {
      try {
        const shown = feed && !feed.over ? feed.token : undefined; // it may be another when the answer comes
        return { answer: await connect(url, session, player, bearer, { ...more, session_token: shown }), shown };
      } catch (error) {
        const status = error instanceof ConnectFailed ? error.status : null;
        this.tell({ event: "not_connected", session, status, message: error.message });
        if (status !== null && !TRANSIENT.has(status)) return {};
        await this.#pause(error.retryAfter ?? 0);
      }
    }
    return {};
  }

  /** A feed of its own for this session; null, and another attempt later, when the server has no address. */
  async #begin(answer, session) {
    try {
      const feed = await Feed.at(answer, session, (event, from) => this.#heard(event, from));
      this.#feeds.add(feed);
      if (this.#stopped) feed.leaveAll();
      return feed;
    } catch (error) {
      this.tell({ event: "not_connected", session, status: null, message: error.message });
      this.#comeBack([session]);
      return null;
    }
  }

  #heard(event, feed) {
    this.tell(event);
    if (event.event === "connected") this.#attempts = 0;
    if (!ENDINGS.has(event.event)) return;
    this.#feeds.delete(feed);
    if (comesBack(event) && !this.#stopped) this.#comeBack([...feed.open]);
  }

  #comeBack(sessions) {
    this.#pause(0).then(() => this.open(sessions));
  }

  /** Exponential backoff with full jitter, after at least so many seconds. */
  #pause(least) {
    const most = Math.min(FIRST_WAIT * 2 ** this.#attempts++, LONGEST_WAIT);
    return new Promise((resolve) => setTimeout(resolve, (least + Math.random() * most) * 1000));
  }
}
