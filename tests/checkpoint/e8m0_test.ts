import { indexOfNan } from "../../src/checkpoint/e8m0.ts";
import { assertEquals } from "../assert.ts";

Deno.test("indexOfNan() finds the first byte 255 among bytes with and without the highest bit", () => {
  for (const others of [0, 120, 127, 128, 254]) {
    for (const length of [0, 1, 31, 32, 33, 64, 100]) {
      for (const offset of [0, 1, 4]) {
        const bytes = new Uint8Array(200).fill(255).subarray(offset, offset + length).fill(others);
        const found = (at: number) => {
          const before = bytes[at]!;
          bytes[at] = 255;
          const index = indexOfNan(bytes);
          bytes[at] = before;
          return index;
        };
        assertEquals(indexOfNan(bytes), -1, `${length} bytes of ${others} from ${offset}`);
        for (let at = 0; at < length; at++) assertEquals(found(at), at, `${length} bytes of ${others} from ${offset}`);
      }
    }
  }
});
