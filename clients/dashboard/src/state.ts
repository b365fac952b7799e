/** What the page knows: a pure function of the server's messages and of time. */

import type {
  AdminInfo,
  CraftProgress,
  NodeOverview,
  Overview,
  OverviewSeries,
  ServerMessage,
  TraceEntry,
  ViewName,
  ViewRequest,
} from "./messages";

/** Entries of a trace that are kept. */
export const TRACE_LENGTH = 500;

/** Milliseconds without a message after which figures count as stale: the server sends one each second. */
export const STALE_AFTER = 5_000;

export type Connection =
  | { readonly phase: "connecting" }
  | { readonly phase: "live" }
  | { readonly phase: "waiting"; readonly until: number; readonly reason: string }
  | { readonly phase: "ended"; readonly reason: string };

export interface Series {
  /** The end of the last complete step, Unix milliseconds. */
  readonly until: number;
  /** Milliseconds. */
  readonly step: number;
  readonly values: Readonly<Record<string, readonly (number | null)[]>>;
  /** The newest values, whose step is not complete. */
  readonly point: Readonly<Record<string, number>>;
}

export interface View {
  readonly request: ViewRequest;
  readonly data?: unknown;
  /** Why there is nothing to show. */
  readonly error?: string;
}

export interface Trace {
  readonly session: string;
  readonly entries: readonly TraceEntry[];
  readonly dropped: number;
  readonly error?: string;
}

export interface State {
  readonly connection: Connection;
  readonly info?: AdminInfo;
  readonly overview?: Overview;
  readonly series?: Series;
  /** The series of each node, which begin with the page. */
  readonly nodes: Readonly<Record<string, Series>>;
  readonly views: Readonly<Record<string, View>>;
  readonly traces: Readonly<Record<string, Trace>>;
  /** When the last message came, on the page's clock; undefined before the first. */
  readonly heard?: number;
  /** Milliseconds by which the server's clock is ahead of the page's. */
  readonly ahead: number;
}

export const initial: State = { connection: { phase: "connecting" }, nodes: {}, views: {}, traces: {}, ahead: 0 };

/** The series as the server sent it. */
function started(series: OverviewSeries): Series {
  return { until: Date.parse(series.until), step: series.step_seconds * 1000, values: series.values, point: {} };
}

/** The series with the newest point: a step that has ended keeps the last value that it had. */
export function advanced(series: Series, point: Readonly<Record<string, number>>, now: number): Series {
  let { until, values } = series;
  const last = Object.keys(series.point).length > 0 ? series.point : point;
  while (now >= until + series.step) {
    until += series.step;
    values = Object.fromEntries(
      Object.entries(values).map(([name, kept]) => [name, [...kept.slice(1), last[name] ?? null]]),
    );
    if (now - until > series.step * 1000) until = now - ((now - until) % series.step); // the page slept for long
  }
  return { ...series, until, values, point };
}

/** Steps of the series of a node: three minutes, since nothing is known of the time before the page was opened. */
const NODE_STEPS = 36;
const NODE_STEP = 5_000; // milliseconds

/** The figures of a node that are drawn over time. */
function nodePoint({ figures }: NodeOverview): Record<string, number> {
  const measured = {
    websocket_p99_ms: figures.delivery["websocket"]?.p99_ms,
    udp_p99_ms: figures.delivery["udp"]?.p99_ms,
    loop_delay_p99_ms: figures.loop_delay.p99_ms,
  };
  return {
    connections: Object.values(figures.connections).reduce((sum, count) => sum + count, 0),
    deliveries_per_second: figures.deliveries_per_second,
    events_per_second: figures.events_per_second,
    memory_bytes: figures.memory_bytes,
    ...Object.fromEntries(Object.entries(measured).filter(([, value]) => value !== undefined)),
  };
}

const NODE_VALUES = [
  ...["connections", "deliveries_per_second", "events_per_second", "memory_bytes"],
  ...["websocket_p99_ms", "udp_p99_ms", "loop_delay_p99_ms"],
];

/** The series of the nodes that answer, with their newest points. Those of nodes that are gone are dropped. */
function nodeSeries(series: State["nodes"], nodes: readonly NodeOverview[], now: number): State["nodes"] {
  const empty = (): Series => {
    const values = Object.fromEntries(NODE_VALUES.map((name) => [name, Array<null>(NODE_STEPS).fill(null)]));
    return { until: now, step: NODE_STEP, values, point: {} };
  };
  return Object.fromEntries(
    nodes.map((node) => {
      const known = series[node.node] ?? empty();
      return [node.node, advanced(known, node.answering ? nodePoint(node) : {}, now)];
    }),
  );
}

