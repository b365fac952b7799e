// Made by `python -m craftnet.protocols.wire.generate` from the layouts of craftnet.protocols. Do not edit.

/** Why octets are refused, in the words of PROTOCOL.md. The decoders here use the first four. */
export type Outcome =
  | "truncated"
  | "reserved"
  | "type"
  | "out_of_range"
  | "trailing"
  | "contradictory"
  | "unknown_connection"
  | "stale"
  | "replayed"
  | "forged"
  | "repeated"
  | "no_baseline"
  | "overlong"
  | "garbled";

/** What came in is not as the layouts say; `outcome` says why, in the words of PROTOCOL.md. */
export class Refused extends Error {
  constructor(readonly outcome: Outcome) {
    super(outcome);
    this.name = "Refused";
  }
}

/** Throws Refused with this outcome unless `holds`. */
export function refuseUnless(holds: boolean, outcome: Outcome): asserts holds {
  if (!holds) throw new Refused(outcome);
}

function viewOf(octets: Uint8Array, offset: number, size: number): DataView {
  refuseUnless(offset + size <= octets.length, "truncated");
  return new DataView(octets.buffer, octets.byteOffset + offset, size);
}

function wanted(holds: boolean, name: string, value: unknown): void {
  if (!holds) throw new RangeError(`${name} cannot be ${String(value)}`);
}

type Range = readonly [number, number];

/** A field's number; `range` is its least and its largest. */
function numberOf(value: number | null, scale: number, absent: number | null, range: Range, name: string): number {
  if (value === null && absent !== null) return absent;
  const [least, largest] = range;
  const number = value === null ? NaN : Math.round(value * scale);
  wanted(number >= least && number <= largest && number !== absent, name, value);
  return number;
}

function memberOf(members: readonly string[], value: string, name: string): number {
  const number = members.indexOf(value);
  wanted(number >= 0, name, value);
  return number;
}

