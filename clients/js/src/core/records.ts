/** The records of `craftnet.bin.v1`: 48 bytes of a progress, or the changes of materials. Pure. */

import type { ProgressModel, Status } from "./model.js";

const [PROGRESS, MATERIALS] = [1, 2];
const UNKNOWN = 0xffffffff;
const [HEADER, ROW] = [32, 24];
const STATUSES: Record<number, Status> = { 0: "active", 1: "paused", 2: "interrupted", 4: "completed", 8: "failed" };
const REMOVED = 1;

/** What a material is now, or that it is gone. */
export interface MaterialChange {
  readonly id: string;
  readonly removed: boolean;
  readonly quantity: number | null;
  readonly quality: number | null;
}

export interface ProgressRecord {
  readonly sessionId: string;
  readonly progress: ProgressModel;
}

export interface MaterialsRecord {
  readonly sessionId: string;
  /** When the server told it, Unix milliseconds. */
  readonly sent: number;
  readonly changes: readonly MaterialChange[];
}

const uuid = (octets: Uint8Array, at: number): string =>
  Array.from(octets.subarray(at, at + 16), (octet) => octet.toString(16).padStart(2, "0"))
    .join("")
    .replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");

/** What a record says. Throws RangeError for octets that are none. */
export function readRecord(octets: Uint8Array): ProgressRecord | MaterialsRecord {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const type = view.getUint8(0);
  if (view.getUint8(1) !== 16 || view.getUint16(2) !== octets.length) throw new RangeError("not a record of version 1");
  const sent = view.getUint32(8) * 2 ** 32 + view.getUint32(12);
  const sessionId = uuid(octets, 16);
  for (let at = type === PROGRESS ? 41 : HEADER + 22; at < octets.length; at += type === PROGRESS ? 1 : ROW) {
    if (octets[at]) throw new RangeError("reserved bytes that are not 0");
  }
  if (type === PROGRESS) return { sessionId, progress: readProgress(view, sent) };
  if (type !== MATERIALS) throw new RangeError(`no record has the type ${type}`);
  const changes: MaterialChange[] = [];
  for (let at = HEADER; at < octets.length; at += ROW) changes.push(readChange(octets, view, at));
  return { sessionId, sent, changes };
}

function readProgress(view: DataView, anchor: number): ProgressModel {
  const remaining = view.getUint32(36);
  const status = STATUSES[view.getUint8(40)];
  if (!status) throw new RangeError("flags that exclude each other");
  return {
    status,
    percent: view.getUint16(32) / 100,
    anchor,
    remaining: remaining === UNKNOWN ? null : remaining / 1000,
    quality: view.getUint8(34) || null,
    targetQuality: view.getUint8(35) || null,
    failureReason: null,
  };
}

function readChange(octets: Uint8Array, view: DataView, at: number): MaterialChange {
  const quantity = view.getUint32(at + 16);
  return {
    id: uuid(octets, at),
    removed: view.getUint8(at + 20) === REMOVED,
    quantity: quantity === UNKNOWN ? null : quantity,
    quality: view.getUint8(at + 21) || null,
  };
}

