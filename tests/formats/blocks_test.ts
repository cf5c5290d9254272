/** QDQ against what Quark, ml_dtypes, ggml and others leave of 131,072 blocks; see tests/goldens/quant/README.md. */
import { type InputFormat, MX_INPUT, type MxInputElement } from "../../src/formats/input.ts";
import { roundAllToBf16, roundToBf16 } from "../../src/formats/bf16.ts";
import { ELEMENTS, encode } from "../../src/formats/elements.ts";
import { BLOCK, type ScaleRule } from "../../src/formats/format.ts";
import { quantizeQ8 } from "../../src/formats/q8_0.ts";
import { qdqRow } from "../../src/formats/qdq.ts";
import { decodeE8m0, fp8TokenScale, largestMagnitude, scaleByte } from "../../src/formats/scales.ts";
import { assert, assertEquals } from "../assert.ts";
import { floats, readGolden } from "../golden.ts";
import { dose, everyNth, SOAK } from "../soak.ts";
import { BLOCKS, blocks, canonical, HALVES, halves, sha256, TOKEN_BLOCKS, tokenRows } from "./blocks.ts";

const goldens = readGolden("quant/blocks.safetensors");
const bytes = (name: string) => {
  const data = goldens.get(name)?.data;
  if (!(data instanceof Uint8Array)) throw new Error(`no golden ${name}`);
  return data;
};
const inputBits = blocks();
const inputs = new Float32Array(inputBits.buffer);
const halfBits = halves();
const halfInputs = new Float32Array(halfBits.buffer);

const ELEMENT_NAMES = Object.keys(MX_INPUT) as MxInputElement[];
const RULES: readonly ScaleRule[] = ["even", "floor", "rceil"];

/** Blocks whose results are stored whole. */
const SAMPLE = 4096;

/** Blocks, of every family, that are tried another way too. */
const REPEATED = dose(BLOCKS / 64, BLOCKS);

/** Compares the first results with the sample, so that a mistake shows where it is, before the hash of all. */
async function assertGolden(name: string, results: Float32Array, sample: (i: number) => number, count: number) {
  for (let i = 0; i < count; i++) {
    const expected = sample(i), got = results[i]!;
    if (got !== expected && !(Number.isNaN(got) && Number.isNaN(expected))) {
      const start = i - i % BLOCK;
      throw new Error(`${name}: block ${start / BLOCK}, column ${i % BLOCK}: ${got}, expected ${expected}`);
    }
  }
  assertEquals(await sha256(canonical(results)), [...bytes(`${name}.sha256`)], `hash of all results of ${name}`);
}

Deno.test("blocks() makes the inputs that the goldens were made of", async () => {
  assertEquals(await sha256(inputBits), [...bytes("inputs.sha256")]);
  assertEquals(await sha256(halfBits), [...bytes("halves.inputs.sha256")]);
});

/** The number at a place of the stored results of an element's first blocks, of the rule that inputs have by it. */
function sampleOf(element: MxInputElement): (i: number) => number {
  if (element === "e4m3fn") {
    const codes = bytes("e4m3fn.rceil.codes"), scales = bytes("e4m3fn.rceil.bytes");
    return (i) => Math.fround(ELEMENTS.e4m3fn.values[codes[i]!]! * decodeE8m0(scales[Math.floor(i / BLOCK)]!));
  }
  const sample = new Uint16Array(bytes(`${element}.sample`).slice().buffer);
  const float = new Float32Array(1), word = new Uint32Array(float.buffer);
  return (i) => {
    word[0] = sample[i]! << 16;
    return float[0]!;
  };
}

/** SHA-256 of the scale bytes of blocks, as 32-bit words. */
function scalesHash(numbers: Float32Array, element: MxInputElement, rule: ScaleRule): Promise<number[]> {
  const scales = new Uint32Array(numbers.length / BLOCK);
  for (let b = 0; b < scales.length; b++) {
    scales[b] = scaleByte(largestMagnitude(numbers, b * BLOCK, (b + 1) * BLOCK), ELEMENTS[element], rule);
  }
  return sha256(scales);
}

