/** Values that several records share. */

import { demand } from "./refused.mjs";

export const UNKNOWN = 0xffffffff;
export const STATUSES = ["active", "paused", "interrupted", "completed", "failed"];
export const PROBLEMS = ["insufficient_quantity", "quality_too_low", "material_unavailable", "material_restored"];

const END_OF_TIME = 253_402_300_800_000; // the first millisecond after the year 9999

/** A quality of 1–100; null when unknown. */
export function quality(number) {
  demand(number <= 100, "out_of_range");
  return number || null;
}

/** A u32 that may be unknown: then null. */
export function known(number) {
  return number === UNKNOWN ? null : number;
}

/** A quantity that is required, not 0. */
export function required(quantity) {
  demand(quantity !== 0, "out_of_range");
  return quantity;
}

/** Percent, from hundredths. */
export function percent(hundredths) {
  demand(hundredths <= 10000, "out_of_range");
  return hundredths / 100;
}

/** Unix seconds, from a BigInt of milliseconds. */
export function moment(milliseconds) {
  demand(milliseconds < END_OF_TIME, "out_of_range");
  return Number(milliseconds) / 1000;
}

/** Seconds, from milliseconds that may be unknown: then null. */
export function duration(milliseconds) {
  return milliseconds === UNKNOWN ? null : milliseconds / 1000;
}

/** The name that has this number. */
export function named(names, number) {
  demand(number < names.length, "out_of_range");
  return names[number];
}
