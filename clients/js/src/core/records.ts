/** The records of `craftnet.bin.v1`: a progress, or the changes of materials. Pure. */

import {
  CHANGE_ROW_SIZE,
  decodeChangeRow,
  decodeHeader,
  decodeProgressBody,
  HEADER_SIZE,
  PROGRESS_BODY_SIZE,
  refuseUnless,
  type ChangeRow,
  type Header,
  type ProgressBody,
} from "../wire.js";

const [VERSION, PROGRESS, MATERIALS] = [1, 1, 2];
const MOST_CHANGES = 200;
const ALONE = 4 | 8; // flags that allow no other

export type PostedRecord =
  | { readonly header: Header; readonly progress: ProgressBody }
  | { readonly header: Header; readonly changes: readonly ChangeRow[] };

/** What a record says. Throws Refused. */
export function readRecord(octets: Uint8Array): PostedRecord {
  const header = decodeHeader(octets);
  refuseUnless(header.version === VERSION, "reserved");
  refuseUnless(header.length >= octets.length, "trailing");
  refuseUnless(header.length === octets.length, "truncated");
  refuseUnless(!/^[0-]+$/.test(header.sessionId), "out_of_range");
  refuseUnless(header.packetType === PROGRESS || header.packetType === MATERIALS, "type");
  const left = octets.length - HEADER_SIZE;
  if (header.packetType === MATERIALS) {
    const rows = left / CHANGE_ROW_SIZE;
    refuseUnless(Number.isInteger(rows) && rows <= MOST_CHANGES, "out_of_range");
    return {
      header,
      changes: Array.from({ length: rows }, (_, k) => decodeChangeRow(octets, HEADER_SIZE + k * CHANGE_ROW_SIZE)),
    };
  }
  refuseUnless(left <= PROGRESS_BODY_SIZE, "trailing");
  const progress = decodeProgressBody(octets, HEADER_SIZE);
  const { flags } = progress;
  refuseUnless(flags < 16, "reserved");
  refuseUnless(!(flags & ALONE) || (flags & (flags - 1)) === 0, "contradictory");
  return { header, progress };
}
