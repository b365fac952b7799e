/** The server's messages, as JSON has them, and what they mean. Pure. */

import type { Material, ProblemType, ProgressModel, QueuePlace, Station, Status } from "./model.js";

interface ProgressData {
  progress_percentage: number;
  status: Status;
  remaining_time_seconds?: number;
  current_quality?: number;
  target_quality?: number;
  failure_reason?: string;
  expected_seconds_p50?: number;
  expected_seconds_p90?: number;
}

interface MaterialData {
  material_id: string;
  notification_type: ProblemType | "material_restored";
  required_quantity?: number;
  available_quantity?: number;
  required_quality?: number;
  available_quality?: number;
}

interface QueueData {
  player_id: string;
  queue_position: number;
  total_in_queue?: number;
  estimated_wait_seconds?: number;
  station_type?: Station;
  can_jump_queue?: boolean;
  jump_queue_cost?: number;
}

export type HealthStatus = "ok" | "degraded" | "critical";

/** A health report in the contract's own words. */
export interface HealthReport {
  readonly status: HealthStatus;
  readonly timestamp: string;
  readonly message?: string;
  readonly version?: string;
  readonly uptime?: number;
  readonly checks?: Readonly<
    Record<string, { readonly status: HealthStatus; readonly message?: string; readonly response_time?: number }>
  >;
}

export type QueueNews = "queue_position" | "station_available" | "priority_boost" | "queue_timeout";
export type HealthNews = "health_update" | "health_alert" | "service_down";

/** A message of any feed. Fields that a feed does not have are missing. */
export interface Message {
  type: string;
  timestamp?: string;
  epoch?: string;
  version?: number;
  recovered?: boolean;
  progress_data?: ProgressData;
  material_data?: MaterialData;
  queue_data?: QueueData;
  session_id?: string;
  player_id?: string;
  queue_position?: number;
  estimated_wait_time?: number;
  station_type?: Station;
  health?: HealthReport;
}

/** When the server made a message, Unix milliseconds; NaN when it does not say. */
export const sentAt = (message: Message): number => Date.parse(message.timestamp!);

/** The position that a message has, as text; undefined for one that has none. */
export const positionOf = ({ epoch, version }: Message): string | undefined => epoch && `${epoch}:${version}`;

export function progressOf(data: ProgressData, anchor: number): ProgressModel {
  return {
    status: data.status,
    percent: data.progress_percentage,
    anchor,
    remaining: data.remaining_time_seconds ?? null,
    quality: data.current_quality ?? null,
    targetQuality: data.target_quality ?? null,
    failureReason: data.failure_reason ?? null,
    ...(data.expected_seconds_p50 != null && {
      expected: { p50: data.expected_seconds_p50, p90: data.expected_seconds_p90! },
    }),
  };
}

/** The values that there are, by the contract's names as JavaScript writes them: `queue_position` is `queuePosition`. */
const camelCased = (data: object): any =>
  Object.fromEntries(
    Object.entries(data)
      .filter(([, value]) => value != null)
      .map(([name, value]) => [name.replace(/_./g, (pair) => pair[1]!.toUpperCase()), value]),
  );

/** A material with the problem that a notification reports; without one when it is restored. */
export function notified(held: Readonly<Record<string, Material>>, data: MaterialData): Material {
  const { materialId: id, notificationType: type, ...numbers } = camelCased(data);
  const { quantity = null, quality = null } = held[id] ?? {};
  return { id, quantity, quality, problem: type === "material_restored" ? null : { type, ...numbers } };
}

/** A place as the crafting feed sends it. */
export const placeOf: (data: QueueData) => QueuePlace = camelCased;

/** A place as the queue feed sends it. */
export const placeIn = ({ player_id, queue_position, station_type, estimated_wait_time }: Message): QueuePlace =>
  camelCased({ player_id, queue_position, station_type, estimated_wait_seconds: estimated_wait_time });
