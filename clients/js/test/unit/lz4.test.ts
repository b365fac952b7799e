import { readFileSync } from "node:fs";

import { describe, expect, test, vi } from "vitest";

import { DICTIONARY } from "../../src/dictionary.js";
import { GarbledError, unpack, unpackBlock } from "../../src/lz4.js";

const octets = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));
const text = (block: Uint8Array) => new TextDecoder().decode(block);

test("the dictionary is the server's", () => {
  const file = new URL("../../../../craftnet/protocols/websocket/dictionaries/1.lz4dict", import.meta.url);
  expect(DICTIONARY).toBe(readFileSync(file).toString("base64"));
});

describe("a block", () => {
  test("of literals, of matches that overlap themselves, and of those in the dictionary", () => {
    expect(text(unpackBlock(octets("30616263"), 3))).toBe("abc");
    expect(text(unpackBlock(octets("1361010010 62".replace(" ", "")), 9))).toBe("aaaaaaaab".slice(0, 9));
    expect(text(unpackBlock(octets("030400 1064".replace(" ", "")), 8, new TextEncoder().encode("abcd")))).toBe(
      "abcdabcd".slice(0, 7) + "d",
    );
  });

  test.each([
    ["", 1],
    ["30616263", 2],
    ["30616263", 4],
    ["3061", 3],
    ["0001001061", 5],
    ["1361000010 62".replace(" ", ""), 9],
    ["f0ff", 300],
  ])("%s of %i bytes is refused", (block, size) => {
    expect(() => unpackBlock(octets(block), size)).toThrow(GarbledError);
  });
});

describe("a message", () => {
  test("names its dictionary, which is fetched once when this version does not have it", async () => {
    const preset = new TextEncoder().encode("abcd");
    const get = vi.fn(async (_: string) => new Response(preset));
    for (const _ of [1, 2])
      expect(await unpack(octets("09000008030400 1064".replace(" ", "")), "https://h", get as never)).toBe("abcdabcd");
    expect(get).toHaveBeenCalledExactlyOnceWith("https://h/ws/dictionaries/9");
  });

  test("of a dictionary that there is not is an error", async () => {
    const get = async () => new Response("", { status: 404 });
    await expect(unpack(octets("0800000330616263"), "https://h", get as never)).rejects.toThrow("no dictionary 8: 404");
  });

  test.each(["00000003", "0001000130616263"])("%s is refused before room is made for it", async (message) => {
    await expect(unpack(octets(message), "", fetch)).rejects.toThrow(GarbledError);
  });
});
