import { demand } from "./refused.mjs";

/** Unpack one LZ4 block to exactly `size` octets, and never make room for more. Throws Refused (garbled). */
export function unpackLz4(packed, size) {
  const out = Buffer.alloc(size);
  let at = 0;
  let end = 0;
  const next = () => {
    demand(at < packed.length, "garbled");
    return packed[at++];
  };
  const length = (nibble) => {
    let sum = nibble;
    for (let more = nibble === 15; more; ) {
      const octet = next();
      sum += octet;
      more = octet === 255;
    }
    return sum;
  };
  for (;;) {
    const token = next();
    const literals = length(token >> 4);
    demand(at + literals <= packed.length && end + literals <= size, "garbled");
    packed.copy(out, end, at, at + literals);
    at += literals;
    end += literals;
    if (at === packed.length) break; // the last sequence is literals only
    const distance = next() | (next() << 8);
    const match = length(token & 15) + 4;
    demand(distance > 0 && distance <= end && end + match <= size, "garbled");
    for (let k = 0; k < match; k += 1, end += 1) out[end] = out[end - distance]; // may overlap itself
  }
  demand(end === size, "garbled");
  return out;
}
