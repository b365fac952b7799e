/** What the admin API answers and sends; docs/reference/admin.md describes every field. */

export interface Promises {
  websocket_delivery_ms: number;
  udp_delivery_ms: number;
  session_memory_bytes: number;
  session_bytes_per_second: number;
}

export interface AdminInfo {
  node: string;
  version: string;
  mode: "read-only" | "on";
  may_operate: boolean;
  promises: Promises;
}

export interface Latency {
  count: number;
  p50_ms?: number;
  p99_ms?: number;
}

export interface Figures {
  connections: Record<string, number>;
  watchers: Record<string, number>;
  sessions: number;
  events_per_second: number;
  deliveries_per_second: number;
  bytes_per_second?: number;
  delivery: Record<string, Latency>;
  round_trip: Latency;
  loop_delay: Latency;
  memory_bytes: number;
  session_memory_bytes?: number;
  returns: number;
  recovered_ratio?: number;
  refusals: Record<string, number>;
}

export interface NodeOverview {
  node: string;
  answering: boolean;
  timestamp: string;
  version: string;
  uptime_seconds: number;
  ready: boolean;
  draining: boolean;
  state: { backend: string; shared: boolean; epoch?: string; stalled?: string; response_time_ms?: number };
  figures: Figures;
  /** Absent in what an older node says. */
  limits?: Record<string, { used: number; limit: number }>;
}

export interface Overview {
  timestamp: string;
  windows: { rates_seconds: number; latencies_seconds: number; counts_seconds: number };
  total: Figures;
  nodes: NodeOverview[];
}

export interface OverviewSeries {
  until: string;
  step_seconds: number;
  values: Record<string, (number | null)[]>;
}

export type Status = "active" | "paused" | "interrupted" | "completed" | "failed";

export interface CraftProgress {
  status: Status;
  at: string;
  percent: number;
  remaining_seconds?: number;
  quality?: number;
  target_quality?: number;
  failure_reason?: string;
}

export interface SessionRow {
  session_id: string;
  player_id: string;
  recipe_id?: string;
  changes: number;
  progress: CraftProgress;
}

export interface SessionPage {
  sessions: SessionRow[];
  next?: string;
}

export interface ConnectionRow {
  connection: string;
  node: string;
  transport: string;
  feed: string;
  encoding: string;
  address: string;
  expires: string;
  session_id?: string;
  player_id?: string;
  client?: string;
  token_id?: string;
  round_trip_ms?: number;
  loss?: number;
  waiting_updates?: number;
  waiting_bytes?: number;
  lag_seconds?: number;
}

export interface MaterialRow {
  material_id: string;
  quantity: number;
  quality?: number;
  problem?: {
    notification_type: string;
    required_quantity?: number;
    available_quantity?: number;
    required_quality?: number;
    available_quality?: number;
  };
}

export interface QueueRow {
  player_id: string;
  queue_position: number;
  since: string;
  station_type?: string;
  total_in_queue?: number;
  estimated_wait_seconds?: number;
  jump_queue_cost?: number;
  session_id?: string;
}

export interface QueuePage {
  entries: QueueRow[];
  next?: string;
}

export interface HistoryEntry {
  timestamp: string;
  kind: "event" | "materials" | "queue";
  text: string;
  version?: number;
}

export interface SessionDetail {
  session: SessionRow;
  materials: MaterialRow[];
  queue: QueueRow[];
  watchers: ConnectionRow[];
  history: HistoryEntry[];
  position?: string;
}

export interface TokenRow {
  connections: number;
  expires: string;
  scopes: string[];
  token_id?: string;
  issued?: string;
}

export interface DeviceRow {
  address: string;
  connections: number;
  transports: string[];
  client?: string;
}

export interface PlayerDetail {
  player_id: string;
  sessions: SessionRow[];
  queue: QueueRow[];
  connections: ConnectionRow[];
  tokens: TokenRow[];
  devices: DeviceRow[];
}

export interface SlowConsumers {
  connections: ConnectionRow[];
  closed: number;
}

export interface AuditEntry {
  timestamp: string;
  node: string;
  event: string;
  fields?: Record<string, unknown>;
}

export interface SecurityEventPage {
  events: AuditEntry[];
}

export interface Configuration {
  node: string;
  options: { option: string; value?: string; default?: boolean }[];
}

export interface HealthResponse {
  status: "ok" | "degraded" | "critical";
  timestamp: string;
  message?: string;
  version?: string;
  uptime?: number;
  checks?: Record<string, { status: string; message?: string; response_time?: number }>;
}

export interface AdminHealth {
  nodes: { node: string; reports: Record<string, HealthResponse> }[];
}

export interface TraceEntry {
  timestamp: string;
  node: string;
  direction: "in" | "out";
  kind: "datagram" | "event" | "frame" | "stream";
  bytes: number;
  name: string;
  connection?: string;
  transport?: string;
  encoding?: string;
  outcome?: string;
  waits?: boolean;
  content?: unknown;
}

/** Every view that a client may subscribe to, and what it shows. */
export interface Views {
  sessions: SessionPage;
  session: SessionDetail;
  queues: QueuePage;
  player: PlayerDetail;
  "slow-consumers": SlowConsumers;
  "security-events": SecurityEventPage;
  health: AdminHealth;
}

export type ViewName = keyof Views;

export interface ViewRequest {
  view: ViewName;
  session_id?: string;
  player_id?: string;
  search?: string;
  station_type?: string;
  limit?: number;
  cursor?: string;
}

export type ServerMessage =
  | { type: "hello"; timestamp: string; info: AdminInfo }
  | { type: "series"; timestamp: string; series: OverviewSeries }
  | { type: "overview"; timestamp: string; overview: Overview; point: Record<string, number> }
  | { type: "view"; id: string; timestamp: string; view: ViewName; data: unknown }
  | { type: "trace"; id: string; timestamp: string; entries: TraceEntry[]; dropped: number }
  | { type: "error"; timestamp: string; code: number; message: string; id?: string };
