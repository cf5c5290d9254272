import { ELEMENTS } from "../../src/formats/elements.ts";
import { packCodes } from "../../src/formats/encode.ts";
import { bytesOf, isMxFormat, isPlain } from "../../src/formats/format.ts";
import { decodeE8m0 } from "../../src/formats/scales.ts";
import { integers, normals } from "../formats/seeded.ts";
import { assertSameBits, F32, Machine } from "./module.ts";
import { FORMATS, storageName, STORAGES, storeMatrix } from "./weights.ts";

for (const storage of STORAGES) {
  for (const cols of [1, 30, 31, 64, 77]) {
    Deno.test(`decode() dequantizes rows (${storageName(storage)}, ${cols} columns)`, () => {
      const machine = new Machine();
      const rows = Array.from({ length: 11 }, (_, r) => normals(r, cols, 3));
      const { values, factors, words } = storeMatrix(machine, rows, storage);
      const stride = Math.ceil(cols / 4) * 4;
      const out = machine.floats(rows.length * stride);
      machine.run("decode", [out.address, stride, ...words], rows.length, [out]);
      values.forEach((row, r) => {
        const expected = row.map((v) => v * factors[r]!);
        assertSameBits(out.data.subarray(r * stride, r * stride + cols), expected, `row ${r}`);
      });
    });
  }
}

for (const [format, name] of [["mxfp4", "e2m1"], ["mxfp6_e3m2", "e3m2"], ["mxfp6_e2m3", "e2m3"]] as const) {
  Deno.test(`decode() is exact for every code and scale byte (${format})`, () => {
    const machine = new Machine();
    const { values, bits } = ELEMENTS[name];
    const codes = Array.from({ length: 64 }, (_, i) => i % values.length);
    const row = packCodes(codes, bits);
    // Row r has scale byte r.
    const weight = machine.bytes(row, 1), scales = machine.bytes(Array.from({ length: 512 }, (_, i) => i >> 1), 1);
    const out = machine.floats(256 * 64);
    const words = [FORMATS.indexOf(format), 0, 256, 64, weight.address, 0, scales.address, 2, 1];
    machine.run("decode", [out.address, 64, ...words], 256, [out]);
    const expected = Float32Array.from({ length: 256 * 64 }, (_, i) => values[codes[i % 64]!]! * decodeE8m0(i >> 6));
    assertSameBits(out.data, expected);
  });
}

for (const [format, name] of [["fp8_e4m3", "e4m3fn"], ["fp8_e4m3fnuz", "e4m3fnuz"]] as const) {
  Deno.test(`decode() is exact for every code (${format})`, () => {
    const machine = new Machine();
    const weight = machine.bytes(Array.from({ length: 256 }, (_, i) => i), 7), out = machine.floats(256);
    const words = [FORMATS.indexOf(format), 0, 1, 256, weight.address, 256, new F32(0.1), 0, 2];
    machine.run("decode", [out.address, 256, ...words], 1, [out]);
    assertSameBits(out.data, ELEMENTS[name].values.map((v) => v * Math.fround(0.1)));
  });
}

Deno.test("decode() reads nothing behind weights and scales where the memory ends", () => {
  for (const [number, format] of FORMATS.entries()) {
    for (const cols of [1, 30, 31, 33, 63, 64]) {
      const next = integers(cols), bytes = bytesOf(format, cols), blocks = Math.ceil(cols / 32), rows = 3;
      const codes = Uint8Array.from({ length: rows * bytes }, next), scales = new Uint8Array(rows * blocks).fill(130);
      const decode = (end: "codes" | "scales" | "none") => {
        const machine = new Machine(1), out = machine.floats(rows * 64);
        const place = (what: Uint8Array, last: boolean) => (last ? machine.last(what) : machine.bytes(what, 1)).address;
        const scale = isMxFormat(format)
          ? [place(scales, end === "scales"), blocks, 1]
          : [new F32(1), 0, isPlain(format) ? 0 : 2];
        const words = [number, 0, rows, cols, place(codes, end === "codes"), bytes, ...scale];
        machine.run("decode", [out.address, 64, ...words], rows, [out]);
        return out.data.slice();
      };
      for (const end of ["codes", "scales"] as const) {
        if (end === "codes" || isMxFormat(format)) assertSameBits(decode(end), decode("none"), `${format}, ${end}`);
      }
    }
  }
});
