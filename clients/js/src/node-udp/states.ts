/** The records of a STATE: PROTOCOL.md, "STATE". Parsers throw Refused. */

import {
  BitReader,
  decodeFeedPosition,
  decodeFreshSecret,
  decodeMaterialRow,
  decodeMaterialsDelta,
  decodeMaterialsPart,
  decodeProblemRow,
  decodeProblemsPart,
  decodeProgressState,
  decodeReasonPart,
  decodeRowChange,
  decodeSelector,
  decodeSessionName,
  decodeSessionOver,
  FEED_POSITION_SIZE,
  FRESH_SECRET_SIZE,
  MATERIAL_ROW_SIZE,
  MATERIALS_DELTA_SIZE,
  MATERIALS_PART_SIZE,
  PROBLEM_ROW_SIZE,
  PROBLEMS_PART_SIZE,
  PROGRESS_STATE_SIZE,
  REASON_PART_SIZE,
  refuseUnless,
  Refused,
  SELECTOR_SIZE,
  SESSION_NAME_SIZE,
  SESSION_OVER_SIZE,
  type MaterialRow,
  type ProblemRow,
  type ProgressState,
  type RowChange,
} from "../wire.js";

export interface ReasonPart {
  readonly record: "ReasonPart";
  readonly version: number;
  readonly total: number;
  readonly offset: number;
  readonly octets: Uint8Array;
}

export interface MaterialsPart {
  readonly record: "MaterialsPart";
  readonly version: number;
  readonly rows: number;
  readonly problems: number;
  readonly first: number;
  readonly entries: readonly MaterialRow[];
}

export interface ProblemsPart {
  readonly record: "ProblemsPart";
  readonly version: number;
  readonly first: number;
  readonly entries: readonly ProblemRow[];
}

export interface MaterialsDelta {
  readonly record: "MaterialsDelta";
  readonly version: number;
  readonly back: number;
  readonly rows: number;
  readonly changes: readonly RowChange[];
}

export interface ProgressRecord extends ProgressState {
  readonly record: "ProgressState";
}

/** A record of a session's state. */
export type SessionRecord =
  | ProgressRecord
  | ReasonPart
  | MaterialsPart
  | ProblemsPart
  | MaterialsDelta
  | { readonly record: "SessionOver"; readonly reason: number }
  | { readonly record: "SessionName"; readonly sessionId: string }
  | { readonly record: "Position"; readonly epoch: string; readonly version: number };

export type StateRecord =
  | SessionRecord
  | { readonly record: "FreshSecret"; readonly secret: Uint8Array }
  | { readonly record: "Selector"; readonly session: number };

type Parsed = readonly [record: StateRecord, end: number];

const EPOCH = /^[0-9A-Za-z_-]{1,64}$/;

function part(body: Uint8Array, at: number, length: number): Uint8Array {
  refuseUnless(at + length <= body.length, "truncated");
  return body.subarray(at, at + length);
}

function rows<T>(
  body: Uint8Array,
  at: number,
  size: number,
  count: number,
  decode: (octets: Uint8Array, at: number) => T,
): T[] {
  return Array.from({ length: count }, (_, k) => decode(body, at + k * size));
}

function progress(body: Uint8Array, at: number): Parsed {
  const fields = decodeProgressState(body, at);
  refuseUnless(fields.status !== "completed" || fields.percent === 100, "contradictory");
  return [{ record: "ProgressState", ...fields }, at + PROGRESS_STATE_SIZE];
}

function reasonPart(body: Uint8Array, at: number): Parsed {
  const { length, ...fields } = decodeReasonPart(body, at);
  const octets = part(body, at + REASON_PART_SIZE, length);
  refuseUnless(length > 0 && fields.offset + length <= fields.total, "out_of_range");
  return [{ record: "ReasonPart", ...fields, octets }, at + REASON_PART_SIZE + length];
}

function materialsPart(body: Uint8Array, at: number): Parsed {
  const { count, ...fields } = decodeMaterialsPart(body, at);
  const entries = rows(body, at + MATERIALS_PART_SIZE, MATERIAL_ROW_SIZE, count, decodeMaterialRow);
  refuseUnless(fields.problems <= fields.rows && fields.first + count <= fields.rows, "out_of_range");
  refuseUnless(count > 0 || fields.rows === 0, "out_of_range");
  return [{ record: "MaterialsPart", ...fields, entries }, at + MATERIALS_PART_SIZE + count * MATERIAL_ROW_SIZE];
}

