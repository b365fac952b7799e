/** A craft's state from a transport that has a protocol of its own: whole values, no differences. Pure. */

import type { Material, ProgressModel } from "./model.js";
import { withMaterials, type CraftChange, type CraftState, type Decoded, type Step } from "./reduce.js";

/** What a transport has received. Values that are missing stay as they were. */
export interface StateUpdate {
  readonly progress?: ProgressModel;
  /** All of them. */
  readonly materials?: readonly Material[];
  /** A position as text. */
  readonly position?: string;
  /** Milliseconds by which the server's clock is ahead of ours. */
  readonly offset?: number;
}

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

function apply(state: CraftState, update: StateUpdate): Step<CraftState, CraftChange> {
  let next: CraftState = {
    ...state,
    position: update.position ?? state.position,
    uncounted: false,
    clock: update.offset === undefined ? state.clock : [update.offset],
  };
  const changes: CraftChange[] = [];
  if (update.progress && !same(update.progress, next.progress)) {
    next = { ...next, progress: update.progress };
    changes.push({ type: "progress", progress: update.progress });
  }
  if (!update.materials) return [next, changes];
  const list = update.materials.filter((material) => !same(material, next.materials[material.id]));
  const materials = Object.fromEntries(update.materials.map((material) => [material.id, material]));
  const gone = Object.values(next.materials).filter(({ id }) => !(id in materials));
  const [after, more] = withMaterials(next, materials, [...list, ...gone]);
  return [after, [...changes, ...more]];
}

/** An update as an arrival for the reducer. Values that change nothing cause no change event. */
export const stateArrival = (update: StateUpdate): Decoded => ({ applyTo: (state) => apply(state, update) });