for (const element of ELEMENT_NAMES) {
  for (const rule of RULES) {
    const name = `${element}.${rule}`;
    Deno.test(`qdqRow() equals the goldens of ${BLOCKS} blocks (${element}, ${rule})`, async () => {
      const results = qdqRow(inputs, { kind: "mx", element, rule }, false);
      await assertGolden(name, results, sampleOf(element), rule === MX_INPUT[element].rule ? SAMPLE * BLOCK : 0);
      if (element === "e4m3fn") {
        // Of MXFP8 the smallest results are no bf16 numbers.
        const rounded = qdqRow(inputs, { kind: "mx", element, rule }, true);
        assertEquals(await sha256(canonical(rounded)), [...bytes(`${name}.bf16.sha256`)]);
      } else {
        const rounded = qdqRow(inputs.subarray(0, REPEATED * BLOCK), { kind: "mx", element, rule }, true);
        assertEquals(canonical(rounded), canonical(results.subarray(0, rounded.length)), "results are bf16 numbers");
      }
      const second = qdqRow(halfInputs, { kind: "mx", element, rule }, false);
      await assertGolden(`halves.${name}`, second, () => NaN, 0);
    });

    Deno.test(`scaleByte() equals the goldens of ${BLOCKS + HALVES} blocks (${element}, ${rule})`, async () => {
      assertEquals(await scalesHash(inputs, element, rule), [...bytes(`${name}.scales.sha256`)]);
      assertEquals(await scalesHash(halfInputs, element, rule), [...bytes(`halves.${name}.scales.sha256`)]);
    });
  }
}

floats(goldens, "fp8_static.scales").forEach((scale, index) => {
  // Outside a soak the scales that tests/wasm/qdq_blocks_test.ts leaves out, and the first.
  if (!SOAK && index % 2 === 0 && index > 0) return;
  Deno.test(`qdqRow() equals Quark and ml_dtypes on ${BLOCKS} blocks (fp8 static, scale ${scale})`, async () => {
    const input: InputFormat = { kind: "fp8_static", scale };
    const results = qdqRow(inputs, input, false);
    const codes = bytes(`fp8_static.${index}.codes`);
    const value = (i: number) => Math.fround(ELEMENTS.e4m3fn.values[codes[i]!]! * scale);
    await assertGolden(`fp8_static.${index}`, results, value, SAMPLE * BLOCK);
    // Rounding does not know the scale: outside a soak with one of them.
    if (SOAK || index === 0) {
      const rounded = qdqRow(inputs, input, true);
      assertEquals(await sha256(canonical(rounded)), [...bytes(`fp8_static.${index}.bf16.sha256`)]);
    }
    for (let i = 0; i < dose(SAMPLE / 8, SAMPLE) * BLOCK; i++) {
      const code = encode(ELEMENTS.e4m3fn, Math.fround(inputs[i]! / scale));
      if ((code & 127) !== (codes[i]! & 127)) throw new Error(`code of ${inputs[i]}: ${code}, expected ${codes[i]}`);
    }
  });
});

const TOKEN = TOKEN_BLOCKS * BLOCK;
Deno.test(`qdqRow() equals Quark and ml_dtypes on rows of ${TOKEN} numbers (fp8 per token)`, async () => {
  const rows = tokenRows(inputs), width = TOKEN_BLOCKS * BLOCK;
  const results = new Float32Array(rows.length * width);
  rows.forEach((row, r) => results.set(qdqRow(row, { kind: "fp8_token" }, false), r * width));
  // The sample has the first rows of every family.
  const codes = bytes("fp8_token.codes");
  const perFamily = rows.length / 16, sampled = codes.length / width / 16;
  for (let s = 0; s < 16 * sampled; s++) {
    const r = Math.floor(s / sampled) * perFamily + s % sampled;
    const scale = fp8TokenScale(largestMagnitude(rows[r]!, 0, width));
    for (let i = 0; i < width; i++) {
      const expected = Math.fround(ELEMENTS.e4m3fn.values[codes[s * width + i]!]! * scale),
        got = results[r * width + i]!;
      if (got !== expected && !(Number.isNaN(got) && Number.isNaN(expected))) {
        throw new Error(`row ${r}, column ${i}: ${got}, expected ${expected}`);
      }
    }
  }
  assertEquals(await sha256(canonical(results)), [...bytes("fp8_token.sha256")]);
  const rounded = results.slice();
  roundAllToBf16(rounded);
  assertEquals(await sha256(canonical(rounded)), [...bytes("fp8_token.bf16.sha256")]);
  assertEquals(qdqRow(rows[0]!, { kind: "fp8_token" }, true)[5], roundToBf16(results[5]!));
});

const Q8: InputFormat = { kind: "q8_0" };

