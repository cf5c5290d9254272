/** `qdq` of the library against what the program stores and computes. */
import { decodeRow } from "../../src/formats/decode.ts";
import { decode, ELEMENTS } from "../../src/formats/elements.ts";
import { encodeFp8, encodeMxRow, encodePlain } from "../../src/formats/encode.ts";
import { isMxFormat, isPlain, mxElementOf } from "../../src/formats/format.ts";
import { quantizeQ8 } from "../../src/formats/q8_0.ts";
import { qdqRow } from "../../src/formats/qdq.ts";
import { decodeE8m0 } from "../../src/formats/scales.ts";
import { FORMATS, qdq } from "../../src/library/formats.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { integers, normals } from "../formats/seeded.ts";

const COLUMNS = 80;
const exponent = integers(2);
// From far below what every format can hold to far above.
const values = normals(1, 5 * COLUMNS).map((x) => x * 2 ** (exponent() % 40 - 20));
const rows = Array.from({ length: 5 }, (_, r) => values.subarray(r * COLUMNS, (r + 1) * COLUMNS));
const bits = (numbers: Float32Array) => [...new Uint32Array(numbers.slice().buffer)];
const decodeFp8 = (code: number) => decode(ELEMENTS.e4m3fn, code);
const joined = (parts: readonly Float32Array[]) => Float32Array.from(parts.flatMap((part) => [...part]));

for (const format of FORMATS) {
  Deno.test(`library: qdq() of ${format} is what its stored bytes decode to`, () => {
    const before = bits(values);
    for (const rule of ["even", "floor", "rceil"] as const) {
      const expected = rows.map((row) => {
        if (format === "q8_0") {
          const codes = new Float32Array(COLUMNS);
          const scales = [0, 32, 64].map((start) => quantizeQ8(row, start, Math.min(start + 32, COLUMNS), codes));
          return codes.map((code, i) => code * scales[i >> 5]!);
        }
        if (format === "mxfp8") {
          const { codes, scales } = encodeMxRow(row, "e4m3fn", rule);
          return Float32Array.from(codes, (code, i) => decodeFp8(code) * decodeE8m0(scales[i >> 5]!));
        }
        if (isMxFormat(format)) {
          const { codes, scales } = encodeMxRow(row, mxElementOf(format), rule);
          return decodeRow(format, codes, COLUMNS, scales);
        }
        if (isPlain(format)) return decodeRow(format, encodePlain(row, format), COLUMNS, null);
        const element = format === "fp8_e4m3" ? ELEMENTS.e4m3fn : ELEMENTS.e4m3fnuz;
        return decodeRow(format, encodeFp8(row, 0.375, element), COLUMNS, 0.375);
      });
      assertEquals(bits(qdq(values, format, { columns: COLUMNS, rule, scale: 0.375 })), bits(joined(expected)));
    }
    assertEquals(bits(values), before);
  });
}

Deno.test("library: qdq() makes scales of MX formats by the rule that models have for them", () => {
  for (const [format, rule] of [["mxfp4", "even"], ["mxfp6_e2m3", "even"], ["mxfp8", "rceil"]] as const) {
    assertEquals(bits(qdq(values, format)), bits(qdq(values, format, { rule })), format);
  }
  // 1.9 saturates at 1.75 by the rule floor, and at a scale twice as large it is between 1.875 and 2.
  const saturating = Float32Array.of(1.9, 0.001);
  assertEquals([...qdq(saturating, "mxfp8")], [1.875, 0.0009765625]);
  assertEquals([...qdq(saturating, "mxfp8", { rule: "floor" })], [1.75, 0.0009765625]);
});

Deno.test("library: qdq() of fp8_e4m3 without a scale is what an input with a scale per token goes through", () => {
  const expected = joined(rows.map((row) => qdqRow(row, { kind: "fp8_token" }, false)));
  assertEquals(bits(qdq(values, "fp8_e4m3", { columns: COLUMNS })), bits(expected));
});

Deno.test("library: qdq() refuses what is no format, no rows or no scale", () => {
  assertThrows(() => qdq(values, "mxfp9" as "mxfp4"), RangeError, "expected bf16, f32");
  assertThrows(() => qdq(values, "mxfp4", { columns: 7 }), RangeError, "a divisor of 400");
  assertThrows(() => qdq(values, "mxfp4", { columns: 0 }), RangeError, "got 0");
  for (const scale of [0, -1, NaN, Infinity, 1e-60]) {
    assertThrows(() => qdq(values, "fp8_e4m3", { scale }), RangeError, "a positive float32 number");
  }
  assertThrows(() => qdq(values, "fp8_e4m3fnuz"), RangeError, "got token");
  assertEquals(qdq(new Float32Array(), "mxfp4").length, 0);
});

Deno.test("library: qdq() refuses a rule and an option that it does not know, whatever the format", () => {
  const refused = (options: Record<string, unknown>, message: string) => {
    for (const format of FORMATS) assertThrows(() => qdq(values, format, options), RangeError, message);
  };
  // AMD Quark has this one, too: other numbers under its name would be taken for its own.
  refused({ rule: "ceil" }, "rule: expected even, floor, rceil, got ceil");
  refused({ rule: null }, "rule: expected even, floor, rceil, got null");
  refused({ scale_rule: "floor" }, "options: expected columns, rule, scale, got scale_rule");
});
