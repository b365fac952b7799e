/** Unpacks `craftnet.json.lz4.v1`: docs/websocket.md, "Subprotocols". */

import { DICTIONARY } from "./dictionary.js";

const MOST = 65_536; // bytes of a message

/** A packed message that is none. */
export class GarbledError extends Error {
  override name = "GarbledError";
}

function demand(holds: boolean): asserts holds {
  if (!holds) throw new GarbledError("not an LZ4 block of the size that it says");
}

/**
 * Unpacks one LZ4 block to exactly `size` bytes, which may refer to `dictionary` as if that stood in front of them.
 * Never makes room for more. Throws GarbledError.
 */
export function unpackBlock(packed: Uint8Array, size: number, dictionary: Uint8Array = new Uint8Array()): Uint8Array {
  const out = new Uint8Array(dictionary.length + size);
  out.set(dictionary);
  let [at, end] = [0, dictionary.length];
  const next = (): number => {
    demand(at < packed.length);
    return packed[at++]!;
  };
  const length = (nibble: number): number => {
    let sum = nibble;
    for (let octet = nibble === 15 ? 255 : 0; octet === 255; sum += octet) octet = next();
    return sum;
  };
  for (;;) {
    const token = next();
    const literals = length(token >> 4);
    demand(at + literals <= packed.length && end + literals <= out.length);
    out.set(packed.subarray(at, at + literals), end);
    at += literals;
    end += literals;
    if (at === packed.length) break; // the last sequence is literals only
    const distance = next() | (next() << 8);
    const match = length(token & 15) + 4;
    demand(distance > 0 && distance <= end && end + match <= out.length);
    for (let k = 0; k < match; k += 1, end += 1) out[end] = out[end - distance]!; // may overlap itself
  }
  demand(end === out.length);
  return out.subarray(dictionary.length);
}

const known = new Map<number, Uint8Array>([[0, new Uint8Array()]]); // dictionaries never change

async function dictionary(id: number, url: string, get: typeof fetch): Promise<Uint8Array> {
  if (id === 1 && !known.has(1))
    known.set(
      1,
      Uint8Array.from(atob(DICTIONARY), (char) => char.charCodeAt(0)),
    );
  const held = known.get(id);
  if (held) return held;
  const response = await get(`${url}/ws/dictionaries/${id}`);
  if (!response.ok) throw new Error(`no dictionary ${id}: ${response.status}`);
  const fetched = new Uint8Array(await response.arrayBuffer());
  known.set(id, fetched);
  return fetched;
}

/** The JSON of a binary message; `url` is the server's, for dictionaries that this version does not have. */
export async function unpack(octets: Uint8Array, url: string, get: typeof fetch): Promise<string> {
  demand(octets.length > 4);
  const size = (octets[1]! << 16) | (octets[2]! << 8) | octets[3]!;
  demand(size <= MOST);
  return new TextDecoder().decode(unpackBlock(octets.subarray(4), size, await dictionary(octets[0]!, url, get)));
}