function formatUuid(octets: Uint8Array): string {
  const digits = Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function parseUuid(text: string, name: string): Uint8Array {
  const digits = text.replaceAll("-", "");
  wanted(/^[0-9a-f]{32}$/i.test(digits), name, text);
  return Uint8Array.from({ length: 16 }, (_, k) => parseInt(digits.slice(2 * k, 2 * k + 2), 16));
}

function place(into: Uint8Array, octets: Uint8Array, offset: number, size: number, name: string): void {
  wanted(octets.length === size, name, `${octets.length} octets`);
  into.set(octets, offset);
}

/** Reads octets bit after bit, the highest first. */
export class BitReader {
  private at = 0;

  constructor(private readonly octets: Uint8Array) {}

  /** The next `count` bits, at most 32. Throws Refused (truncated) at the end. */
  take(count: number): number {
    refuseUnless(this.at + count <= this.octets.length * 8, "truncated");
    let value = 0;
    for (const end = this.at + count; this.at < end; this.at += 1) {
      value = value * 2 + (((this.octets[this.at >> 3] ?? 0) >> (7 - (this.at & 7))) & 1);
    }
    return value;
  }

  /** A quantity that has its own length in front of it; null when it is unknown. */
  number(): number | null {
    const length = this.take(6);
    if (length === 63) return null;
    refuseUnless(length <= 32, "out_of_range");
    const value = this.take(length);
    refuseUnless((length === 0 || value >= 2 ** (length - 1)) && value !== 0xffffffff, "out_of_range");
    return value;
  }

  /** How many octets were begun. Throws Refused (reserved) for a bit that is set in the rest of the last. */
  finish(): number {
    refuseUnless(this.take(-this.at & 7) === 0, "reserved");
    return this.at >> 3;
  }
}

export const CHANGE_TYPES = ["added", "removed", "quantity_changed", "quality_changed"] as const;

export const STATUSES = ["active", "paused", "interrupted", "completed", "failed"] as const;

export const PROBLEMS = ["insufficient_quantity", "quality_too_low", "material_unavailable", "material_restored"] as const;

/** Octets of Header. */
export const HEADER_SIZE = 32;

export interface Header {
  packetType: number;
  version: number;
  length: number;
  sequence: number;
  timestampMs: number;
  sessionId: string;
}

/** Throws Refused. */
export function decodeHeader(octets: Uint8Array, start = 0): Header {
  const view = viewOf(octets, start, HEADER_SIZE);
  const slot0 = view.getUint8(0);
  const packetType = slot0;
  const slot1 = view.getUint8(1);
  refuseUnless((slot1 & 0xf) === 0, "reserved");
  const version = ((slot1 >>> 4) & 0xf);
  const slot2 = view.getUint16(2);
  const length = slot2;
  const slot4 = view.getUint32(4);
  const sequence = slot4;
  const slot8 = view.getBigUint64(8);
  const timestampMsNumber = slot8;
  refuseUnless(timestampMsNumber <= 253402300799999n, "out_of_range");
  const timestampMs = Number(timestampMsNumber);
  const sessionId = formatUuid(octets.slice(start + 16, start + 32));
  return { packetType, version, length, sequence, timestampMs, sessionId };
}

/** Throws RangeError. */
export function encodeHeader(value: Header): Uint8Array {
  const octets = new Uint8Array(HEADER_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, numberOf(value.packetType, 1, null, [0, 255], "packetType"));
  view.setUint8(1, numberOf(value.version, 1, null, [0, 15], "version") * 16);
  view.setUint16(2, numberOf(value.length, 1, null, [0, 65535], "length"));
  view.setUint32(4, numberOf(value.sequence, 1, null, [0, 4294967295], "sequence"));
  view.setBigUint64(8, BigInt(numberOf(value.timestampMs, 1, null, [0, 253402300799999], "timestampMs")));
  place(octets, parseUuid(value.sessionId, "sessionId"), 16, 16, "sessionId");
  return octets;
}

/** Octets of ProgressBody. */
export const PROGRESS_BODY_SIZE = 16;

export interface ProgressBody {
  percent: number;
  quality: number | null;
  targetQuality: number | null;
  remaining: number | null;
  flags: number;
}

/** Throws Refused. */
export function decodeProgressBody(octets: Uint8Array, start = 0): ProgressBody {
  const view = viewOf(octets, start, PROGRESS_BODY_SIZE);
  const slot0 = view.getUint16(0);
  const percentNumber = slot0;
  refuseUnless(percentNumber <= 10000, "out_of_range");
  const percent = percentNumber / 100;
  const slot2 = view.getUint8(2);
  const qualityNumber = slot2;
  refuseUnless(qualityNumber <= 100, "out_of_range");
  const quality = qualityNumber === 0 ? null : qualityNumber;
  const slot3 = view.getUint8(3);
  const targetQualityNumber = slot3;
  refuseUnless(targetQualityNumber <= 100, "out_of_range");
  const targetQuality = targetQualityNumber === 0 ? null : targetQualityNumber;
  const slot4 = view.getUint32(4);
  const remainingNumber = slot4;
  const remaining = remainingNumber === 4294967295 ? null : remainingNumber / 1000;
  const slot8 = view.getUint8(8);
  const flags = slot8;
  refuseUnless(octets.slice(start + 9, start + 16).every((octet) => octet === 0), "reserved");
  return { percent, quality, targetQuality, remaining, flags };
}

/** Throws RangeError. */
export function encodeProgressBody(value: ProgressBody): Uint8Array {
  const octets = new Uint8Array(PROGRESS_BODY_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint16(0, numberOf(value.percent, 100, null, [0, 10000], "percent"));
  view.setUint8(2, numberOf(value.quality, 1, 0, [0, 100], "quality"));
  view.setUint8(3, numberOf(value.targetQuality, 1, 0, [0, 100], "targetQuality"));
  view.setUint32(4, numberOf(value.remaining, 1000, 4294967295, [0, 4294967295], "remaining"));
  view.setUint8(8, numberOf(value.flags, 1, null, [0, 255], "flags"));
  return octets;
}

/** Octets of ChangeRow. */
export const CHANGE_ROW_SIZE = 24;

export interface ChangeRow {
  materialId: string;
  quantity: number | null;
  changeType: (typeof CHANGE_TYPES)[number];
  quality: number | null;
}

/** Throws Refused. */
export function decodeChangeRow(octets: Uint8Array, start = 0): ChangeRow {
  const view = viewOf(octets, start, CHANGE_ROW_SIZE);
  const materialId = formatUuid(octets.slice(start + 0, start + 16));
  const slot16 = view.getUint32(16);
  const quantityNumber = slot16;
  const quantity = quantityNumber === 4294967295 ? null : quantityNumber;
  const slot20 = view.getUint8(20);
  const changeTypeNumber = slot20;
  refuseUnless(changeTypeNumber <= 3, "out_of_range");
  const changeType = CHANGE_TYPES[changeTypeNumber] as (typeof CHANGE_TYPES)[number];
  const slot21 = view.getUint8(21);
  const qualityNumber = slot21;
  refuseUnless(qualityNumber <= 100, "out_of_range");
  const quality = qualityNumber === 0 ? null : qualityNumber;
  refuseUnless(octets.slice(start + 22, start + 24).every((octet) => octet === 0), "reserved");
  return { materialId, quantity, changeType, quality };
}

/** Throws RangeError. */
export function encodeChangeRow(value: ChangeRow): Uint8Array {
  const octets = new Uint8Array(CHANGE_ROW_SIZE);
  const view = new DataView(octets.buffer);
  place(octets, parseUuid(value.materialId, "materialId"), 0, 16, "materialId");
  view.setUint32(16, numberOf(value.quantity, 1, 4294967295, [0, 4294967295], "quantity"));
  view.setUint8(20, memberOf(CHANGE_TYPES, value.changeType, "changeType"));
  view.setUint8(21, numberOf(value.quality, 1, 0, [0, 100], "quality"));
  return octets;
}

/** Octets of Hello. */
export const HELLO_SIZE = 496;

export interface Hello {
  connectionId: number;
  clientNonce: Uint8Array;
}

/** Throws Refused. */
export function decodeHello(octets: Uint8Array, start = 0): Hello {
  const view = viewOf(octets, start, HELLO_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(((slot0 >>> 6) & 0x3) === 1, "reserved");
  refuseUnless(((slot0 >>> 5) & 0x1) === 0, "reserved");
  refuseUnless((slot0 & 0x1f) === 1, "reserved");
  const slot1 = view.getUint32(1);
  const connectionId = slot1;
  const clientNonce = octets.slice(start + 5, start + 21);
  refuseUnless(octets.slice(start + 21, start + 496).every((octet) => octet === 0), "reserved");
  return { connectionId, clientNonce };
}

/** Throws RangeError. */
export function encodeHello(value: Hello): Uint8Array {
  const octets = new Uint8Array(HELLO_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 64 + 1);
  view.setUint32(1, numberOf(value.connectionId, 1, null, [0, 4294967295], "connectionId"));
  place(octets, value.clientNonce, 5, 16, "clientNonce");
  return octets;
}

/** Octets of Challenge. */
export const CHALLENGE_SIZE = 61;

export interface Challenge {
  connectionId: number;
  clientNonce: Uint8Array;
  issuedUs: bigint;
  serverNonce: Uint8Array;
  cookie: Uint8Array;
}

/** Throws Refused. */
export function decodeChallenge(octets: Uint8Array, start = 0): Challenge {
  const view = viewOf(octets, start, CHALLENGE_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(((slot0 >>> 6) & 0x3) === 1, "reserved");
  refuseUnless(((slot0 >>> 5) & 0x1) === 0, "reserved");
  refuseUnless((slot0 & 0x1f) === 2, "reserved");
  const slot1 = view.getUint32(1);
  const connectionId = slot1;
  const clientNonce = octets.slice(start + 5, start + 21);
  const slot21 = view.getBigUint64(21);
  const issuedUs = slot21;
  const serverNonce = octets.slice(start + 29, start + 45);
  const cookie = octets.slice(start + 45, start + 61);
  return { connectionId, clientNonce, issuedUs, serverNonce, cookie };
}

/** Throws RangeError. */
export function encodeChallenge(value: Challenge): Uint8Array {
  const octets = new Uint8Array(CHALLENGE_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 64 + 2);
  view.setUint32(1, numberOf(value.connectionId, 1, null, [0, 4294967295], "connectionId"));
  place(octets, value.clientNonce, 5, 16, "clientNonce");
  view.setBigUint64(21, value.issuedUs);
  place(octets, value.serverNonce, 29, 16, "serverNonce");
  place(octets, value.cookie, 45, 16, "cookie");
  return octets;
}

/** Octets of Response. */
export const RESPONSE_SIZE = 496;

export interface Response {
  connectionId: number;
  clientNonce: Uint8Array;
  issuedUs: bigint;
  serverNonce: Uint8Array;
  cookie: Uint8Array;
}

/** Throws Refused. */
export function decodeResponse(octets: Uint8Array, start = 0): Response {
  const view = viewOf(octets, start, RESPONSE_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(((slot0 >>> 6) & 0x3) === 1, "reserved");
  refuseUnless(((slot0 >>> 5) & 0x1) === 0, "reserved");
  refuseUnless((slot0 & 0x1f) === 3, "reserved");
  const slot1 = view.getUint32(1);
  const connectionId = slot1;
  const clientNonce = octets.slice(start + 5, start + 21);
  const slot21 = view.getBigUint64(21);
  const issuedUs = slot21;
  const serverNonce = octets.slice(start + 29, start + 45);
  const cookie = octets.slice(start + 45, start + 61);
  refuseUnless(octets.slice(start + 61, start + 496).every((octet) => octet === 0), "reserved");
  return { connectionId, clientNonce, issuedUs, serverNonce, cookie };
}

/** Throws RangeError. */
export function encodeResponse(value: Response): Uint8Array {
  const octets = new Uint8Array(RESPONSE_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 64 + 3);
  view.setUint32(1, numberOf(value.connectionId, 1, null, [0, 4294967295], "connectionId"));
  place(octets, value.clientNonce, 5, 16, "clientNonce");
  view.setBigUint64(21, value.issuedUs);
  place(octets, value.serverNonce, 29, 16, "serverNonce");
  place(octets, value.cookie, 45, 16, "cookie");
  return octets;
}

/** Octets of SealedHeader. */
export const SEALED_HEADER_SIZE = 7;

export interface SealedHeader {
  keyPhase: number;
  kind: number;
  connectionId: number;
  sequence: number;
}

/** Throws Refused. */
export function decodeSealedHeader(octets: Uint8Array, start = 0): SealedHeader {
  const view = viewOf(octets, start, SEALED_HEADER_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(((slot0 >>> 6) & 0x3) === 1, "reserved");
  const keyPhase = ((slot0 >>> 5) & 0x1);
  const kindNumber = (slot0 & 0x1f);
  refuseUnless(kindNumber >= 4 && kindNumber <= 12, "type");
  const kind = kindNumber;
  const slot1 = view.getUint32(1);
  const connectionId = slot1;
  const slot5 = view.getUint16(5);
  const sequence = slot5;
  return { keyPhase, kind, connectionId, sequence };
}

/** Throws RangeError. */
export function encodeSealedHeader(value: SealedHeader): Uint8Array {
  const octets = new Uint8Array(SEALED_HEADER_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, numberOf(value.keyPhase, 1, null, [0, 1], "keyPhase") * 32 + numberOf(value.kind, 1, null, [4, 12], "kind") + 64);
  view.setUint32(1, numberOf(value.connectionId, 1, null, [0, 4294967295], "connectionId"));
  view.setUint16(5, numberOf(value.sequence, 1, null, [0, 65535], "sequence"));
  return octets;
}

/** Octets of Acknowledgement. */
export const ACKNOWLEDGEMENT_SIZE = 8;

export interface Acknowledgement {
  newest: number;
  earlier: number;
}

/** Throws Refused. */
export function decodeAcknowledgement(octets: Uint8Array, start = 0): Acknowledgement {
  const view = viewOf(octets, start, ACKNOWLEDGEMENT_SIZE);
  const slot0 = view.getUint32(0);
  const newest = slot0;
  const slot4 = view.getUint32(4);
  const earlier = slot4;
  return { newest, earlier };
}

/** Throws RangeError. */
export function encodeAcknowledgement(value: Acknowledgement): Uint8Array {
  const octets = new Uint8Array(ACKNOWLEDGEMENT_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint32(0, numberOf(value.newest, 1, null, [0, 4294967295], "newest"));
  view.setUint32(4, numberOf(value.earlier, 1, null, [0, 4294967295], "earlier"));
  return octets;
}

/** Octets of Heartbeat. */
export const HEARTBEAT_SIZE = 24;

export interface Heartbeat {
  sentUs: bigint;
  echoedUs: bigint;
  receivedUs: bigint;
}

/** Throws Refused. */
export function decodeHeartbeat(octets: Uint8Array, start = 0): Heartbeat {
  const view = viewOf(octets, start, HEARTBEAT_SIZE);
  const slot0 = view.getBigUint64(0);
  const sentUs = slot0;
  const slot8 = view.getBigUint64(8);
  const echoedUs = slot8;
  const slot16 = view.getBigUint64(16);
  const receivedUs = slot16;
  return { sentUs, echoedUs, receivedUs };
}

/** Throws RangeError. */
export function encodeHeartbeat(value: Heartbeat): Uint8Array {
  const octets = new Uint8Array(HEARTBEAT_SIZE);
  const view = new DataView(octets.buffer);
  view.setBigUint64(0, value.sentUs);
  view.setBigUint64(8, value.echoedUs);
  view.setBigUint64(16, value.receivedUs);
  return octets;
}

/** Octets of Close. */
export const CLOSE_SIZE = 1;

export interface Close {
  reason: number;
}

/** Throws Refused. */
export function decodeClose(octets: Uint8Array, start = 0): Close {
  const view = viewOf(octets, start, CLOSE_SIZE);
  const slot0 = view.getUint8(0);
  const reasonNumber = slot0;
  refuseUnless(reasonNumber >= 1 && reasonNumber <= 7, "out_of_range");
  const reason = reasonNumber;
  return { reason };
}

/** Throws RangeError. */
export function encodeClose(value: Close): Uint8Array {
  const octets = new Uint8Array(CLOSE_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, numberOf(value.reason, 1, null, [1, 7], "reason"));
  return octets;
}

/** Octets of Held. */
export const HELD_SIZE = 4;

export interface Held {
  version: number;
}

/** Throws Refused. */
export function decodeHeld(octets: Uint8Array, start = 0): Held {
  const view = viewOf(octets, start, HELD_SIZE);
  const slot0 = view.getUint32(0);
  const version = slot0;
  return { version };
}

/** Throws RangeError. */
export function encodeHeld(value: Held): Uint8Array {
  const octets = new Uint8Array(HELD_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint32(0, numberOf(value.version, 1, null, [0, 4294967295], "version"));
  return octets;
}

/** Octets of HeldToo. */
export const HELD_TOO_SIZE = 5;

export interface HeldToo {
  session: number;
  version: number;
}

/** Throws Refused. */
export function decodeHeldToo(octets: Uint8Array, start = 0): HeldToo {
  const view = viewOf(octets, start, HELD_TOO_SIZE);
  const slot0 = view.getUint8(0);
  const session = slot0;
  const slot1 = view.getUint32(1);
  const version = slot1;
  return { session, version };
}

/** Throws RangeError. */
export function encodeHeldToo(value: HeldToo): Uint8Array {
  const octets = new Uint8Array(HELD_TOO_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, numberOf(value.session, 1, null, [0, 255], "session"));
  view.setUint32(1, numberOf(value.version, 1, null, [0, 4294967295], "version"));
  return octets;
}

/** Octets of Left. */
export const LEFT_SIZE = 1;

export interface Left {
  session: number;
}

/** Throws Refused. */
export function decodeLeft(octets: Uint8Array, start = 0): Left {
  const view = viewOf(octets, start, LEFT_SIZE);
  const slot0 = view.getUint8(0);
  const session = slot0;
  return { session };
}

/** Throws RangeError. */
export function encodeLeft(value: Left): Uint8Array {
  const octets = new Uint8Array(LEFT_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, numberOf(value.session, 1, null, [0, 255], "session"));
  return octets;
}

/** Octets of Probe. */
export const PROBE_SIZE = 8;

export interface Probe {
  data: Uint8Array;
}

/** Throws Refused. */
export function decodeProbe(octets: Uint8Array, start = 0): Probe {
  refuseUnless(start + PROBE_SIZE <= octets.length, "truncated");
  const data = octets.slice(start + 0, start + 8);
  return { data };
}

/** Throws RangeError. */
export function encodeProbe(value: Probe): Uint8Array {
  const octets = new Uint8Array(PROBE_SIZE);
  place(octets, value.data, 0, 8, "data");
  return octets;
}

/** Octets of Fragment. */
export const FRAGMENT_SIZE = 3;

export interface Fragment {
  part: number;
  last: number;
  most: number;
}

/** Throws Refused. */
export function decodeFragment(octets: Uint8Array, start = 0): Fragment {
  const view = viewOf(octets, start, FRAGMENT_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless((slot0 & 0xf) === 0, "reserved");
  const part = ((slot0 >>> 6) & 0x3);
  const last = ((slot0 >>> 4) & 0x3);
  const slot1 = view.getUint16(1);
  const most = slot1;
  return { part, last, most };
}

/** Throws RangeError. */
export function encodeFragment(value: Fragment): Uint8Array {
  const octets = new Uint8Array(FRAGMENT_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, numberOf(value.part, 1, null, [0, 3], "part") * 64 + numberOf(value.last, 1, null, [0, 3], "last") * 16);
  view.setUint16(1, numberOf(value.most, 1, null, [0, 65535], "most"));
  return octets;
}

/** Octets of ProgressState, without what may follow it. */
export const PROGRESS_STATE_SIZE = 21;
export const PROGRESS_STATE_TAG = 1;

export interface ProgressState {
  version: number;
  anchor: number;
  percent: number;
  status: (typeof STATUSES)[number];
  quality: number | null;
  targetQuality: number | null;
  remaining: number | null;
}

/** Throws Refused. */
export function decodeProgressState(octets: Uint8Array, start = 0): ProgressState {
  const view = viewOf(octets, start, PROGRESS_STATE_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(slot0 === 1, "reserved");
  const slot1 = view.getUint32(1);
  const version = slot1;
  const slot5 = view.getBigUint64(5);
  const anchorNumber = slot5;
  refuseUnless(anchorNumber <= 253402300799999n, "out_of_range");
  const anchor = Number(anchorNumber) / 1000;
  const slot13 = view.getUint32(13);
  refuseUnless((slot13 & 0x1) === 0, "reserved");
  const percentNumber = (slot13 >>> 18);
  refuseUnless(percentNumber <= 10000, "out_of_range");
  const percent = percentNumber / 100;
  const statusNumber = ((slot13 >>> 15) & 0x7);
  refuseUnless(statusNumber <= 4, "out_of_range");
  const status = STATUSES[statusNumber] as (typeof STATUSES)[number];
  const qualityNumber = ((slot13 >>> 8) & 0x7f);
  refuseUnless(qualityNumber <= 100, "out_of_range");
  const quality = qualityNumber === 0 ? null : qualityNumber;
  const targetQualityNumber = ((slot13 >>> 1) & 0x7f);
  refuseUnless(targetQualityNumber <= 100, "out_of_range");
  const targetQuality = targetQualityNumber === 0 ? null : targetQualityNumber;
  const slot17 = view.getUint32(17);
  const remainingNumber = slot17;
  const remaining = remainingNumber === 4294967295 ? null : remainingNumber / 1000;
  return { version, anchor, percent, status, quality, targetQuality, remaining };
}

/** Throws RangeError. */
export function encodeProgressState(value: ProgressState): Uint8Array {
  const octets = new Uint8Array(PROGRESS_STATE_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 1);
  view.setUint32(1, numberOf(value.version, 1, null, [0, 4294967295], "version"));
  view.setBigUint64(5, BigInt(numberOf(value.anchor, 1000, null, [0, 253402300799999], "anchor")));
  view.setUint32(13, numberOf(value.percent, 100, null, [0, 10000], "percent") * 262144 + memberOf(STATUSES, value.status, "status") * 32768 + numberOf(value.quality, 1, 0, [0, 100], "quality") * 256 + numberOf(value.targetQuality, 1, 0, [0, 100], "targetQuality") * 2);
  view.setUint32(17, numberOf(value.remaining, 1000, 4294967295, [0, 4294967295], "remaining"));
  return octets;
}

/** Octets of ReasonPart, without what may follow it. */
export const REASON_PART_SIZE = 10;
export const REASON_PART_TAG = 2;

export interface ReasonPart {
  version: number;
  total: number;
  offset: number;
  length: number;
}

/** Throws Refused. */
export function decodeReasonPart(octets: Uint8Array, start = 0): ReasonPart {
  const view = viewOf(octets, start, REASON_PART_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(slot0 === 2, "reserved");
  const slot1 = view.getUint32(1);
  const version = slot1;
  const slot5 = view.getUint16(5);
  const total = slot5;
  const slot7 = view.getUint16(7);
  const offset = slot7;
  const slot9 = view.getUint8(9);
  const length = slot9;
  return { version, total, offset, length };
}

/** Throws RangeError. */
export function encodeReasonPart(value: ReasonPart): Uint8Array {
  const octets = new Uint8Array(REASON_PART_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 2);
  view.setUint32(1, numberOf(value.version, 1, null, [0, 4294967295], "version"));
  view.setUint16(5, numberOf(value.total, 1, null, [0, 65535], "total"));
  view.setUint16(7, numberOf(value.offset, 1, null, [0, 65535], "offset"));
  view.setUint8(9, numberOf(value.length, 1, null, [0, 255], "length"));
  return octets;
}

/** Octets of MaterialsPart, without what may follow it. */
export const MATERIALS_PART_SIZE = 12;
export const MATERIALS_PART_TAG = 3;

export interface MaterialsPart {
  version: number;
  rows: number;
  problems: number;
  first: number;
  count: number;
}

/** Throws Refused. */
export function decodeMaterialsPart(octets: Uint8Array, start = 0): MaterialsPart {
  const view = viewOf(octets, start, MATERIALS_PART_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(slot0 === 3, "reserved");
  const slot1 = view.getUint32(1);
  const version = slot1;
  const slot5 = view.getUint16(5);
  const rows = slot5;
  const slot7 = view.getUint16(7);
  const problems = slot7;
  const slot9 = view.getUint16(9);
  const first = slot9;
  const slot11 = view.getUint8(11);
  const count = slot11;
  return { version, rows, problems, first, count };
}

/** Throws RangeError. */
export function encodeMaterialsPart(value: MaterialsPart): Uint8Array {
  const octets = new Uint8Array(MATERIALS_PART_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 3);
  view.setUint32(1, numberOf(value.version, 1, null, [0, 4294967295], "version"));
  view.setUint16(5, numberOf(value.rows, 1, null, [0, 65535], "rows"));
  view.setUint16(7, numberOf(value.problems, 1, null, [0, 65535], "problems"));
  view.setUint16(9, numberOf(value.first, 1, null, [0, 65535], "first"));
  view.setUint8(11, numberOf(value.count, 1, null, [0, 255], "count"));
  return octets;
}

/** Octets of MaterialRow. */
export const MATERIAL_ROW_SIZE = 21;

export interface MaterialRow {
  materialId: string;
  quantity: number;
  quality: number | null;
}

/** Throws Refused. */
export function decodeMaterialRow(octets: Uint8Array, start = 0): MaterialRow {
  const view = viewOf(octets, start, MATERIAL_ROW_SIZE);
  const materialId = formatUuid(octets.slice(start + 0, start + 16));
  const slot16 = view.getUint32(16);
  const quantityNumber = slot16;
  refuseUnless(quantityNumber <= 4294967294, "out_of_range");
  const quantity = quantityNumber;
  const slot20 = view.getUint8(20);
  const qualityNumber = slot20;
  refuseUnless(qualityNumber <= 100, "out_of_range");
  const quality = qualityNumber === 0 ? null : qualityNumber;
  return { materialId, quantity, quality };
}

/** Throws RangeError. */
export function encodeMaterialRow(value: MaterialRow): Uint8Array {
  const octets = new Uint8Array(MATERIAL_ROW_SIZE);
  const view = new DataView(octets.buffer);
  place(octets, parseUuid(value.materialId, "materialId"), 0, 16, "materialId");
  view.setUint32(16, numberOf(value.quantity, 1, null, [0, 4294967294], "quantity"));
  view.setUint8(20, numberOf(value.quality, 1, 0, [0, 100], "quality"));
  return octets;
}

/** Octets of ProblemsPart, without what may follow it. */
export const PROBLEMS_PART_SIZE = 8;
export const PROBLEMS_PART_TAG = 4;

export interface ProblemsPart {
  version: number;
  first: number;
  count: number;
}

/** Throws Refused. */
export function decodeProblemsPart(octets: Uint8Array, start = 0): ProblemsPart {
  const view = viewOf(octets, start, PROBLEMS_PART_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(slot0 === 4, "reserved");
  const slot1 = view.getUint32(1);
  const version = slot1;
  const slot5 = view.getUint16(5);
  const first = slot5;
  const slot7 = view.getUint8(7);
  const count = slot7;
  return { version, first, count };
}

/** Throws RangeError. */
export function encodeProblemsPart(value: ProblemsPart): Uint8Array {
  const octets = new Uint8Array(PROBLEMS_PART_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 4);
  view.setUint32(1, numberOf(value.version, 1, null, [0, 4294967295], "version"));
  view.setUint16(5, numberOf(value.first, 1, null, [0, 65535], "first"));
  view.setUint8(7, numberOf(value.count, 1, null, [0, 255], "count"));
  return octets;
}

/** Octets of ProblemRow. */
export const PROBLEM_ROW_SIZE = 13;

export interface ProblemRow {
  row: number;
  problem: (typeof PROBLEMS)[number];
  requiredQuantity: number | null;
  availableQuantity: number | null;
  requiredQuality: number | null;
  availableQuality: number | null;
}

/** Throws Refused. */
export function decodeProblemRow(octets: Uint8Array, start = 0): ProblemRow {
  const view = viewOf(octets, start, PROBLEM_ROW_SIZE);
  const slot0 = view.getUint16(0);
  const row = slot0;
  const slot2 = view.getUint8(2);
  const problemNumber = slot2;
  refuseUnless(problemNumber <= 3, "out_of_range");
  const problem = PROBLEMS[problemNumber] as (typeof PROBLEMS)[number];
  const slot3 = view.getUint32(3);
  const requiredQuantityNumber = slot3;
  refuseUnless(requiredQuantityNumber >= 1, "out_of_range");
  const requiredQuantity = requiredQuantityNumber === 4294967295 ? null : requiredQuantityNumber;
  const slot7 = view.getUint32(7);
  const availableQuantityNumber = slot7;
  const availableQuantity = availableQuantityNumber === 4294967295 ? null : availableQuantityNumber;
  const slot11 = view.getUint8(11);
  const requiredQualityNumber = slot11;
  refuseUnless(requiredQualityNumber <= 100, "out_of_range");
  const requiredQuality = requiredQualityNumber === 0 ? null : requiredQualityNumber;
  const slot12 = view.getUint8(12);
  const availableQualityNumber = slot12;
  refuseUnless(availableQualityNumber <= 100, "out_of_range");
  const availableQuality = availableQualityNumber === 0 ? null : availableQualityNumber;
  return { row, problem, requiredQuantity, availableQuantity, requiredQuality, availableQuality };
}

/** Throws RangeError. */
export function encodeProblemRow(value: ProblemRow): Uint8Array {
  const octets = new Uint8Array(PROBLEM_ROW_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint16(0, numberOf(value.row, 1, null, [0, 65535], "row"));
  view.setUint8(2, memberOf(PROBLEMS, value.problem, "problem"));
  view.setUint32(3, numberOf(value.requiredQuantity, 1, 4294967295, [1, 4294967295], "requiredQuantity"));
  view.setUint32(7, numberOf(value.availableQuantity, 1, 4294967295, [0, 4294967295], "availableQuantity"));
  view.setUint8(11, numberOf(value.requiredQuality, 1, 0, [0, 100], "requiredQuality"));
  view.setUint8(12, numberOf(value.availableQuality, 1, 0, [0, 100], "availableQuality"));
  return octets;
}

/** Octets of MaterialsDelta, without what may follow it. */
export const MATERIALS_DELTA_SIZE = 9;
export const MATERIALS_DELTA_TAG = 5;

export interface MaterialsDelta {
  version: number;
  back: number;
  rows: number;
  count: number;
}

/** Throws Refused. */
export function decodeMaterialsDelta(octets: Uint8Array, start = 0): MaterialsDelta {
  const view = viewOf(octets, start, MATERIALS_DELTA_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(slot0 === 5, "reserved");
  const slot1 = view.getUint32(1);
  const version = slot1;
  const slot5 = view.getUint8(5);
  const back = slot5;
  const slot6 = view.getUint16(6);
  const rows = slot6;
  const slot8 = view.getUint8(8);
  const count = slot8;
  return { version, back, rows, count };
}

/** Throws RangeError. */
export function encodeMaterialsDelta(value: MaterialsDelta): Uint8Array {
  const octets = new Uint8Array(MATERIALS_DELTA_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 5);
  view.setUint32(1, numberOf(value.version, 1, null, [0, 4294967295], "version"));
  view.setUint8(5, numberOf(value.back, 1, null, [0, 255], "back"));
  view.setUint16(6, numberOf(value.rows, 1, null, [0, 65535], "rows"));
  view.setUint8(8, numberOf(value.count, 1, null, [0, 255], "count"));
  return octets;
}

/** Octets of FreshSecret, without what may follow it. */
export const FRESH_SECRET_SIZE = 33;
export const FRESH_SECRET_TAG = 6;

export interface FreshSecret {
  secret: Uint8Array;
}

/** Throws Refused. */
export function decodeFreshSecret(octets: Uint8Array, start = 0): FreshSecret {
  const view = viewOf(octets, start, FRESH_SECRET_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(slot0 === 6, "reserved");
  const secret = octets.slice(start + 1, start + 33);
  return { secret };
}

/** Throws RangeError. */
export function encodeFreshSecret(value: FreshSecret): Uint8Array {
  const octets = new Uint8Array(FRESH_SECRET_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 6);
  place(octets, value.secret, 1, 32, "secret");
  return octets;
}

/** Octets of Selector, without what may follow it. */
export const SELECTOR_SIZE = 2;
export const SELECTOR_TAG = 7;

export interface Selector {
  session: number;
}

/** Throws Refused. */
export function decodeSelector(octets: Uint8Array, start = 0): Selector {
  const view = viewOf(octets, start, SELECTOR_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(slot0 === 7, "reserved");
  const slot1 = view.getUint8(1);
  const session = slot1;
  return { session };
}

/** Throws RangeError. */
export function encodeSelector(value: Selector): Uint8Array {
  const octets = new Uint8Array(SELECTOR_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 7);
  view.setUint8(1, numberOf(value.session, 1, null, [0, 255], "session"));
  return octets;
}

/** Octets of SessionOver, without what may follow it. */
export const SESSION_OVER_SIZE = 2;
export const SESSION_OVER_TAG = 8;

export interface SessionOver {
  reason: number;
}

/** Throws Refused. */
export function decodeSessionOver(octets: Uint8Array, start = 0): SessionOver {
  const view = viewOf(octets, start, SESSION_OVER_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(slot0 === 8, "reserved");
  const slot1 = view.getUint8(1);
  const reasonNumber = slot1;
  refuseUnless(reasonNumber >= 1 && reasonNumber <= 7, "out_of_range");
  const reason = reasonNumber;
  return { reason };
}

/** Throws RangeError. */
export function encodeSessionOver(value: SessionOver): Uint8Array {
  const octets = new Uint8Array(SESSION_OVER_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 8);
  view.setUint8(1, numberOf(value.reason, 1, null, [1, 7], "reason"));
  return octets;
}

/** Octets of FeedPosition, without what may follow it. */
export const FEED_POSITION_SIZE = 10;
export const FEED_POSITION_TAG = 9;

export interface FeedPosition {
  version: number;
  length: number;
}

/** Throws Refused. */
export function decodeFeedPosition(octets: Uint8Array, start = 0): FeedPosition {
  const view = viewOf(octets, start, FEED_POSITION_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(slot0 === 9, "reserved");
  const slot1 = view.getBigUint64(1);
  const versionNumber = slot1;
  refuseUnless(versionNumber <= 9007199254740991n, "out_of_range");
  const version = Number(versionNumber);
  const slot9 = view.getUint8(9);
  const length = slot9;
  return { version, length };
}

/** Throws RangeError. */
export function encodeFeedPosition(value: FeedPosition): Uint8Array {
  const octets = new Uint8Array(FEED_POSITION_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 9);
  view.setBigUint64(1, BigInt(numberOf(value.version, 1, null, [0, 9007199254740991], "version")));
  view.setUint8(9, numberOf(value.length, 1, null, [0, 255], "length"));
  return octets;
}

/** Octets of SessionName, without what may follow it. */
export const SESSION_NAME_SIZE = 17;
export const SESSION_NAME_TAG = 10;

export interface SessionName {
  sessionId: string;
}

/** Throws Refused. */
export function decodeSessionName(octets: Uint8Array, start = 0): SessionName {
  const view = viewOf(octets, start, SESSION_NAME_SIZE);
  const slot0 = view.getUint8(0);
  refuseUnless(slot0 === 10, "reserved");
  const sessionId = formatUuid(octets.slice(start + 1, start + 17));
  return { sessionId };
}

/** Throws RangeError. */
export function encodeSessionName(value: SessionName): Uint8Array {
  const octets = new Uint8Array(SESSION_NAME_SIZE);
  const view = new DataView(octets.buffer);
  view.setUint8(0, 10);
  place(octets, parseUuid(value.sessionId, "sessionId"), 1, 16, "sessionId");
  return octets;
}

export interface RowProblem {
  problem: (typeof PROBLEMS)[number];
  requiredQuantity: number | null;
  availableQuantity: number | null;
  requiredQuality: number | null;
  availableQuality: number | null;
}

/** Throws Refused. What the record does not change is missing; a problem that ended is null. */
export function decodeRowProblem(bits: BitReader): RowProblem {
  const problemNumber = bits.take(2);
  const problem = PROBLEMS[problemNumber] as (typeof PROBLEMS)[number];
  const requiredQuantity = bits.number();
  refuseUnless(requiredQuantity !== 0, "out_of_range");
  const availableQuantity = bits.number();
  const requiredQualityNumber = bits.take(7);
  refuseUnless(requiredQualityNumber <= 100, "out_of_range");
  const requiredQuality = requiredQualityNumber === 0 ? null : requiredQualityNumber;
  const availableQualityNumber = bits.take(7);
  refuseUnless(availableQualityNumber <= 100, "out_of_range");
  const availableQuality = availableQualityNumber === 0 ? null : availableQualityNumber;
  const record: RowProblem = { problem, requiredQuantity, availableQuantity, requiredQuality, availableQuality };
  return record;
}

export interface RowChange {
  row: number;
  quantity?: number;
  quality?: number | null;
  problem?: RowProblem | null;
}

/** Throws Refused. What the record does not change is missing; a problem that ended is null. */
export function decodeRowChange(bits: BitReader, rowBits: number): RowChange {
  const row = bits.take(rowBits);
  const record: RowChange = { row };
  const hasQuantity = bits.take(1) === 1;
  const hasQuality = bits.take(1) === 1;
  const hasProblem = bits.take(1) === 1;
  if (hasQuantity) {
    const quantity = bits.number();
    if (quantity === null) throw new Refused("out_of_range");
    record.quantity = quantity;
  }
  if (hasQuality) {
    const qualityNumber = bits.take(7);
    refuseUnless(qualityNumber <= 100, "out_of_range");
    const quality = qualityNumber === 0 ? null : qualityNumber;
    record.quality = quality;
  }
  const stands = hasProblem && bits.take(1) === 1;
  if (stands) {
    const problem = decodeRowProblem(bits);
    record.problem = problem;
  } else if (hasProblem) record.problem = null;
  return record;
}