function problemsPart(body: Uint8Array, at: number): Parsed {
  const { count, ...fields } = decodeProblemsPart(body, at);
  refuseUnless(count > 0, "out_of_range");
  const entries = rows(body, at + PROBLEMS_PART_SIZE, PROBLEM_ROW_SIZE, count, decodeProblemRow);
  refuseUnless(new Set(entries.map(({ row }) => row)).size === count, "contradictory");
  return [{ record: "ProblemsPart", ...fields, entries }, at + PROBLEMS_PART_SIZE + count * PROBLEM_ROW_SIZE];
}

function delta(body: Uint8Array, at: number): Parsed {
  const { count, ...fields } = decodeMaterialsDelta(body, at);
  refuseUnless(fields.back > 0 && fields.rows > 0 && count > 0, "out_of_range");
  const bits = new BitReader(body.subarray(at + MATERIALS_DELTA_SIZE));
  const width = Math.max(1, 32 - Math.clz32(fields.rows - 1));
  const changes: RowChange[] = [];
  for (let before = -1; changes.length < count; ) {
    const change = decodeRowChange(bits, width);
    refuseUnless(change.row > before && change.row < fields.rows, "out_of_range");
    refuseUnless(Object.keys(change).length > 1, "out_of_range");
    changes.push(change);
    before = change.row;
  }
  return [{ record: "MaterialsDelta", ...fields, changes }, at + MATERIALS_DELTA_SIZE + bits.finish()];
}

function position(body: Uint8Array, at: number): Parsed {
  const { version, length } = decodeFeedPosition(body, at);
  const epoch = Buffer.from(part(body, at + FEED_POSITION_SIZE, length)).toString("latin1");
  refuseUnless(EPOCH.test(epoch), "out_of_range");
  return [{ record: "Position", epoch, version }, at + FEED_POSITION_SIZE + length];
}

const PARSERS: Readonly<Record<number, (body: Uint8Array, at: number) => Parsed>> = {
  1: progress,
  2: reasonPart,
  3: materialsPart,
  4: problemsPart,
  5: delta,
  6: (body, at) => [{ record: "FreshSecret", ...decodeFreshSecret(body, at) }, at + FRESH_SECRET_SIZE],
  7: (body, at) => [{ record: "Selector", ...decodeSelector(body, at) }, at + SELECTOR_SIZE],
  8: (body, at) => [{ record: "SessionOver", ...decodeSessionOver(body, at) }, at + SESSION_OVER_SIZE],
  9: position,
  10: (body, at) => [{ record: "SessionName", ...decodeSessionName(body, at) }, at + SESSION_NAME_SIZE],
};

/** The records of a STATE's body. Throws Refused when anything in it is wrong. */
export function parseRecords(body: Uint8Array): StateRecord[] {
  refuseUnless(body.length > 0, "truncated");
  const records: StateRecord[] = [];
  for (let at = 0; at < body.length; ) {
    const parse = PARSERS[body[at]!];
    if (!parse) throw new Refused("type");
    const [record, end] = parse(body, at);
    records.push(record);
    at = end;
  }
  checkAgreement(records);
  return records;
}

/** What there is one of in a STATE, of each session; of a secret, in all. */
const ONE: ReadonlySet<string> = new Set([
  "ProgressState",
  "MaterialsDelta",
  "FreshSecret",
  "SessionOver",
  "Position",
  "SessionName",
]);

/** What the version of a record is that of: all the records of it in a STATE have the same. */
const SUBJECTS: Readonly<Record<string, string>> = {
  ProgressState: "progress",
  ReasonPart: "progress",
  MaterialsPart: "materials",
  ProblemsPart: "materials",
  MaterialsDelta: "materials",
};

/** All the records of a STATE are of one moment: what one says of a session, no other says otherwise. */
function checkAgreement(records: readonly StateRecord[]): void {
  const seen = new Set<string>();
  const versions = new Map<string, number>();
  let session = 0;
  for (const each of records) {
    const { record } = each;
    if (record === "Selector") session = each.session;
    const name = record === "FreshSecret" ? record : `${session} ${record}`;
    refuseUnless(!ONE.has(record) || !seen.has(name), "contradictory");
    seen.add(name);
    if (!SUBJECTS[record] || !("version" in each)) continue;
    const subject = `${session} ${SUBJECTS[record]}`;
    refuseUnless((versions.get(subject) ?? each.version) === each.version, "contradictory");
    versions.set(subject, each.version);
  }
}
