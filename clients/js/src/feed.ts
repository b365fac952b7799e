/** One feed: keeps a connection, and its state, for as long as it is wanted. */

import { Alarm, now } from "./alarm.js";
import { blamesToken, finalResult, lost, LOST, pause, type EndResult, type Ending } from "./core/endings.js";
import { clockOffset } from "./core/model.js";
import type { Arrival, CraftState, Rules } from "./core/reduce.js";
import { changes, Emitter, type Handler } from "./emitter.js";
import type { Shared } from "./options.js";
import { withStorage } from "./storage.js";
import { UnauthorizedError } from "./tokens.js";
import type { Link, Target, Transport } from "./transports/transport.js";

export type FeedState = "idle" | "connecting" | "live" | "waiting" | "ended";

export interface StateChange {
  readonly from: FeedState;
  readonly to: FeedState;
  /** The close code that led there, where there was one. */
  readonly code?: number;
  readonly reason?: string;
  /** Milliseconds until the next try. */
  readonly retryIn?: number;
}

export interface Ended {
  readonly result: EndResult;
  readonly reason: string;
}

/** The events of every feed. */
export interface FeedEvents {
  state: StateChange;
  /** The feed came back to its position: whether everything that it missed follows, or the whole state does. */
  recovered: { readonly recovered: boolean };
  ended: Ended;
  /** What arrived, before it is understood: for logs. */
  message: { readonly arrival: Arrival; readonly transport: string };
}

/** What the feeds of all kinds have in common. */
export interface AnyFeed {
  readonly target: Target;
  readonly state: FeedState;
  readonly position: string | null;
  readonly result: Ended | undefined;
  on<T extends keyof FeedEvents>(type: T, handler: Handler<FeedEvents[T]>): () => void;
  close(): void;
}

/** Why `ready` was not to be had: the feed ended first. */
export class FeedEndedError extends Error {
  override name = "FeedEndedError";
  readonly ended: Ended;

  constructor(ended: Ended) {
    super(`the feed ended: ${ended.result} ${ended.reason}`);
    this.ended = ended;
  }
}

const CONNECT = 15_000; // milliseconds
const ANSWER = 5000; // milliseconds, also by which a timer may be late
const STABLE = 10_000; // milliseconds; a connection that lasted this long resets the backoff

/** `progress` is what its event has. */
interface Change {
  readonly type: string;
  readonly progress?: unknown;
}

type Base = Pick<CraftState, "position" | "clock">;

/** A feed whose rules make changes `R` of what arrives, and which shows them as `C`. */
export abstract class Feed<
  S extends Base,
  R extends Change,
  E extends FeedEvents,
  C extends Change = R,
