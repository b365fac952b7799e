/** Binary messages of `craftnet.bin.v1`: what its records mean for a crafting feed. Pure. */

import { sampled, type Material } from "./model.js";
import { readRecord, type MaterialChange, type MaterialsRecord } from "./records.js";
import { without, withMaterials, withProgress, type CraftChange, type CraftState, type Decoded, type Step } from "./reduce.js";

/** A material after a change; a value that does not follow stays as it was. */
function changed(material: Material | undefined, { id, quantity, quality }: MaterialChange): Material {
  return {
    id,
    quantity: quantity ?? material?.quantity ?? null,
    quality: quality ?? material?.quality ?? null,
    problem: material?.problem ?? null,
  };
}

function withChanges(state: CraftState, { sent, changes }: MaterialsRecord, now: number): Step<CraftState, CraftChange> {
  let { materials } = state;
  const list = changes.map((change) => {
    const material = changed(materials[change.id], change);
    materials = change.removed ? without(materials, change.id) : { ...materials, [change.id]: material };
    return material;
  });
  return withMaterials({ ...state, clock: sampled(state.clock, sent, now) }, materials, list);
}

/** What a binary message says, for the reducer. Throws RangeError for octets that are no record. */
export function decode(octets: Uint8Array): Decoded {
  const record = readRecord(octets);
  return {
    octets,
    applyTo: (state, now) =>
      "progress" in record
        ? withProgress({ ...state, clock: sampled(state.clock, record.progress.anchor, now) }, record.progress)
        : withChanges(state, record, now),
  };
}