function without<T>(record: Readonly<Record<string, T>>, key: string): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));
}

/** The state after a message that came at `now`, Unix milliseconds on the page's clock. */
export function received(state: State, message: ServerMessage, now: number): State {
  const base: State = { ...state, heard: now, ahead: Date.parse(message.timestamp) - now };
  switch (message.type) {
    case "hello":
      return { ...base, connection: { phase: "live" }, info: message.info };
    case "series":
      return { ...base, series: started(message.series) };
    case "overview": {
      const { overview, point } = message;
      const at = Date.parse(message.timestamp);
      const series = state.series && advanced(state.series, point, at);
      return { ...base, overview, nodes: nodeSeries(state.nodes, overview.nodes, at), ...(series ? { series } : {}) };
    }
    case "view": {
      const view = state.views[message.id];
      if (!view || view.request.view !== message.view) return base; // unsubscribed meanwhile
      return { ...base, views: { ...state.views, [message.id]: { request: view.request, data: message.data } } };
    }
    case "trace": {
      const trace = state.traces[message.id];
      if (!trace) return base;
      const entries = [...trace.entries, ...message.entries].slice(-TRACE_LENGTH);
      const next = { ...trace, entries, dropped: trace.dropped + message.dropped };
      return { ...base, traces: { ...state.traces, [message.id]: next } };
    }
    case "error": {
      const { id, message: error } = message;
      if (id === undefined) return base;
      const [view, trace] = [state.views[id], state.traces[id]];
      if (view) return { ...base, views: { ...state.views, [id]: { ...view, error } } };
      if (trace) return { ...base, traces: { ...state.traces, [id]: { ...trace, error } } };
      return base;
    }
    default:
      return base; // a newer server
  }
}

export function viewed(state: State, id: string, request: ViewRequest): State {
  return { ...state, views: { ...state.views, [id]: { request } } };
}

export function traced(state: State, id: string, session: string): State {
  return { ...state, traces: { ...state.traces, [id]: { session, entries: [], dropped: 0 } } };
}

export function dropped(state: State, id: string): State {
  return { ...state, views: without(state.views, id), traces: without(state.traces, id) };
}

/** What the page says about its own figures at `now`. */
export function freshness(state: State, now: number): "live" | "stale" | "disconnected" | "loading" {
  if (state.connection.phase === "waiting" || state.connection.phase === "ended") return "disconnected";
  if (state.heard === undefined || !state.overview) return "loading";
  return now - state.heard > STALE_AFTER ? "stale" : "live";
}

/** The percentage of a craft at `now`, on the server's clock. */
export function percentAt(progress: CraftProgress, now: number): number {
  const { percent, remaining_seconds: remaining, status } = progress;
  if (status === "completed") return 100;
  if (status !== "active" || remaining === undefined) return percent;
  if (remaining <= 0) return 100;
  const passed = Math.max(0, now - Date.parse(progress.at)) / 1000;
  return Math.min(100, percent + ((100 - percent) * passed) / remaining);
}

/** Seconds that a craft still takes at `now`; undefined where that is not known. */
export function remainingAt(progress: CraftProgress, now: number): number | undefined {
  if (progress.remaining_seconds === undefined || progress.status === "completed" || progress.status === "failed")
    return undefined;
  const passed = progress.status === "active" ? Math.max(0, now - Date.parse(progress.at)) / 1000 : 0;
  return Math.max(0, progress.remaining_seconds - passed);
}

/** Sessions below which the memory for each says nothing: most of it is that of the program itself. */
export const ENOUGH_SESSIONS = 1000;

/** The series of memory for each session, which follows from two others. */
export function memoryPerSession(series: Series): (number | null)[] {
  const { memory_bytes: memory = [], sessions = [] } = series.values;
  return memory.map((bytes, index) => {
    const count = sessions[index];
    return bytes === null || !count || count < ENOUGH_SESSIONS ? null : bytes / count;
  });
}

/** The view that a subscription shows, typed by its name. */
export const dataOf = <Name extends ViewName>(view: View | undefined, _name: Name) =>
  view?.data as import("./messages").Views[Name] | undefined;

/** The fragment of an address without the token in it, and that token. */
export function withoutToken(fragment: string): [page: string, token: string | undefined] {
  const parts = fragment.replace(/^#/, "").split(/[&?]/);
  const token = parts.find((part) => part.startsWith("token="))?.slice("token=".length);
  const page = parts.filter((part) => part && !part.startsWith("token=")).join("&");
  return [page && `#${page}`, token || undefined];
}
