/** Records that a player or an authority posts over HTTP, as application/octet-stream. */

import { Reader } from "./reader.mjs";
import { demand } from "./refused.mjs";
import { UNKNOWN } from "./values.mjs";
import * as values from "./values.mjs";

const [PROGRESS, MATERIALS] = [1, 2];
const VERSION = 1 << 4;
const CHANGES = ["added", "removed", "quantity_changed", "quality_changed"];
const MOST_ROWS = 200;
const [HEADER, ROW, PROGRESS_BODY] = [32, 24, 16];
const OVER = 4 | 8; // flags that stand alone
const END_OF_TIME = 253_402_300_800_000n;

const uuidOctets = (text) => Buffer.from(text.replaceAll("-", ""), "hex");
const NIL = "00000000-0000-0000-0000-000000000000";

function record(type, length, { sequence, timestamp_ms, session_id }) {
  const octets = Buffer.alloc(length);
  octets[0] = type;
  octets[1] = VERSION;
  octets.writeUInt16BE(length, 2);
  octets.writeUInt32BE(sequence, 4);
  octets.writeBigUInt64BE(BigInt(timestamp_ms), 8);
  uuidOctets(session_id).copy(octets, 16);
  return octets;
}

/** A progress; `remaining` is seconds or null, `flags`: 1 paused, 2 interrupted, 4 completed, 8 failed. */
export function progressRecord(values) {
  const octets = record(PROGRESS, HEADER + PROGRESS_BODY, values);
  octets.writeUInt16BE(Math.round(values.percent * 100), 32);
  octets[34] = values.quality ?? 0;
  octets[35] = values.target_quality ?? 0;
  octets.writeUInt32BE(values.remaining === null ? UNKNOWN : Math.round(values.remaining * 1000), 36);
  octets[40] = values.flags;
  return octets;
}

/** Changes of materials. */
export function materialsRecord(values) {
  const octets = record(MATERIALS, HEADER + ROW * values.changes.length, values);
  values.changes.forEach(({ material_id, change_type, new_quantity, new_quality }, k) => {
    const at = HEADER + ROW * k;
    uuidOctets(material_id).copy(octets, at);
    octets.writeUInt32BE(new_quantity ?? UNKNOWN, at + 16);
    octets[at + 20] = CHANGES.indexOf(change_type);
    octets[at + 21] = new_quality ?? 0;
  });
  return octets;
}

/** What such a record says. Throws Refused. */
export function parsePosted(octets) {
  const reader = new Reader(octets);
  const [type, version, length, sequence] = [reader.u8(), reader.u8(), reader.u16(), reader.u32()];
  const [timestamp, session_id] = [reader.u64(), reader.uuid()];
  demand(version === VERSION, "reserved");
  demand(length >= octets.length, "trailing");
  demand(length === octets.length, "truncated");
  demand(timestamp < END_OF_TIME && session_id !== NIL, "out_of_range");
  const header = { sequence, timestamp_ms: Number(timestamp), session_id };
  demand(type === PROGRESS || type === MATERIALS, "type");
  const more = type === PROGRESS ? progress(reader) : { record: "MaterialsRecord", changes: changes(reader) };
  reader.end();
  return { ...header, ...more };
}

function progress(reader) {
  const [percent, quality, target, remaining] = [reader.u16(), reader.u8(), reader.u8(), reader.u32()];
  const flags = reader.u8();
  demand(flags < 16 && reader.take(7).every((octet) => octet === 0), "reserved");
  demand(!(flags & OVER) || (flags & (flags - 1)) === 0, "contradictory");
  return {
    record: "ProgressRecord",
    percent: values.percent(percent),
    remaining: values.duration(remaining),
    quality: values.quality(quality),
    target_quality: values.quality(target),
    flags,
  };
}

function changes(reader) {
  demand(reader.left % ROW === 0 && reader.left / ROW <= MOST_ROWS, "out_of_range");
  return Array.from({ length: reader.left / ROW }, () => {
    const [material_id, quantity, change, quality] = [reader.uuid(), reader.u32(), reader.u8(), reader.u8()];
    demand(reader.u16() === 0, "reserved");
    return {
      material_id,
      change_type: values.named(CHANGES, change),
      new_quantity: values.known(quantity),
      new_quality: values.quality(quality),
    };
  });
}
