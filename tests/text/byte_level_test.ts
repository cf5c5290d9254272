import { assert, assertEquals } from "../assert.ts";
import { bytesOfPiece, charOfByte, isByteLevel } from "../../src/text/byte_level.ts";

Deno.test("charOfByte() gives 256 different printable characters", () => {
  const chars = Array.from({ length: 256 }, (_, byte) => charOfByte(byte));
  assertEquals(new Set(chars).size, 256);
  for (const char of chars) assert(!/[\s\p{C}]/u.test(char), `U+${char.charCodeAt(0).toString(16)}`);
});

Deno.test("charOfByte() spells space, newline and NUL as GPT-2 does", () => {
  assertEquals(charOfByte(0x20), "Ġ");
  assertEquals(charOfByte(0x0a), "Ċ");
  assertEquals(charOfByte(0x00), "Ā");
  assertEquals(charOfByte(0x41), "A");
  assertEquals(charOfByte(0xad), "Ń");
});

Deno.test("bytesOfPiece() undoes charOfByte()", () => {
  const piece = Array.from({ length: 256 }, (_, byte) => charOfByte(byte)).join("");
  assertEquals([...bytesOfPiece(piece)], Array.from({ length: 256 }, (_, byte) => byte));
});

Deno.test("isByteLevel() refuses characters outside the alphabet", () => {
  assert(isByteLevel("Ġthe"));
  assert(isByteLevel(""));
  for (const piece of [" the", "a\n", "語", "a\u00ad", "👍"]) assert(!isByteLevel(piece), piece);
});