Deno.test(`qdqRow() equals ggml on ${BLOCKS + HALVES} blocks (q8_0)`, async () => {
  const results = qdqRow(inputs, Q8, false), codes = new Int8Array(bytes("q8_0.codes"));
  const value = (i: number) => {
    const start = i - i % BLOCK, amax = largestMagnitude(inputs, start, start + BLOCK);
    const scale = Math.f16round(Math.fround(amax / 127));
    return Number.isFinite(scale) ? scale * codes[i]! : NaN;
  };
  await assertGolden("q8_0", results, value, SAMPLE * BLOCK);
  await assertGolden("halves.q8_0", qdqRow(halfInputs, Q8, false), () => NaN, 0);
  // ggml multiplies the codes themselves: no bfloat16 number comes between.
  const rounded = qdqRow(inputs.subarray(0, REPEATED * BLOCK), Q8, true);
  assertEquals(canonical(rounded), canonical(results.subarray(0, rounded.length)), "results stay float32");
});

/** Float16 scales of blocks as 32-bit words, and their codes. */
function quantizeAll(numbers: Float32Array): [scales: Uint32Array<ArrayBuffer>, codes: Float32Array] {
  const scales = new Uint32Array(numbers.length / BLOCK), codes = new Float32Array(numbers.length);
  const view = new DataView(new ArrayBuffer(2));
  for (let b = 0; b < scales.length; b++) {
    const scale = quantizeQ8(numbers, b * BLOCK, (b + 1) * BLOCK, codes);
    view.setFloat16(0, scale);
    scales[b] = Number.isNaN(scale) ? 0x7e00 : view.getUint16(0);
  }
  return [scales, codes];
}

Deno.test(`quantizeQ8() equals ggml on ${BLOCKS + HALVES} blocks`, async () => {
  const [scales, codes] = quantizeAll(inputs), expected = new Int8Array(bytes("q8_0.codes"));
  for (let i = 0; i < SAMPLE * BLOCK; i++) {
    const code = codes[i]!, scale = scales[Math.floor(i / BLOCK)]!;
    // Where 127 / max|x| is infinite x86 makes -128 of all products; they count as 0 under the scale 0.
    const same = expected[i] === -128 ? scale === 0 && code === 0 : code === expected[i];
    if (!same && scale !== 0x7e00) throw new Error(`code of ${inputs[i]}: ${code}, expected ${expected[i]}`);
  }
  assertEquals(await sha256(scales), [...bytes("q8_0.scales.sha256")]);
  assertEquals(await sha256(quantizeAll(halfInputs)[0]), [...bytes("halves.q8_0.scales.sha256")]);
});

function assertSame(got: Float32Array, expected: Float32Array, what: string): void {
  const at = got.findIndex((value, i) => value !== expected[i] && !(Number.isNaN(value) && Number.isNaN(expected[i])));
  assertEquals(at, -1, what);
}

/**
 * The blocks without an infinity: where the largest number of a block rounds up to 2^128, `rceil` gives the result
 * another scale, that of an infinity.
 */
function finiteBlocks(values: Float32Array): Float32Array {
  const blocks = Array.from({ length: values.length / BLOCK }, (_, b) => values.subarray(b * BLOCK, (b + 1) * BLOCK));
  const kept = blocks.filter((block) => !block.some((value) => Math.abs(value) === Infinity));
  assert(kept.length > 0.8 * blocks.length);
  return Float32Array.from(kept.flatMap((block) => [...block]));
}

Deno.test(`qdqRow() is idempotent on ${REPEATED} blocks in every format`, () => {
  const values = inputs.subarray(0, REPEATED * BLOCK);
  const mx = ELEMENT_NAMES.flatMap((element) => RULES.map((rule): InputFormat => ({ kind: "mx", element, rule })));
  const fp8 = [...floats(goldens, "fp8_static.scales")].map((scale): InputFormat => ({ kind: "fp8_static", scale }));
  for (const input of [...mx, ...fp8, Q8]) {
    // What MX blocks of fewer bits leave are bf16 numbers.
    for (const toBf16 of input.kind === "mx" && input.element !== "e4m3fn" ? [false] : [false, true]) {
      const all = qdqRow(values, input, toBf16);
      const once = input.kind === "mx" && input.rule === "rceil" ? finiteBlocks(all) : all;
      assertSame(qdqRow(once, input, toBf16), once, JSON.stringify(input));
    }
  }
  // A token's scale is made of its own largest number, which bf16 may have rounded: only float32 keeps it.
  for (const row of everyNth(64, tokenRows(inputs))) {
    const once = qdqRow(row, { kind: "fp8_token" }, false);
    assertSame(qdqRow(once, { kind: "fp8_token" }, false), once, "fp8_token");
  }
});
