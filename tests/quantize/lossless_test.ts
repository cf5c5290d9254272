import { decodeRow } from "../../src/formats/decode.ts";
import { encodeMxRow, packCodes } from "../../src/formats/encode.ts";
import { assertEquals } from "../assert.ts";

/** Scale bytes with which all numbers of a block are finite in float32: 6 * 2^(252 - 127) is, twice that is not. */
const SCALES = 253;

Deno.test("encodeMxRow() makes an MXFP6 block of the numbers of every MXFP4 block without loss", () => {
  for (const element of ["e3m2", "e2m3"] as const) {
    for (let byte = 0; byte < SCALES; byte++) {
      for (let largest = 0; largest < 8; largest++) {
        const codes = Array.from({ length: 32 }, (_, i) => Math.min(i % 8, largest) | (i % 3 === 0 ? 8 : 0));
        const numbers = decodeRow("mxfp4", packCodes(codes, 4), 32, Uint8Array.of(byte));
        const { codes: six, scales } = encodeMxRow(numbers, element, "even");
        assertEquals(decodeRow(`mxfp6_${element}`, six, 32, scales), numbers, `${element}, byte ${byte}, ${largest}`);
      }
    }
  }
});
