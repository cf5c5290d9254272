import { QuantizedCounter, quantizedTensors } from "../../src/eval/quantized_tensors.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { fp8Scale } from "../../src/conversion/encode_matrix.ts";
import { ELEMENTS, quantize } from "../../src/formats/elements.ts";
import type { InputFormat } from "../../src/formats/input.ts";
import { qdqRow } from "../../src/formats/qdq.ts";
import { rotateRow } from "../../src/formats/rotation.ts";
import { planModel } from "../../src/plan/planned.ts";
import { unpack } from "../model/quark_exports.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";

const ORIGIN = { sequence: 0, start: 0, perToken: 1 };

function counterOf(format: InputFormat): QuantizedCounter {
  return new QuantizedCounter({ name: "x", layer: 0, operation: "inputNorm", format });
}

Deno.test("QuantizedCounter counts what a static FP8 scale clips and flushes", () => {
  const counter = counterOf({ kind: "fp8_static", scale: 0.5 });
  // In units of the scale: 448 fits, 432 rounds up to it, 431.9 does not, 2^-10 goes to 0, 1.1 * 2^-10 does not.
  const values = Float32Array.of(224, -224.5, 216, 215.9, 1000, 0, 2 ** -11, 1.1 * 2 ** -11);
  counter.add(values, 8, ORIGIN);
  const { elements, clipped, atMax, flushed, format, scale } = counter.counts();
  assertEquals({ elements, clipped, atMax, flushed }, { elements: 8, clipped: 2, atMax: 4, flushed: 1 });
  assertEquals([format, scale], ["fp8 static", 0.5]);
});

Deno.test("QuantizedCounter counts as quantize-dequantize to Q8_0 does: nothing is clipped", () => {
  const counter = counterOf({ kind: "q8_0" });
  // Scales of 1 and of 1311 * 2^-16, which is below 0.02 * 1.0002.
  const row = new Float32Array(64);
  row.set([127, 0.5, 0.6, -127, 0.1]);
  row.set([2.54, -0.009, 0.02], 32);
  counter.add(row, 64, ORIGIN);
  const { elements, clipped, atMax, flushed, format, scale, error } = counter.counts();
  assertEquals({ elements, clipped, atMax, flushed }, { elements: 64, clipped: 0, atMax: 3, flushed: 3 });
  assertEquals([format, scale], ["q8_0", null]);
  const left = qdqRow(row, { kind: "q8_0" }, false);
  const sum = (values: Iterable<number>) => [...values].reduce((all, x) => all + x ** 2, 0);
  assertAlmostEquals(error, Math.sqrt(sum(row.map((x, i) => left[i]! - x)) / sum(row)), 1e-9);
});

for (const element of ["e2m1", "e3m2", "e2m3", "e4m3fn"] as const) {
  Deno.test(`QuantizedCounter counts as quantize-dequantize in MX ${element} does`, () => {
    const format: InputFormat = { kind: "mx", element, rule: "even" };
    let state = 7;
    const row = Float32Array.from({ length: 32 * 60 }, (_, i) => {
      state = state * 48271 % 2147483647;
      return (state / 2147483647 - 0.5) ** 3 * 2 ** (i % 13);
    });
    const counter = counterOf(format);
    counter.add(row, 32 * 20, ORIGIN);
    const left = qdqRow(row, format, false);
    const zeros = left.filter((y, i) => y === 0 && row[i] !== 0).length;
    // The scale of each block, from an element that is not near either end: by brute force over all powers of two.
    const { max } = ELEMENTS[element];
    let atMax = 0, clipped = 0;
    for (let start = 0; start < row.length; start += 32) {
      const block = row.subarray(start, start + 32), out = left.subarray(start, start + 32);
      const scale = Array.from({ length: 200 }, (_, i) => 2 ** (i - 100)).find((s) =>
        block.every((x, i) => quantize(ELEMENTS[element], x / s) * s === out[i]) &&
        block.every((x) => Math.abs(x / s) < max * 1.17)
      )!;
      assert(scale !== undefined);
      block.forEach((x, i) => {
        if (Math.abs(out[i]!) === max * scale) atMax++;
        if (Math.abs(x) > max * scale) clipped++;
      });
    }
    const counts = counter.counts();
    assertEquals(counts.elements, row.length);
    assertEquals([counts.flushed, counts.atMax, counts.clipped], [zeros, atMax, clipped]);
    assert(atMax > 0 && zeros > 0);
  });
}

Deno.test("QuantizedCounter counts what a quotient that is rounded to a half-way point becomes", () => {
  const scale = Math.fround(3.7e-5), row = Float32Array.of(432 * scale, 1);
  // Below half-way to the largest number, until it is divided.
  assert(row[0]! < 432 * scale);
  assertEquals(quantize(ELEMENTS.e4m3fn, Math.fround(row[0]! / scale)), 448);
  const counter = counterOf({ kind: "fp8_static", scale });
  counter.add(row, 2, ORIGIN);
  const { atMax, clipped } = counter.counts();
  assertEquals([atMax, clipped], [2, 1]);
});

