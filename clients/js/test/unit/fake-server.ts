/** The far end of feeds under test: a transport whose connections the test answers, and messages as the server makes them. */

import { vi } from "vitest";

import {
  Craftnet,
  type Craft,
  type StateChange,
  type Arrival,
  type Ending,
  type Link,
  type Listener,
  type Options,
  type Request,
  type Transport,
} from "../../src/index.js";

export const SESSION = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
export const PLAYER = "11111111-1111-4111-8111-111111111111";
export const IRON = "22222222-2222-4222-8222-222222222222";

/** One connection that a feed has opened. */
export class Connection {
  closed = false;
  /** The text messages that the feed has sent. */
  received: string[] = [];
  offered: string[] = [];
  answers = true;

  constructor(
    readonly request: Request,
    readonly listener: Listener,
    private readonly canRenew: boolean,
  ) {}

  close(): void {
    this.closed = true;
  }

  offer(token: string): boolean {
    this.offered.push(token);
    if (this.answers) this.listener.alive();
    return this.canRenew;
  }

  send(...arrivals: (Arrival | object)[]): void {
    for (const each of arrivals)
      this.listener.arrived(typeof each === "string" || "applyTo" in each ? (each as Arrival) : JSON.stringify(each));
  }

  end(code: number, reason = "", retryAfter?: number): void {
    const ending: Ending = { code, reason, retryAfter };
    this.listener.ended(ending);
  }
}

export class FakeTransport implements Transport {
  connections: Connection[] = [];

  constructor(
    readonly name = "fake",
    private readonly canRenew = true,
  ) {}

  supports(): boolean {
    return true;
  }

  open(request: Request, listener: Listener): Link {
    const connection = new Connection(request, listener, this.canRenew);
    this.connections.push(connection);
    return {
      close: () => connection.close(),
      offer: (token) => connection.offer(token),
      send: (text) => void connection.received.push(text),
    };
  }

  get newest(): Connection {
    return this.connections.at(-1)!;
  }
}

/** The time that fake timers show, as the server writes it. */
export const timestamp = (ahead = 0): string => new Date(Date.now() + ahead).toISOString();

const common = (version: number, more: object) => ({
  session_id: SESSION,
  timestamp: timestamp(),
  epoch: "e",
  version,
  ...more,
});

export const returned = (version: number, recovered: boolean): object =>
  common(version, { type: "queue_status", recovered });

export const heartbeat = (version: number): object => common(version, { type: "progress_update" });

export function progress(
  version: number,
  percent: number,
  remaining: number | undefined,
  status = "active",
  more: object = {},
): object {
  const ends: Record<string, string> = { completed: "crafting_complete", failed: "crafting_failed" };
  const data = {
    session_id: SESSION,
    progress_percentage: percent,
    status,
    remaining_time_seconds: remaining,
    ...more,
  };
  return common(version, { type: ends[status] ?? "progress_update", progress_data: data });
}

export const notification = (version: number, type: string, more: object = {}): object =>
  common(version, {
    type: "material_notification",
    material_data: { material_id: IRON, notification_type: type, ...more },
  });

export const queued = (version: number, position: number): object =>
  common(version, {
    type: "queue_status",
    queue_data: { player_id: PLAYER, queue_position: position, station_type: "laboratory", estimated_wait_seconds: 9 },
  });

/** A JWT without a valid signature. */
export function jwt(iat: number, exp: number): string {
  const claims = btoa(JSON.stringify({ sub: PLAYER, iat, exp }))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
  return `e30.${claims}.sig`;
}

/** A client over fake transports; its backoff waits the whole bound. */
export function client(
  options: Partial<Options> = {},
  transports: FakeTransport[] = [new FakeTransport()],
): { craftnet: Craftnet; server: FakeTransport } {
  vi.spyOn(Math, "random").mockReturnValue(1);
  const craftnet = new Craftnet("https://craft.example/", { getToken: () => "token", transports, ...options });
  return { craftnet, server: transports[0]! };
}

/** Lets promises that are resolved go on. */
export const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

/** Every state that a feed enters, with what led there. */
export function statesOf(craft: Craft): StateChange[] {
  const states: StateChange[] = [];
  craft.on("state", (change) => states.push(change));
  return states;
}

/** A client, the server's end, and one feed with the states that it entered. */
export interface Begun {
  craftnet: Craftnet;
  server: FakeTransport;
  craft: Craft;
  states: StateChange[];
  to: () => string[];
}

/** A client whose feed of a craft is connecting, and every state that it enters. */
export async function begun(options: Parameters<typeof client>[0] = {}, transports?: FakeTransport[]): Promise<Begun> {
  const { craftnet, server } = client(options, transports);
  const craft = craftnet.crafting(SESSION, { playerId: PLAYER });
  const states = statesOf(craft);
  await settle();
  return { craftnet, server, craft, states, to: () => states.map(({ to }) => to) };
}

/** The same with a feed that is live, at 20 %. */
export async function live(options: Parameters<typeof client>[0] = {}, transports?: FakeTransport[]): Promise<Begun> {
  const all = await begun(options, transports);
  all.server.newest.send(returned(1, false), progress(2, 20, 40));
  return all;
}
