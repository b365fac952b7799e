/** What a transport that has a protocol of its own tells of a craft: whole states, no differences. Pure. */

import type { Material, ProgressModel } from "./model.js";
import { withMaterials, type CraftChange, type CraftState, type Decoded, type Step } from "./reduce.js";

export interface Told {
  readonly progress?: ProgressModel;
  /** All of them. */
  readonly materials?: readonly Material[];
  /** A position as text. */
  readonly position?: string;
  /** Milliseconds by which the server's clock is ahead of ours. */
  readonly offset?: number;
}

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

function apply(state: CraftState, told: Told): Step<CraftState, CraftChange> {
  let next: CraftState = {
    ...state,
    position: told.position ?? state.position,
    clock: told.offset === undefined ? state.clock : [told.offset],
  };
  const changes: CraftChange[] = [];
  if (told.progress && !same(told.progress, next.progress)) {
    next = { ...next, progress: told.progress };
    changes.push({ type: "progress", progress: told.progress });
  }
  if (!told.materials) return [next, changes];
  const list = told.materials.filter((material) => !same(material, next.materials[material.id]));
  const materials = Object.fromEntries(told.materials.map((material) => [material.id, material]));
  const gone = Object.values(next.materials).filter(({ id }) => !(id in materials));
  const [after, more] = withMaterials(next, materials, [...list, ...gone]);
  return [after, [...changes, ...more]];
}

/** Received values as a step for the reducer. Values that change nothing cause no change event. */
export const told = (values: Told): Decoded => ({ applyTo: (state) => apply(state, values) });
