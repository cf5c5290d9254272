/** `linear` for one input row over every code of the formats that are decoded as they multiply, four rows together. */
import { decodeRow } from "../../src/formats/decode.ts";
import { packCodes } from "../../src/formats/encode.ts";
import { assert, assertEquals } from "../assert.ts";
import { linear } from "./linear.ts";
import { assertSameBits, F32, Machine } from "./module.ts";
import { FORMATS, type Matrix } from "./weights.ts";

const COLS = 64, ROWS = 8;
/** Formats, the bits of a code, and codes that are NaN. */
const CODES = [
  ["mxfp4", 4, []],
  ["mxfp6_e3m2", 6, []],
  ["mxfp6_e2m3", 6, []],
  ["fp8_e4m3", 8, [0x7f, 0xff]],
  ["fp8_e4m3fnuz", 8, [0x80]],
] as const;

/** A matrix of given codes, [row][column]; scales are 1 in even blocks and 4 in odd ones. */
function store(machine: Machine, format: typeof CODES[number][0], codes: readonly number[][]): Matrix {
  const packed = codes.map((row) =>
    format === "mxfp4" ? packCodes(row, 4) : format.startsWith("mx") ? packCodes(row, 6) : Uint8Array.from(row)
  );
  const stride = packed[0]!.length, mx = format.startsWith("mx"), scales = Uint8Array.of(127, 129);
  const address = machine.bytes(Uint8Array.from(packed.flatMap((row) => [...row])), 1).address;
  const bytes = mx ? machine.bytes(Uint8Array.from(codes.flatMap(() => [...scales])), 1).address : 0;
  const scale = mx ? [bytes, scales.length, 1] : [new F32(1), 0, 2];
  return {
    values: packed.map((row) => decodeRow(format, row, COLS, mx ? scales : 1)),
    factors: codes.map(() => 1),
    words: [FORMATS.indexOf(format), 0, codes.length, COLS, address, stride, ...scale],
  };
}

for (const [format, bits, nans] of CODES) {
  const all = Array.from({ length: 2 ** bits }, (_, code) => code).filter((code) => !nans.some((nan) => nan === code));
  const codes = Array.from(
    { length: ROWS },
    (_, row) => Array.from({ length: COLS }, (_, col) => all[(row * COLS + col) % all.length]!),
  );

  Deno.test(`linear() multiplies every number of ${format} by one, exactly`, () => {
    const machine = new Machine(), matrix = store(machine, format, codes);
    for (let col = 0; col < COLS; col++) {
      const x = Float32Array.from({ length: COLS }, (_, i) => +(i === col));
      const [[out]] = linear(machine, [{ matrix, x: [x] }]) as [[Float32Array]];
      // A sum of zeros of either sign is 0.
      assertSameBits(out, matrix.values.map((row) => row[col]! || 0), `column ${col}`);
    }
  });

  if (nans.length === 0) continue;
  Deno.test(`linear() finds every NaN of ${format}, and leaves rows without one as they are`, () => {
    for (const [i, nan] of nans.entries()) {
      for (const col of [0, 15, 16, 63]) {
        const machine = new Machine(), sick = codes.map((row) => [...row]), x = [new Float32Array(COLS).fill(0.5)];
        const [[expected]] = linear(machine, [{ matrix: store(machine, format, codes), x }]) as [[Float32Array]];
        sick[3 + i]![col] = nan;
        const [[out]] = linear(machine, [{ matrix: store(machine, format, sick), x }]) as [[Float32Array]];
        assert(Number.isNaN(out[3 + i]), `code ${nan} in column ${col}`);
        assertEquals(out.filter(Number.isNaN).length, 1);
        out.forEach((value, row) => row === 3 + i || assertEquals(value, expected[row]));
      }
    }
  });
}
