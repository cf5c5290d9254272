import { assertEquals } from "../assert.ts";
import { fromHalves, halves } from "../../src/packs.ts";

Deno.test("halves() puts bytes at even places first, and fromHalves() undoes it, whatever the length", () => {
  assertEquals([...halves(Uint8Array.of(1, 2, 3, 4, 5))], [1, 3, 5, 2, 4]);
  assertEquals([...halves(Uint8Array.of(1, 2, 3, 4))], [1, 3, 2, 4]);
  for (let length = 0; length < 9; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => i + 1);
    assertEquals(fromHalves(halves(bytes)), bytes);
  }
});
