import { qdqRow, quantizeFp8 } from "../../src/formats/qdq.ts";
import { assertEquals } from "../assert.ts";
import { assertSameBits, F32, Machine } from "./module.ts";
import { awkwardRows, INPUTS } from "./inputs.ts";
import { preparedOrder } from "./twins.ts";

for (const width of [1, 31, 64, 72]) {
  for (const [name, input, words] of INPUTS) {
    Deno.test(`prepare() quantizes, reorders and pads (${name}, width ${width})`, () => {
      for (const round of [false, true]) {
        const machine = new Machine();
        const rows = awkwardRows(width), stride = Math.ceil(width / 4) * 4, outStride = Math.ceil(width / 32) * 32;
        const x = machine.floats(rows.length * stride), out = machine.floats(rows.length * outStride);
        rows.forEach((row, r) => x.data.set(row, r * stride));
        const all = [out.address, outStride, x.address, stride, width, ...words, +round, 0, 0, 0, 0];
        machine.run("prepare", all, rows.length, [out]);
        rows.forEach((row, r) => {
          const got = out.data.subarray(r * outStride, (r + 1) * outStride);
          const expected = preparedOrder(qdqRow(row, input, round));
          // The padding of a block or row that is NaN is NaN too.
          assertSameBits(
            got.filter((_, i) => IS_COLUMN(i, width)),
            expected.filter((_, i) => IS_COLUMN(i, width)),
            `row ${r}`,
          );
          if (!expected.some(Number.isNaN)) assertSameBits(got, expected, `row ${r}`);
        });
      }
    });
  }
}

/** A row of numbers beside powers of two, above and below: what rounds up to a larger power. */
function besidePowers(width: number, largest: number): Float32Array {
  const row = Float32Array.from({ length: width }, (_, i) => 2 ** -(i >> 2));
  const bits = new Uint32Array(row.buffer);
  // One or two below, on it, one above; in turns of either sign.
  bits.forEach((number, i) => bits[i] = number + [-1, -2, 0, 1][i % 4]! | (i >> 2) % 2 << 31);
  row[0] = largest;
  return row;
}

for (const [name, input, words] of INPUTS) {
  Deno.test(`prepare() rounds numbers beside powers of two as src/formats does (${name})`, () => {
    const width = 32, machine = new Machine();
    const rows = [1, 1.25, 1.5, 1.75, 1.9, 2, 4, 6, 7.5, 28].map((largest) => besidePowers(width, largest));
    const x = machine.floats(rows.length * width), out = machine.floats(rows.length * width);
    rows.forEach((row, r) => x.data.set(row, r * width));
    machine.run("prepare", [out.address, width, x.address, width, width, ...words, 0, 0, 0, 0, 0], rows.length, [out]);
    rows.forEach((row, r) => {
      const expected = preparedOrder(qdqRow(row, input, false));
      assertSameBits(out.data.subarray(r * width, (r + 1) * width), expected, `row ${r}`);
    });
  });
}

for (const [name, input, words] of INPUTS.filter(([, { kind }]) => kind === "mx")) {
  Deno.test(`prepare() and qdq() know the NaN whose bits are next to an infinity's (${name})`, () => {
    assertEquals(input.kind, "mx");
    const machine = new Machine(), x = machine.integers(32), out = machine.floats(32);
    for (const bits of [0x7f80_0001, 0xff80_0001]) {
      x.data[17] = bits;
      for (const [kernel, last] of [["prepare", [0, 0, 0, 0]], ["qdq", []]] as const) {
        const strides = kernel === "prepare" ? [out.address, 32, x.address, 32, 32] : [out.address, x.address, 32, 32];
        machine.run(kernel, [...strides, ...words, 0, ...last], 1, [out]);
        assertSameBits(out.data, new Array(32).fill(NaN), kernel);
      }
    }
  });
}

/** Whether place i of a prepared row holds a column. */
const IS_COLUMN = (i: number, width: number): boolean =>
  8 * Math.floor(i / 8) + [0, 2, 4, 6, 1, 3, 5, 7][i % 8]! < width;

for (const [name, input, words] of INPUTS.filter(([, { kind }]) => kind.startsWith("fp8"))) {
  Deno.test(`prepare() leaves the scale to the epilogue (${name})`, () => {
    const machine = new Machine();
    const width = 72, rows = awkwardRows(width);
    const x = machine.floats(rows.length * width), out = machine.floats(rows.length * 96);
    const scales = machine.floats(rows.length);
    rows.forEach((row, r) => x.data.set(row, r * width));
    const all = [out.address, 96, x.address, width, width, ...words, 1, scales.address, 0, 0, 0];
    machine.run("prepare", all, rows.length, [out, scales]);
    rows.forEach((row, r) => {
      if (input.kind !== "fp8_static" && input.kind !== "fp8_token") throw new TypeError(input.kind);
      const { values, scale } = quantizeFp8(row, input);
      assertSameBits([scales.data[r]!], [Math.fround(scale)], `scale of row ${r}`);
      const got = out.data.subarray(r * 96, (r + 1) * 96);
      const expected = preparedOrder(values);
      assertSameBits(
        got.filter((_, i) => IS_COLUMN(i, width)),
        expected.filter((_, i) => IS_COLUMN(i, width)),
        `row ${r}`,
      );
    });
  });
}

Deno.test("prepare() writes the order that ABI.md names", () => {
  const machine = new Machine();
  const x = machine.floats(Array.from({ length: 20 }, (_, i) => i)), out = machine.floats(32);
  machine.run("prepare", [out.address, 32, x.address, 20, 20, 0, 0, new F32(0), 0, 0, 0, 0, 0], 1, [out]);
  const zeros = [0, 0, 0, 0];
  const tail = [16, 18, 0, 0, 17, 19, 0, 0, ...zeros, ...zeros];
  assertSameBits(out.data, [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15, ...tail]);
});