> extends Emitter<E> {
  /** What is watched. */
  readonly target: Target;
  protected data: S;
  #rules: Rules<S, R>;
  #shared: Shared;
  #state: FeedState = "idle";
  #ended: Ended | undefined;
  #link: Link | undefined;
  #transport: Transport | undefined;
  #token: string | undefined;
  #attempt = 0; // what an earlier connection says is ignored
  #failures = 0;
  #refusals = 0;
  #resumed = false;
  #liveSince = 0;
  #heardAt = 0;
  #notBefore = 0; // the server asked to wait until then
  #silence = new Alarm();
  #pause = new Alarm();
  #watchers = new Set<(change?: C) => void>();
  #key: string;

  constructor(shared: Shared, target: Target, rules: Rules<S, R>, resume?: string) {
    super();
    this.#shared = shared;
    this.target = target;
    this.#rules = rules;
    this.#key = `craftnet:${Object.values(target)}`;
    const kept = withStorage(shared.storage, (storage) => JSON.parse(storage.getItem(this.#key)!));
    this.data = { ...rules.initial, ...(resume ? { position: resume } : kept) };
  }

  /** Whether the state that is held is a whole one. */
  protected abstract get complete(): boolean;

  /** Why the feed is over, by its state; undefined while it is not. */
  protected get over(): Ended | undefined {
    return undefined;
  }

  /** A change as those who listen get it, once the state has it. */
  protected present(change: R): C {
    return change as unknown as C;
  }

  get state(): FeedState {
    return this.#state;
  }

  /** What a feed of the same target can be resumed with; null before the server sent it. */
  get position(): string | null {
    return this.data.position;
  }

  /** How the feed ended; undefined before. */
  get result(): Ended | undefined {
    return this.#ended;
  }

  /** Unix milliseconds on the server's clock. */
  get serverTime(): number {
    return now() + clockOffset(this.data.clock);
  }

  /** Every change from now on, until the feed ends. */
  [Symbol.asyncIterator](): AsyncGenerator<C, void, undefined> {
    return changes<C>(
      (push) => {
        this.#watchers.add(push);
        return () => this.#watchers.delete(push);
      },
      () => this.#ended,
    );
  }

  /** Resolves when the feed is live with its whole state. Rejects with FeedEndedError, the signal's reason, or an Error after `timeout` milliseconds. */
  ready({ signal, timeout }: { signal?: AbortSignal; timeout?: number } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      const alarm = new Alarm();
      const done = (act: () => void) => {
        alarm.clear();
        this.#watchers.delete(look);
        signal?.removeEventListener("abort", aborted);
        act();
      };
      const aborted = () => done(() => reject(signal!.reason));
      const look = () => {
        if (this.#ended) done(() => reject(new FeedEndedError(this.#ended!)));
        else if (this.#state === "live" && this.complete) done(resolve);
      };
      this.#watchers.add(look);
      signal?.addEventListener("abort", aborted);
      if (timeout) alarm.set(timeout, () => done(() => reject(new Error(`not ready within ${timeout} ms`))));
      if (signal?.aborted) aborted();
      else look();
    });
  }

  /** Ends the feed: nothing is watched any more. */
  close(): void {
    this.finish("closed", "");
  }

  // What the client does with its feeds

  /** @internal Connects, or connects again after `suspend`. */
  start(): void {
    if (this.#state === "idle") this.#connect();
  }

  /** @internal Lets go of the connection until `start`. */
  suspend(): void {
    if (this.#ended) return;
    this.#drop();
    this.#become("idle");
    this.save();
  }

  /** @internal Keeps the state: the page may be gone in a moment. */
  save(): void {
    withStorage(this.#shared.storage, (storage) => storage.setItem(this.#key, JSON.stringify(this.data)));
  }

  /** @internal The device woke up, or has another network: what waits connects, what is open must answer. */
  wake(): void {
    if (this.#state === "waiting") this.#pause.set(this.#notBefore - now(), () => this.#connect());
    else if (this.#state === "live" && now() - this.#heardAt > ANSWER) {
      this.#silence.set(ANSWER, () => this.#silent());
      if (!this.#offer(this.#token!)) this.#connect();
    }
  }

  /** @internal There is a fresh token. */
  renew(token: string): void {
    this.#token = token;
    if (this.#state === "live" && !this.#offer(token)) this.#connect();
  }

  /** @internal Sends a text message; false when the feed is not connected, or its transport only listens. */
  send(text: string): boolean {
    try {
      this.#link!.send!(text);
      return true;
    } catch {
      return false;
    }
  }

  /** @internal Ends the feed with this result. */
  finish(result: EndResult, reason: string): void {
    if (this.#ended) return;
    this.#drop();
    withStorage(this.#shared.storage, (storage) => storage.removeItem(this.#key));
    this.#ended = { result, reason };
    this.#become("ended", { reason });
    this.emit("ended", this.#ended as E["ended"]);
    this.#changed();
    this.#shared.ended(this);
  }

  // One connection after the other

  #become(to: FeedState, more: Partial<StateChange> = {}): void {
    const from = this.#state;
    this.#state = to;
    if (from !== to) this.emit("state", { from, to, ...more } as E["state"]);
  }

  #drop(): void {
    this.#attempt += 1;
    this.#silence.clear();
    this.#pause.clear();
    const link = this.#link;
    this.#link = undefined;
    link?.close();
  }

  #connect(): void {
    this.#drop();
    const attempt = this.#attempt;
    this.#resumed = this.position !== null;
    this.#become("connecting");
    this.#shared.tokens.get().then(
      (token) => attempt === this.#attempt && this.#open(token, attempt),
      (error) => {
        if (attempt !== this.#attempt) return;
        if (error instanceof UnauthorizedError) this.finish("unauthorized", error.message);
        else this.#lost(lost(`no token: ${error}`));
      },
    );
  }

  #open(token: string, attempt: number): void {
    const shared = this.#shared;
    const heartbeat = Math.min(Math.max(Math.floor((shared.staleAfter - ANSWER) / 2000), 5), 300);
    const request = { ...shared, target: this.target, token, resume: this.position, heartbeat };
    const ours = <A extends unknown[]>(act: (...given: A) => void) => {
      return (...given: A) => {
        if (attempt === this.#attempt) act(...given);
      };
    };
    const ended = ours((ending: Ending) => this.#failed(ending));
    this.#token = token;
    this.#transport = shared.plan.choose(request);
    this.#silence.set(CONNECT, () => ended(lost("no answer")));
    try {
      if (!this.#transport) throw new Error("no transport works: pass a WebSocket");
      const link = this.#transport.open(request, {
        arrived: ours((arrival) => this.#arrived(arrival)),
        alive: ours(() => this.#heard()),
        tokenRefused: ours(() => shared.tokens.renew("refused", ANSWER)),
        ended,
      });
      if (attempt === this.#attempt) this.#link = link;
      else link.close();
    } catch (error) {
      ended(lost(error));
    }
  }

  #offer(token: string): boolean {
    try {
      return !!this.#link?.offer(token);
    } catch {
      return false; // the socket is closing
    }
  }

  #heard(): void {
    this.#heardAt = now();
    if (this.#state === "live") this.#listen(this.#shared.staleAfter);
  }

  /** Looks at silence once it may be too long: timers cost more than messages. */
  #listen(wait: number, again = true): void {
    this.#silence.set(wait, (late) => {
      const left = this.#heardAt + this.#shared.staleAfter - now();
      if (left > 0) this.#listen(left);
      // A page that was frozen gets its timers before the messages that have come meanwhile.
      else if (again && late > ANSWER) this.#listen(ANSWER, false);
      else this.#silent();
    });
  }

  #silent(): void {
    this.#lost(lost("the server is silent"));
  }

  #arrived(arrival: Arrival): void {
    let changes: readonly R[];
    this.emit("message", { arrival, transport: this.#transport!.name } as E["message"]);
    try {
      [this.data, changes] = this.#rules.receive(this.data, arrival, now());
    } catch (error) {
      return this.#failed(lost(error));
    }
    this.#shared.tokens.offset = this.serverTime - now();
    if (this.#state !== "live") this.#live();
    this.#heard();
    const attempt = this.#attempt;
    for (const each of changes) {
      if (each.type === "recovered" && !this.#resumed) continue;
      const change = this.present(each);
      this.emit(change.type as keyof E, (change.progress ?? change) as E[keyof E]);
      this.#changed(change);
      if (attempt !== this.#attempt) return; // a handler has closed the feed
    }
    const { over } = this;
    if (over) return this.finish(over.result, over.reason);
    this.#changed();
  }

  #changed(change?: C): void {
    for (const watcher of this.#watchers) watcher(change);
  }

  #live(): void {
    this.#refusals = 0;
    this.#liveSince = now();
    this.#shared.plan.succeeded(this.#transport!);
    this.#shared.tokens.plan();
    this.#become("live");
  }

  /** The connection ended; before anything came, and unexplained, its transport may be what does not get through. */
  #failed(ending: Ending): void {
    const { plan } = this.#shared;
    const { code, unsure, unsupported, reason } = ending;
    if (this.#state === "connecting" && (code === LOST || unsure) && this.#transport) {
      const another = plan.failed(this.#transport, unsupported);
      if (unsure && another) ending = lost(reason || code);
    }
    this.#lost(ending);
  }

  #lost({ code, reason, retryAfter }: Ending): void {
    if (this.#state === "live" && now() - this.#liveSince >= STABLE) this.#failures = 0;
    this.#drop();
    const result = finalResult(code);
    if (result) return this.finish(result, reason);
    const blamed = blamesToken(code);
    if (blamed) {
      this.#shared.tokens.blame(this.#token, blamed);
      if (blamed === "refused" && ++this.#refusals > 1) return this.finish("unauthorized", reason);
    }
    const retryIn = pause(this.#failures++, this.#shared.reconnect, blamed ? 0 : retryAfter, Math.random());
    this.#notBefore = retryAfter ? now() + retryIn : 0;
    this.#become("waiting", { code, reason, retryIn });
    this.#pause.set(retryIn, () => this.#connect());
  }
}
