import { assert, assertEquals } from "../assert.ts";
import { byteOfCode, bytesOfPiece, charOfByte, isByteLevel, utf8Length } from "../../src/text/byte_level.ts";

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

Deno.test("byteOfCode() undoes charOfByte(), and is -1 for all other characters", () => {
  const bytes = new Map(Array.from({ length: 256 }, (_, byte) => [charOfByte(byte).charCodeAt(0), byte]));
  for (let code = 0; code < 0x1_0000; code++) assertEquals(byteOfCode(code), bytes.get(code) ?? -1, `${code}`);
});

Deno.test("utf8Length() is what TextEncoder writes, of every character", () => {
  const encoder = new TextEncoder();
  const points = [0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x1_0000, 0x10_ffff];
  const texts = ["", ...points.map((point) => String.fromCodePoint(point))];
  for (const text of [...texts, texts.join("a")]) assertEquals(utf8Length(text), encoder.encode(text).length, text);
});
