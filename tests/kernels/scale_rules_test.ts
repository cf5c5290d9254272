/**
 * QDQ of MX blocks by the kernels, bit for bit, at every largest magnitude that bf16 has and around those at which the
 * scale rules part, against scales made from the rules' definitions in float64.
 */
import { assertEquals } from "../assert.ts";
import { type ElementFormat, ELEMENTS, quantize } from "../../src/formats/elements.ts";
import type { ScaleRule } from "../../src/formats/format.ts";
import type { MxInputElement } from "../../src/formats/input.ts";
import { decodeE8m0, scaleByte } from "../../src/formats/scales.ts";
import { inputFormat, MX_KINDS, RULES } from "../../src/verify/cases/inputs.ts";
import { type DeviceBuffer, floats, i32, input, type Job, output, pointer } from "../../src/verify/cases/job.ts";
import { Random } from "../../src/verify/cases/random.ts";
import { rowsJob } from "../../src/verify/cases/rows.ts";
import { inputStruct } from "../../src/verify/cases/structs.ts";
import { machineOn, openFirstGpu } from "./first_gpu.ts";
import { hasClang, HostMachine } from "./host_machine.ts";

const BLOCK = 32, BLOCKS_PER_ROW = 64, WIDTH = BLOCK * BLOCKS_PER_ROW;
/** Significands at which a rule goes to the next power of two, or the power itself changes. */
const PARTING = [1, 1.5, 1.75, 1.875, 1.9375];

/** All of bf16 up to infinity; five neighbouring float32 numbers around each place where rules part. */
function magnitudes(): Float32Array {
  const bits = Array.from({ length: 0x7f81 }, (_, high) => high << 16);
  for (let field = 0; field < 255; field++) {
    for (const significand of PARTING) {
      const at = (field << 23) + (significand - 1) * 2 ** 23;
      for (let step = -2; step <= 2; step++) if (at + step >= 0) bits.push(at + step);
    }
  }
  return new Float32Array(Uint32Array.from(bits).buffer);
}

/** Blocks of such largest magnitudes, in whole rows: one number has it, the others are anything below. */
function blocksOf(largest: Float32Array): Float32Array {
  const r = new Random(17), count = Math.ceil(largest.length / BLOCKS_PER_ROW) * BLOCKS_PER_ROW;
  const fractions = Float32Array.from({ length: 1021 }, () => r.below(2 ** 24) / 2 ** 23 - 1);
  const values = new Float32Array(count * BLOCK);
  largest.forEach((amax, block) => {
    const size = Math.min(amax, 3e38);
    for (let i = 0; i < BLOCK; i++) values[block * BLOCK + i] = size * fractions[(block * BLOCK + i) % 1021]!;
    values[block * BLOCK + block % BLOCK] = block % 3 === 0 ? -amax : amax;
  });
  return values;
}

/** The largest whole e with 2^e <= x, of a positive float64 number that is not subnormal. */
function exponentOf(x: number): number {
  let e = Math.floor(Math.log2(x));
  while (2 ** e > x) e--;
  while (2 ** (e + 1) <= x) e++;
  return e;
}

/** The scale's power of two by a rule's definition: all of it exact in float64. */
function powerOf(amax: number, { mantissaBits, max, maxExponent }: ElementFormat, rule: ScaleRule): number {
  if (amax === Infinity) return 127;
  if (amax === 0) return -127;
  if (rule === "rceil") {
    let e = exponentOf(amax) - maxExponent - 1;
    while (amax > max * 2 ** e) e++;
    return Math.max(e, -127);
  }
  const own = exponentOf(amax), moved = rule === "even" ? amax + 2 ** (own - mantissaBits - 1) : amax;
  return moved >= 2 ** 128 ? 127 : Math.max(exponentOf(moved) - maxExponent, -127);
}

const LARGEST = magnitudes(), VALUES = blocksOf(LARGEST);
const X = input(VALUES);

/** What the kernel must give. */
function expected(element: ElementFormat, rule: ScaleRule): Float32Array {
  const scales = Array.from(LARGEST, (amax) => 2 ** powerOf(amax, element, rule));
  return VALUES.map((x, at) => {
    const scale = scales[Math.floor(at / BLOCK)] ?? 1;
    return quantize(element, Math.fround(x / scale)) * scale;
  });
}

function qdqJob(out: DeviceBuffer, kind: number, rule: number): Job {
  const n = VALUES.length / WIDTH;
  return rowsJob("qdq", n, [
    ...[pointer(out), i32(WIDTH), pointer(null), i32(0), i32(0), pointer(null)],
    inputStruct({ x: X, stride: WIDTH, kind, rule, scale: 0, round: 0 }).argument(),
    ...[i32(WIDTH), i32(n)],
  ]);
}

async function compare(t: Deno.TestContext, run: (job: Job) => void | Promise<void>): Promise<void> {
  for (const kind of MX_KINDS) {
    for (const [number, rule] of RULES.entries()) {
      const format = inputFormat(kind, number, 0), name = format.kind === "mx" ? format.element : "e2m1";
      await t.step(`${name} ${rule}`, async () => {
        const out = output(4 * VALUES.length);
        await run(qdqJob(out, kind, number));
        const got = new Uint32Array(floats(out).slice().buffer), want = expected(ELEMENTS[name], rule);
        const wanted = new Uint32Array(want.buffer), at = wanted.findIndex((bits, i) => bits !== got[i]);
        const seen = at < 0 ? null : { amax: LARGEST[Math.floor(at / BLOCK)], x: VALUES[at], want: want[at] };
        assertEquals(seen && { ...seen, got: floats(out)[at] }, null);
      });
    }
  }
}

Deno.test("the scales of TypeScript are those of the rules' definitions", () => {
  for (const name of ["e2m1", "e3m2", "e2m3", "e4m3fn"] as const satisfies readonly MxInputElement[]) {
    for (const rule of RULES) {
      const wrong = LARGEST.filter((amax) => {
        const byte = scaleByte(amax, ELEMENTS[name], rule);
        return byte - 127 !== powerOf(amax, ELEMENTS[name], rule) || decodeE8m0(byte) !== 2 ** (byte - 127);
      });
      assertEquals([name, rule, ...wrong.slice(0, 3)], [name, rule]);
    }
  }
});

const clang = await hasClang();
if (!clang) console.error("tests/kernels/scale_rules_test.ts: skipped in part, clang-22 is not installed");

Deno.test({
  name: "MX blocks of every largest magnitude are quantized as the scale rules say, by the kernel on the host",
  ignore: !clang,
  fn: async (t) => {
    const machine = await HostMachine.open();
    await compare(t, (job) => machine.run([job]));
  },
});

const found = openFirstGpu();

Deno.test({
  name:
    "MX blocks of every largest magnitude are quantized as the scale rules say, by the kernel on this machine's GPU",
  ignore: typeof found === "string",
  fn: async (t) => {
    using runtime = found as Exclude<typeof found, string>;
    const machine = machineOn(runtime);
    await compare(t, (job) => void machine.launch(job));
  },
});
