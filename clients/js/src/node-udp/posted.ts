/** Records that a player or an authority posts over HTTP, as application/octet-stream: PROTOCOL.md, "Records over HTTP". */

import {
  CHANGE_ROW_SIZE,
  encodeChangeRow,
  encodeHeader,
  encodeProgressBody,
  HEADER_SIZE,
  PROGRESS_BODY_SIZE,
  type ChangeRow,
  type Header,
  type ProgressBody,
} from "../wire.js";

/** Which record it is, and of what. `timestampMs` is Unix milliseconds. */
export type RecordHeader = Pick<Header, "sequence" | "timestampMs" | "sessionId">;

const [PROGRESS, MATERIALS, VERSION] = [1, 2, 1];

function record(packetType: number, header: RecordHeader, body: readonly Uint8Array[], size: number): Uint8Array {
  return Buffer.concat([
    encodeHeader({ ...header, packetType, version: VERSION, length: HEADER_SIZE + size }),
    ...body,
  ]);
}

/** A progress; `remaining` is seconds, `flags` are 1 paused, 2 interrupted, 4 completed, 8 failed. Throws RangeError. */
export const progressRecord = (header: RecordHeader, progress: ProgressBody): Uint8Array =>
  record(PROGRESS, header, [encodeProgressBody(progress)], PROGRESS_BODY_SIZE);

/** Changes of materials. Throws RangeError. */
export const materialsRecord = (header: RecordHeader, changes: readonly ChangeRow[]): Uint8Array =>
  record(MATERIALS, header, changes.map(encodeChangeRow), changes.length * CHANGE_ROW_SIZE);
