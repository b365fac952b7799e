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
  const list = changes.map((change) => {
    const material = changed(materials[change.materialId], change);
    const gone = change.changeType === "removed";
    materials = gone ? without(materials, material.id) : { ...materials, [material.id]: material };
    return material;
  });
  return withMaterials(state, materials, list);
}

/** What a binary message says, for the reducer. Throws Refused for octets that are no record. */
export function decode(octets: Uint8Array): Decoded {
  const record = readRecord(octets);
  const { timestampMs, sessionId } = record.header;
  return {
    octets,
    sessionId,
    applyTo(before, now) {
      const state = { ...before, clock: sampled(before.clock, timestampMs, now) };
      return "progress" in record
        ? withProgress(state, progressOf(record.progress, timestampMs))
        : withChanges(state, record.changes);
    },
  };
}
