/** The devices of one player: which are connected, and how far they have seen and dismissed the player's feeds. */

import { Alarm } from "./alarm.js";
import { covers, cursorAt, deviceMessage, further, reports } from "./core/devices.js";
import type { Cursor, Device, DeviceMessage, DeviceRefusal } from "./core/devices.js";
import { Emitter } from "./emitter.js";
import type { AnyFeed, FeedState } from "./feed.js";
import type { Queue } from "./feeds.js";
import type { Player } from "./player.js";

export interface DevicesEvents {
  /** The player's devices: once this one is registered, and whenever one arrives or leaves. */
  devices: readonly Device[];
  /** More of a feed was seen or dismissed. `device` is the one that reported it; missing for what was so before. */
  cursor: { readonly cursor: Cursor; readonly device?: string };
  /** The server refused to register this device, or a report. */
  refused: DeviceRefusal;
}

const PAUSE = 500; // milliseconds between reports, of at most two messages: a server accepts 5 messages a second
const UNAVAILABLE = 503;
const AGAIN = 5000; // milliseconds after which a report is repeated that the server could not keep
const MOST_FEEDS = 33; // the queue, and as many crafts as the server keeps

const keyOf = ({ sessionId = "" }: { sessionId?: string }): string => sessionId;

/**
 * What a device shares with the others of its player, over a feed that was made with `device`:
 * `new Devices(craftnet.queue(playerId, { device: "phone" }))`. Make it right after the feed.
 */
export class Devices extends Emitter<DevicesEvents> {
  /** The name of this device. */
  readonly name: string;
  #feed: AnyFeed & Pick<Queue, "send">;
  #registered = false;
  #devices: readonly Device[] = [];
  #cursors = new Map<string, Cursor>(); // how far any device is, by feed
  #reported = new Map<string, Cursor>(); // how far this device is, until the server shows that it knows
  #unsent = new Set<string>();
  #pause = new Alarm();
  #paused = false;
  #stops: (() => void)[];

  constructor(feed: Queue | Player) {
    super();
    const { device } = feed.target as { device?: string };
    if (!device) throw new TypeError('the feed has no device: make it with { device: "phone" }, for example');
    this.name = device.normalize("NFC"); // as the server keeps it
    this.#feed = feed as AnyFeed & Pick<Queue, "send">;
    this.#stops = [
      this.#feed.on("message", ({ arrival }) => {
        const message = typeof arrival === "string" && deviceMessage(arrival);
        if (message) this.#take(message);
      }),
      this.#feed.on("state", ({ to }) => this.#became(to)),
    ];
  }

  /** Whether the server has registered this device on the present connection: one without `--devices` does not. */
  get registered(): boolean {
    return this.#registered;
  }

  /** All devices of the player as last heard, this one included. */
  get devices(): readonly Device[] {
    return this.#devices;
  }

  /** How far any device has seen and dismissed each feed. */
  get cursors(): readonly Cursor[] {
    return [...this.#cursors.values()];
  }

  /**
   * Reports that the message at `position`, and all before it, have been shown. `sessionId` names its craft; none for a
   * message of the queue. What cannot be sent now is sent when the device is registered.
   */
  seen(position: string | null, sessionId?: string): void {
    this.#report(cursorAt(position, false, sessionId));
  }

  /** Reports that the player has dismissed the message at `position`, and all before it; else as `seen`. */
  dismiss(position: string | null, sessionId?: string): void {
    this.#report(cursorAt(position, true, sessionId));
  }

  /** Whether any device has seen the message at `position`. */
  isSeen(position: string | null, sessionId?: string): boolean {
    return this.#known(cursorAt(position, false, sessionId));
  }

  /** Whether any device has dismissed the message at `position`. */
  isDismissed(position: string | null, sessionId?: string): boolean {
    return this.#known(cursorAt(position, true, sessionId));
  }

  /** Listens to the feed no longer. The device stays registered until the feed is closed. */
  close(): void {
    for (const stop of this.#stops) stop();
    this.#pause.clear();
  }

  #known(cursor: Cursor | null): boolean {
    if (!cursor) return false;
    const key = keyOf(cursor);
    return covers(this.#cursors.get(key), cursor) || covers(this.#reported.get(key), cursor);
  }

  #report(cursor: Cursor | null): void {
    if (!cursor) return;
    const key = keyOf(cursor);
    const before = this.#reported.get(key);
    if (covers(before, cursor) || covers(this.#own.get(key), cursor)) return;
    this.#reported.delete(key);
    this.#reported.set(key, further(before, cursor));
    if (this.#reported.size > MOST_FEEDS) this.#reported.delete(this.#reported.keys().next().value!);
    this.#unsent.add(key);
    this.#flush();
  }

  /** What the server last said that this device has seen and dismissed. */
  get #own(): Map<string, Cursor> {
    const own = this.#devices.find(({ name }) => name === this.name);
    return new Map(own?.cursors.map((cursor) => [keyOf(cursor), cursor]));
  }

  /** Sends what was reported of one feed. */
  #flush(): void {
    const [key] = this.#unsent;
    if (this.#paused || !this.#registered || key === undefined) return;
    const cursor = this.#reported.get(key);
    for (const text of cursor ? reports(cursor) : []) if (!this.#feed.send(text)) return;
    this.#unsent.delete(key);
    this.#rest(PAUSE);
  }

  #rest(milliseconds: number): void {
    this.#paused = true;
    this.#pause.set(milliseconds, () => {
      this.#paused = false;
      this.#flush();
    });
  }

  #take(message: DeviceMessage): void {
    if (message.type === "devices") {
      const { devices, cursors } = message;
      const before = this.#cursors;
      this.#devices = devices;
      this.#cursors = new Map(cursors.map((cursor) => [keyOf(cursor), cursor]));
      const fresh = !this.#registered;
      this.#registered = true;
      this.#forgetKnown();
      // A report on an earlier connection may not have arrived.
      if (fresh) this.#unsent = new Set(this.#reported.keys());
      this.emit("devices", devices);
      for (const cursor of cursors) if (!covers(before.get(keyOf(cursor)), cursor)) this.emit("cursor", { cursor });
      this.#flush();
    } else if (message.type === "device_cursor") {
      const { device, cursor } = message;
      this.#cursors.set(keyOf(cursor), cursor);
      this.emit("cursor", { cursor, device });
    } else this.#refused(message);
  }

  /** Forgets reports that the server has kept. */
  #forgetKnown(): void {
    const own = this.#own;
    for (const [key, cursor] of this.#reported) if (covers(own.get(key), cursor)) this.#reported.delete(key);
  }

  #refused({ code, message }: DeviceRefusal): void {
    if (code === UNAVAILABLE) {
      this.#unsent = new Set(this.#reported.keys());
      this.#rest(AGAIN);
    } else {
      // What was sent is wrong, such as a position of another epoch: it is not sent again.
      for (const key of [...this.#reported.keys()]) if (!this.#unsent.has(key)) this.#reported.delete(key);
    }
    this.emit("refused", { code, message });
  }

  #became(state: FeedState): void {
    if (state === "live") return;
    this.#registered = false;
    if (state === "ended") this.close();
  }
}

export type { Cursor, Device, DeviceRefusal } from "./core/devices.js";
