export { Craftnet, type CraftnetEvents } from "./craftnet.js";
export { FeedEndedError, type AnyFeed, type Ended, type FeedEvents, type FeedState, type StateChange } from "./feed.js";
export type { Craft, CraftEvents, CraftSnapshot, Health, HealthEvents, Queue, QueueEvents } from "./feeds.js";
export type { Player, PlayerEvents, PlayerOptions, PlayerSnapshot } from "./player.js";
export type { Progress } from "./progress.js";
export { UnauthorizedError, type GetToken, type TokenReason } from "./tokens.js";
export type { Options } from "./options.js";
export type { TransportName } from "./plan.js";
export type { Snapshots, SnapshotTarget } from "./snapshot.js";
export type { StorageLike, StorageOption } from "./storage.js";
export type { EndResult, Ending, ReconnectOptions } from "./core/endings.js";
export type { HealthNews, HealthReport, HealthStatus, QueueNews } from "./core/messages.js";
export type {
  Expectation,
  Material,
  Problem,
  ProblemType,
  ProgressModel,
  QueuePlace,
  Station,
  Status,
} from "./core/model.js";
export type {
  Arrival,
  CraftChange,
  Decoded,
  HealthChange,
  QueueChange,
  QueuePlaceChange,
  Recovered,
} from "./core/reduce.js";
export type { PlayerChange, PlayerCraftChange } from "./core/player.js";
export type { Link, Listener, Request, Target, Transport, WebSocketConstructor } from "./transports/transport.js";