Deno.test("QuantizedCounter does not take the number that an FP8 scale is made of for clipped", () => {
  let rounded = 0;
  for (let i = 0; i < 200; i++) {
    const amax = Math.fround(3 + Math.sin(i)), row = Float32Array.of(amax, -amax, amax / 2, 0.1);
    const scale = fp8Scale(amax), token = counterOf({ kind: "fp8_token" });
    if (amax > 448 * scale) rounded++;
    token.add(row, 4, ORIGIN);
    assertEquals([token.counts().clipped, token.counts().atMax], [0, 2], `per token, ${amax}`);
    const fixed = counterOf({ kind: "fp8_static", scale });
    fixed.add(row, 4, ORIGIN);
    assertEquals(fixed.counts().clipped, 0, `static, ${amax}`);
    fixed.add(row.map((x) => x * 1.001), 4, ORIGIN);
    assertEquals(fixed.counts().clipped, 2, `static, beyond ${amax}`);
  }
  assert(rounded > 50, `${rounded} scales below what they are made of`);
});

Deno.test("QuantizedCounter measures the error of quantize-dequantize", () => {
  const counter = counterOf({ kind: "fp8_token" });
  counter.add(Float32Array.of(448, 17, 0, 0), 4, ORIGIN);
  // 17 becomes 16.
  assertAlmostEquals(counter.counts().error, 1 / Math.hypot(448, 17), 1e-9);
  // What the format has all of is lost in nothing.
  const exact = counterOf({ kind: "mx", element: "e2m1", rule: "even" });
  exact.add(Float32Array.from({ length: 32 }, (_, i) => [0, 0.5, -1, 1.5, 2, -3, 4, 6][i % 8]!), 32, ORIGIN);
  assertEquals([exact.counts().error, counterOf({ kind: "fp8_token" }).counts().error], [0, 0]);
});

Deno.test("QuantizedCounter measures all rows, as quantize-dequantize does, with an interval by texts", () => {
  const width = 96,
    formats: InputFormat[] = [
      { kind: "fp8_static", scale: 0.03 },
      { kind: "fp8_token" },
      ...(["e2m1", "e3m2", "e2m3"] as const).map((element) => ({ kind: "mx", element, rule: "even" } as const)),
      { kind: "mx", element: "e4m3fn", rule: "rceil" },
      { kind: "q8_0" },
    ];
  for (const format of formats) {
    const counter = counterOf(format);
    let signal = 0, error = 0;
    for (let sequence = 0; sequence < 8; sequence++) {
      const rows = Float32Array.from(
        { length: 40 * width },
        (_, i) => Math.sin(i * i + sequence) * 2 ** (i % 7 - 3),
      );
      counter.add(rows, width, { sequence, start: 0, perToken: 1 });
      for (let at = 0; at < rows.length; at += width) {
        const row = rows.subarray(at, at + width);
        qdqRow(row, format, false).forEach((y, i) => {
          signal += row[i]! ** 2;
          error += (y - row[i]!) ** 2;
        });
      }
    }
    const found = counter.counts(), { low, high } = found.errorInterval!;
    assertAlmostEquals(found.error, Math.sqrt(error / signal), 1e-12);
    assert(low < found.error && found.error < high && high < 1.2 * low, `${low} ${found.error} ${high}`);
  }
  const one = counterOf({ kind: "fp8_token" });
  one.add(Float32Array.of(448, 17, 0, 0), 4, ORIGIN);
  assertEquals(one.counts().errorInterval, null);
});

Deno.test("quantizedTensors() rotates what is quantized, and rounds as the model does", () => {
  using dir = unpack("rotation_online_32");
  for (const dtype of ["bf16", "f32"] as const) {
    const { source } = planModel(openCheckpoint(dir.path), { dtype, kvCacheDtype: "auto" });
    const rotated = quantizedTensors(source, { dtype, kvFormat: "bf16" }).filter(({ rotate }) => rotate !== undefined);
    const names = ["q_proj", "k_proj", "v_proj", "experts.gate_up_proj"].map((name) => `${name}.input`);
    assertEquals(rotated.map(({ name }) => name), source.tree.layers.flatMap(() => names));
    const { rotation, weight } = source.tree.layers[0]!.q;
    const row = Float32Array.from({ length: weight.cols }, (_, i) => Math.sin(i * i) * 3);
    assertEquals(rotated[0]!.rotate!(row), rotateRow(row, rotation!, dtype === "bf16"));
  }
});
