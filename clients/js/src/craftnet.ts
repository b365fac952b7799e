import { Emitter } from "./emitter.js";
import type { AnyFeed } from "./feed.js";
import { Craft, Health, Queue } from "./feeds.js";
import type { Options, Shared } from "./options.js";
import { Plan } from "./plan.js";
import type { Player, PlayerOptions } from "./player.js";
import type { Snapshots, SnapshotTarget } from "./snapshot.js";
import { Tokens } from "./tokens.js";
import type { WebSocketConstructor } from "./transports/transport.js";

type OwnFeed = Craft | Queue | Player | Health;

export interface CraftnetEvents {
  /** A feed was made, of whichever kind: see its `target`. */
  feed: AnyFeed;
}

/** A client of one server for one player. Its feeds share the token and what they learn about the network. */
export class Craftnet extends Emitter<CraftnetEvents> {
  #shared: Shared;
  #feeds = new Set<OwnFeed>();
  #suspended = false;
  #unlisten: (() => void) | undefined;

  /** `url` is the server's, with any base path: `https://craft.example`. */
  constructor(url: string, options: Options) {
    super();
    const platform = globalThis as { WebSocket?: unknown };
    this.#shared = {
      url: url.replace(/\/+$/, ""),
      tokens: new Tokens(options.getToken, {
        renewed: (token) => this.#each((feed) => feed.renew(token)),
        unauthorized: (reason) => this.#each((feed) => feed.finish("unauthorized", reason)),
      }),
      plan: new Plan(options.transports ?? ["bin", "lz4", "json", "sse"]),
      reconnect: { min: 500, max: 20_000, ...options.reconnect },
      staleAfter: options.staleAfter ?? 65_000,
      storage: options.storage,
      WebSocket: options.WebSocket ?? (platform.WebSocket as WebSocketConstructor | undefined),
      fetch: options.fetch ?? ((...request) => fetch(...request)),
      ended: (feed) => this.#forget(feed as OwnFeed),
    };
  }

  /**
   * Watches one craft of a player, from `resume`, the position of an earlier feed, where it is given. With `expected`, the
   * percent advances by the time that the server expects, where it has learned how long such crafts take.
   */
  crafting(
    sessionId: string,
    { playerId, resume, expected }: { playerId: string; resume?: string; expected?: boolean },
  ): Craft {
    return this.#begin(new Craft(this.#shared, sessionId, playerId, resume, expected));
  }

  /** Watches a player's places in queues. `device` is the name of this device: see @craftnet/client/devices. */
  queue(playerId: string, { resume, device }: { resume?: string; device?: string } = {}): Queue {
    return this.#begin(new Queue(this.#shared, playerId, resume, device));
  }

  /** Watches everything of a player: crafts as they start and end, and places in queues. */
  async player(playerId: string, options: PlayerOptions = {}): Promise<Player> {
    return this.#begin(new (await import("./player.js")).Player(this.#shared, playerId, options));
  }

  /** Watches the health of services, of all when none is named. */
  health({ services = [] }: { services?: readonly string[] } = {}): Health {
    return this.#begin(new Health(this.#shared, services));
  }

  /**
   * Asks once for the current state of a craft, a queue or a player, without a feed: for a first paint. Rejects with an
   * Error that says what the server answered.
   */
  async snapshot<K extends keyof Snapshots>(target: SnapshotTarget<K>, signal?: AbortSignal): Promise<Snapshots[K]> {
    return (await import("./player.js")).snapshot(this.#shared, target, signal);
  }

  /** Lets go of all connections: for an app that goes to the background. Feeds become idle. */
  suspend(): void {
    this.#suspended = true;
    this.#each((feed) => feed.suspend());
    this.#shared.tokens.rest();
  }

  /** Connects again what `suspend` let go of. */
  resume(): void {
    this.#suspended = false;
    this.#each((feed) => feed.start());
  }

  /** Ends all feeds. */
  close(): void {
    this.#each((feed) => feed.close());
  }

  #each(act: (feed: OwnFeed) => void): void {
    for (const feed of [...this.#feeds]) act(feed);
  }

  #begin<F extends OwnFeed>(feed: F): F {
    this.#feeds.add(feed);
    this.#unlisten ??= this.#listen();
    this.emit("feed", feed);
    // Not before its maker listens to it.
    queueMicrotask(() => {
      if (!this.#suspended) feed.start();
    });
    return feed;
  }

  #forget(feed: OwnFeed): void {
    this.#feeds.delete(feed);
    if (this.#feeds.size) return;
    this.#shared.tokens.rest();
    this.#unlisten?.();
    this.#unlisten = undefined;
  }

  /** Listens to the page's network and visibility events, where there is a page. */
  #listen(): () => void {
    const page = globalThis as unknown as Partial<Window>;
    const wake = () => this.#each((feed) => feed.wake());
    const save = () => this.#each((feed) => feed.save());
    const handlers = Object.entries<(event: any) => void>({
      online: () => (this.#shared.plan.reset(), wake()),
      pagehide: ({ persisted }) => (persisted ? this.#each((feed) => feed.suspend()) : save()),
      pageshow: () => (this.#suspended || this.resume(), wake()),
      visibilitychange: () => (page.document?.hidden ? save() : wake()),
    });
    for (const each of handlers) page.addEventListener?.(...each);
    return () => {
      for (const each of handlers) page.removeEventListener?.(...each);
    };
  }
}
