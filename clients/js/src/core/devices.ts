/** What the devices of a player share, as messages of a feed state it. Pure. */

/** How far one feed was seen and dismissed: versions of `epoch`, 0 for nothing yet. What is dismissed was seen. */
export interface Cursor {
  /** The craft of the feed; missing for the player's queue. */
  readonly sessionId?: string;
  readonly epoch: string;
  readonly seen: number;
  readonly dismissed: number;
}

/** One device of a player. */
export interface Device {
  readonly name: string;
  /** Whether it is connected, or was within the last 10 seconds. */
  readonly online: boolean;
  /** When that last changed: Unix milliseconds on the server's clock. */
  readonly since: number;
  /** What it has seen and dismissed itself. */
  readonly cursors: readonly Cursor[];
}

/** Why the server refused to register a device, or a report; the feed goes on. */
export interface DeviceRefusal {
  /** The HTTP status of such a refusal. */
  readonly code: number;
  readonly message: string;
}

export type DeviceMessage =
  | { readonly type: "devices"; readonly devices: readonly Device[]; readonly cursors: readonly Cursor[] }
  | { readonly type: "device_cursor"; readonly device: string; readonly cursor: Cursor }
  | ({ readonly type: "device_refused" } & DeviceRefusal);

const cursorOf = ({ session_id, epoch, seen = 0, dismissed = 0 }: any): Cursor => ({
  ...(session_id && { sessionId: session_id }),
  epoch,
  seen,
  dismissed,
});

const cursorsOf = ({ cursors = [] }: any): Cursor[] => cursors.map(cursorOf);

/** What a text message says about devices; null for one about something else. */
export function deviceMessage(text: string): DeviceMessage | null {
  if (!text.startsWith('{"type":"device')) return null;
  const message = JSON.parse(text);
  const { type, device, code } = message;
  if (type === "devices") {
    const devices = message.devices.map(({ name, online, since, ...more }: any) => {
      return { name, online, since: Date.parse(since), cursors: cursorsOf(more) };
    });
    return { type, devices, cursors: cursorsOf(message) };
  }
  if (type === "device_cursor") return { type, device, cursor: cursorOf(message.cursor) };
  return type === "device_refused" ? { type, code, message: message.message } : null;
}

/** How far a position is seen, or dismissed; null for one that has no version. */
export function cursorAt(position: string | null, dismissed: boolean, sessionId?: string): Cursor | null {
  const [epoch = "", digits] = position?.split(":") ?? [];
  const seen = Number(digits);
  return seen > 0 ? { ...(sessionId && { sessionId }), epoch, seen, dismissed: dismissed ? seen : 0 } : null;
}

/** The further one of two cursors of a feed: of another epoch, the second. */
export function further(one: Cursor | undefined, other: Cursor): Cursor {
  if (one?.epoch !== other.epoch) return other;
  return { ...other, seen: Math.max(one.seen, other.seen), dismissed: Math.max(one.dismissed, other.dismissed) };
}

/** Whether `cursor` is as far as `wanted`. */
export const covers = (cursor: Cursor | undefined, { epoch, seen, dismissed }: Cursor): boolean =>
  cursor?.epoch === epoch && cursor.seen >= seen && cursor.dismissed >= dismissed;

/** The text messages that report a cursor. */
export function reports({ sessionId, epoch, seen, dismissed }: Cursor): string[] {
  const report = (type: string, version: number): string =>
    JSON.stringify({ type, epoch, version, ...(sessionId && { session_id: sessionId }) });
  return [...(dismissed ? [report("dismissed", dismissed)] : []), ...(seen > dismissed ? [report("seen", seen)] : [])];
}
