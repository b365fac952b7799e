export { udp } from "./transport.js";
export { Client, ENDINGS, type Agreement, type UdpEvent } from "./client.js";
export { connect, ConnectError, type ConnectOptions, type Watched } from "./connect.js";
export type { Table, TableRow } from "./materials.js";
export { materialsRecord, progressRecord, type RecordHeader } from "./posted.js";
export type { HeldProgress, SessionNews } from "./session.js";
export { addresses, now, Socket } from "./socket.js";
export { SessionsConnection, Watching, type Account, type WatchEvent } from "./watching.js";
export { Shown } from "../core/model.js";
