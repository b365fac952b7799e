import { Bits } from "./bits.mjs";
import { demand } from "./refused.mjs";
import * as values from "./values.mjs";

const UNKNOWN_LENGTH = 63;

/** A number that may be unknown: then null. */
function number(bits) {
  const length = bits.take(6);
  if (length === UNKNOWN_LENGTH) return null;
  demand(length <= 32, "out_of_range");
  const value = bits.take(length);
  // The first bit is 1, and FFFFFFFF has a shorter name.
  demand(length === 0 || value >= 2 ** (length - 1), "out_of_range");
  demand(value !== values.UNKNOWN, "out_of_range");
  return value;
}

function problem(bits, row) {
  return {
    row,
    problem: values.PROBLEMS[bits.take(2)],
    required_quantity: values.required(number(bits)),
    available_quantity: number(bits),
    required_quality: values.quality(bits.take(7)),
    available_quality: values.quality(bits.take(7)),
  };
}

function change(bits, row) {
  const [hasQuantity, hasQuality, hasProblem] = [bits.flag(), bits.flag(), bits.flag()];
  demand(hasQuantity || hasQuality || hasProblem, "out_of_range");
  const changed = { row, quantity: null, quality: null };
  if (hasQuantity) {
    changed.quantity = number(bits);
    demand(changed.quantity !== null, "out_of_range");
  }
  if (hasQuality) changed.quality = bits.take(7);
  demand(changed.quality <= 100, "out_of_range");
  if (hasProblem) changed.problem = bits.flag() ? problem(bits, row) : null;
  return changed;
}

/** Record 5. In a change, a null quantity or quality, or no `problem`, is as it was; a quality of 0 is unknown now. */
export function parseDifference(reader) {
  const [version, back, rows, entries] = [reader.u32(), reader.u8(), reader.u16(), reader.u8()];
  demand(back > 0 && rows > 0 && entries > 0, "out_of_range");
  const bits = new Bits(reader.octets.subarray(reader.at));
  const width = Math.max(1, 32 - Math.clz32(rows - 1));
  const changes = [];
  for (let before = -1; changes.length < entries; ) {
    const row = bits.take(width);
    demand(row > before && row < rows, "out_of_range");
    changes.push(change(bits, row));
    before = row;
  }
  reader.take(bits.fill());
  return { record: "MaterialsDelta", version, back, rows, changes };
}
