/** Binary messages of `craftnet.bin.v1`: what its records mean for a crafting feed. Pure. */

import type { ChangeRow, ProgressBody } from "../wire.js";
import { sampled, type Material, type ProgressModel, type Status } from "./model.js";
import { readRecord } from "./records.js";
import {
  without,
  withMaterials,
  withProgress,
  type CraftChange,
  type CraftState,
  type Decoded,
  type Step,
} from "./reduce.js";

const STATUSES: Readonly<Record<number, Status>> = {
  1: "paused",
  2: "interrupted",
  3: "interrupted",
  4: "completed",
  8: "failed",
};

/** A record's date is when its craft was at its percent. */
function progressOf({ flags, ...more }: ProgressBody, anchor: number): ProgressModel {
  return { ...more, anchor, status: STATUSES[flags] ?? "active", failureReason: null };
}

// A version counts all changes of a craft from bit 22 on, and those of its materials in the 11 bits below.
const CHANGE = 2 ** 22;
const MATERIALS_CHANGE = 2 ** 11;
const MATERIALS_COUNTS = 2 ** 11;
const RECOVERABLE = 1024; // changes after which the server does not know how to read a position

/** The position of a craft whose newest record of materials is counted once another record shows that it was complete. */
function counted({ position, uncounted }: CraftState, changes: number): string | null {
  const [epoch, digits, ...suffix] = position?.split(":") ?? [];
  let version = Number(digits);
  if (!version) return position; // a part of the state is missing
  if (uncounted) {
    const materials = Math.floor(version / MATERIALS_CHANGE) % MATERIALS_COUNTS;
    const next = (materials + 1) % MATERIALS_COUNTS;
    version += CHANGE + (next - materials) * MATERIALS_CHANGE;
  }
  if (changes >= Math.floor(version / CHANGE) + RECOVERABLE) version = changes * CHANGE + (version % CHANGE);
  return [epoch, version, ...suffix].join(":");
}

/** A material after a change; a value that does not follow stays as it was. */
function changed(material: Material | undefined, { materialId: id, quantity, quality }: ChangeRow): Material {
  return {
    id,
    quantity: quantity ?? material?.quantity ?? null,
    quality: quality ?? material?.quality ?? null,
    problem: material?.problem ?? null,
  };
}

function withChanges(state: CraftState, changes: readonly ChangeRow[]): Step<CraftState, CraftChange> {
  let { materials } = state;
  const list: Material[] = [];
  for (const change of changes) {
    const before = materials[change.materialId];
    const material = changed(before, change);
    const gone = change.changeType === "removed";
    // After a return the server repeats the record that `position` does not count.
    if (gone ? !before : same(before, material)) continue;
    materials = gone ? without(materials, material.id) : { ...materials, [material.id]: material };
    list.push(material);
  }
  return withMaterials(state, materials, list);
}

const same = (one: Material | undefined, { quantity, quality }: Material): boolean =>
  one?.quantity === quantity && one.quality === quality;

/** What a binary message says, for the reducer. Throws Refused for octets that are no record. */
export function decode(octets: Uint8Array): Decoded {
  const record = readRecord(octets);
  const { timestampMs, sessionId, sequence } = record.header;
  return {
    octets,
    sessionId,
    applyTo(before, now) {
      const state = {
        ...before,
        position: counted(before, sequence),
        uncounted: "changes" in record,
        clock: sampled(before.clock, timestampMs, now),
      };
      return "progress" in record
        ? withProgress(state, progressOf(record.progress, timestampMs))
        : withChanges(state, record.changes);
    },
  };
}
