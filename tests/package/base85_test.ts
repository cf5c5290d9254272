import { assertEquals, assertThrows } from "../assert.ts";
import { fromBase85, toBase85 } from "../../src/base85.ts";
import { Random } from "../../src/session/random.ts";

Deno.test("base85 writes the example of ZeroMQ's RFC 32 as it does", () => {
  const bytes = Uint8Array.of(0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b);
  assertEquals(toBase85(bytes), "HelloWorld");
  assertEquals(fromBase85("HelloWorld"), bytes);
});

Deno.test("base85 gives all bytes back, whatever their number, in a text of which JSON escapes nothing", () => {
  const random = new Random(85n);
  for (let length = 0; length < 40; length++) {
    for (
      const bytes of [
        Uint8Array.from({ length }, () => random.word() & 255),
        new Uint8Array(length),
        new Uint8Array(length).fill(255),
      ]
    ) {
      const text = toBase85(bytes);
      assertEquals(fromBase85(text), bytes);
      assertEquals(JSON.stringify(text), `"${text}"`);
      assertEquals(text.length, Math.ceil(length * 5 / 4));
    }
  }
});

Deno.test("base85 refuses what it did not write", () => {
  for (const text of ["0", "000000", "0000~", "0000é", "#####"]) assertThrows(() => fromBase85(text), SyntaxError);
});
