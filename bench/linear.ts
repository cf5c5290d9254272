/**
 * Times the WASM kernel `linear` on one thread at gpt-oss-20b's width: multiply-accumulates per second of processor
 * time, and input bytes per second of `prepare` without fixed rows; medians, beside plain loops of the instructions
 * that `linear` is made of, in one run.
 *
 *     deno run -A bench/linear.ts                          the module of this tree
 *     deno run -A bench/linear.ts --against OTHER.wasm     another one too, in turns; outputs must agree to the bit
 *     deno run -A bench/linear.ts --tokens 64 --weights mxfp4,bf16 --inputs none,e2m1
 *     deno run -A bench/linear.ts --shares 80 --packed     in so many calls, as threads take shares; rows packed before
 *
 * With `--v8-flags=--no-enable-avx-vnni` V8 compiles as it does for processors that have AVX2 alone.
 */
import { parseArgs } from "@std/cli/parse-args";
import { BLOCK, bytesOf, SCALE_NUMBER, STORED_FORMATS, type WeightFormat } from "../src/formats/format.ts";
import { ruleNumber } from "../src/formats/input.ts";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { choicesOf, countOf, countsOf, optionsOrEnd } from "./options.ts";
import { pairedRatio } from "./paired.ts";
import { compileKernels, instantiate, type Kernel } from "../src/wasm.ts";
import { fixedStride } from "../src/backends/emulate/areas.ts";
import { PEAK_INSTRUCTIONS, peakLoop } from "./peak.ts";
import { processorSeconds } from "./processor_seconds.ts";

/** Numbers of `prepare`'s kinds in wasm/ABI.md. */
const KINDS = { none: 0, e2m1: 1, e3m2: 2, e2m3: 3, fp8: 5, mxfp8: 8 } as const;
type Kind = keyof typeof KINDS;

const options = parseArgs(Deno.args, {
  string: ["against", "tokens", "weights", "inputs", "rounds", "rows", "shares"],
  boolean: ["packed"],
  default: {
    tokens: "64",
    weights: "mxfp4,bf16",
    inputs: "none,e2m1,e2m3,e3m2,mxfp8,fp8",
    rounds: "9",
    rows: "2880",
    shares: "1",
  },
});
const asked = optionsOrEnd(() => ({
  weights: choicesOf("--weights", options.weights, Object.keys(STORED_FORMATS) as WeightFormat[]),
  inputs: choicesOf("--inputs", options.inputs, Object.keys(KINDS) as Kind[]),
  tokens: countsOf("--tokens", options.tokens),
  rounds: countOf("--rounds", options.rounds),
  rows: countOf("--rows", options.rows),
  shares: countOf("--shares", options.shares),
}));
const ROWS = asked.rows, COLS = 2880, ROUNDS = asked.rounds;
/** Units of a call of `linear`. */
const share = Math.ceil(ROWS / 8 / asked.shares);
/** Times that inputs are prepared for one look at the clock. */
const PREPARATIONS = 20;
const MIB = 2 ** 20;
const DESCRIPTOR = 1 * MIB, SCRATCH = 2 * MIB, SCALES = 6 * MIB, X = 8 * MIB, PREPARED = 20 * MIB, FIXED = 32 * MIB;
const OUT = 48 * MIB, WEIGHTS = 80 * MIB;

const memory = new WebAssembly.Memory({ initial: 2048, maximum: 65536, shared: true });
const bytes = new Uint8Array(memory.buffer), words = new Uint32Array(memory.buffer);
const floats = new Float32Array(memory.buffer);

/** A build of the kernels. */
interface Build {
  readonly name: string;
  readonly linear: Kernel;
  readonly prepare: Kernel;
}

function build(name: string, module: WebAssembly.Module): Build {
  const kernel = instantiate(module, memory, MIB);
  return { name, linear: kernel("linear"), prepare: kernel("prepare") };
}

const builds = [build("this tree", await compileKernels())];
if (options.against) {
  builds.push(build(options.against, await WebAssembly.compile(await Deno.readFile(options.against))));
}

/** Normally distributed numbers. */
function fillNormal(address: number, count: number): void {
  for (let i = 0; i < count; i++) {
    floats[address / 4 + i] = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  }
}

function placeWeights(format: WeightFormat): number[] {
  const stride = bytesOf(format, COLS), { wasm, mx } = STORED_FORMATS[format];
  for (let i = 0; i < stride * ROWS; i++) bytes[WEIGHTS + i] = Math.random() * 256;
  // Exponents of ordinary size, so that nothing is infinite or NaN.
  if (format === "bf16") {
    for (let i = 1; i < stride * ROWS; i += 2) bytes[WEIGHTS + i] = bytes[WEIGHTS + i]! & 0x83 | 0x3c;
  }
  for (let i = 0; i < ROWS * COLS / BLOCK; i++) bytes[SCALES + i] = 118 + Math.random() * 6;
  return [wasm, 0, ROWS, COLS, WEIGHTS, stride, ...(mx ? [SCALES, COLS / BLOCK, SCALE_NUMBER.e8m0] : [0, 0, 0])];
}

const peaks = PEAK_INSTRUCTIONS.map((instruction) => ({
  ...{ instruction, loop: peakLoop(instruction) },
  rates: [] as number[],
}));
for (const weights of asked.weights) {
  for (const inputs of asked.inputs) {
    for (const tokens of asked.tokens) {
      const matrix = placeWeights(weights);
      fillNormal(X, tokens * COLS);
      const timings = builds.map(() => ({ linear: [] as number[], prepare: [] as number[] }));
      const outputs: Float32Array[] = [];
      for (let round = -1; round < ROUNDS; round++) {
        for (const [i, { linear, prepare }] of builds.entries()) {
          // Another module may know of no packed rows.
          const packed = options.packed && i === 0, units = packed ? Math.ceil(tokens / 5) : tokens;
          const rule = ruleNumber(inputs === "mxfp8" ? "rceil" : "even");
          const prepared = [PREPARED, packed ? 0 : COLS, X, COLS, COLS, KINDS[inputs], rule, 0, 1, 0];
          words.set([...prepared, 0, 0, 0, tokens], DESCRIPTOR / 4);
          const preparing = processorSeconds(() => {
            for (let i = 0; i < PREPARATIONS; i++) prepare(DESCRIPTOR, 0, units, SCRATCH);
          });
          const fixed = weights === "mxfp4" && !packed ? [FIXED, fixedStride(COLS), 12] : [0, 0, 0];
          words.set([...prepared, ...fixed, tokens], DESCRIPTOR / 4);
          prepare(DESCRIPTOR, 0, units, SCRATCH);
          const rows = [0, 0, PREPARED, packed ? 0 : COLS, OUT, ROWS, tokens, 0, 0, 0, 0];
          words.set([1, ...matrix, ...rows, 0, ...fixed.slice(0, 2), 0], DESCRIPTOR / 4);
          const multiplying = processorSeconds(() => {
            for (let at = 0; at < ROWS / 8; at += share) {
              linear(DESCRIPTOR, at, Math.min(at + share, ROWS / 8), SCRATCH);
            }
          });
          outputs[i] = floats.slice(OUT / 4, OUT / 4 + tokens * ROWS);
          if (round < 0) continue;
          timings[i]!.linear.push(multiplying);
          timings[i]!.prepare.push(preparing);
        }
        for (const { loop, rates } of peaks) {
          let products = 0;
          const time = processorSeconds(() => products = loop(3e8));
          if (round >= 0) rates.push(products / time / 1e9);
        }
      }
      const rates = timings.map(({ linear }) => linear.map((time) => ROWS * COLS * tokens / time / 1e9));
      const [first, second] = outputs;
      if (second?.some((value, i) => !Object.is(value, first![i]))) throw new Error("outputs differ");
      const label = `${weights} x ${inputs}, ${tokens} tokens`;
      const ratio = rates.length > 1 ? `  (${spreadText(pairedRatio(rates[0]!, rates[1]!))} times)` : "";
      console.log(label.padEnd(32), rates.map((rate) => `${spreadText(spreadOf(rate))} GMAC/s`).join("  "), ratio);
      const bytes = PREPARATIONS * tokens * COLS * 4;
      const preparing = timings.map(({ prepare }) => spreadOf(prepare.map((time) => bytes / time / 1e9)));
      const text = preparing.map((rate) => `${spreadText(rate)} GB/s  `);
      console.log(`  prepare`.padEnd(32), text.join("  "));
    }
  }
}
for (const { instruction, rates } of peaks) {
  console.log(`plain loop of ${instruction.padEnd(10)} ${spreadText(spreadOf(rates))} GMAC/s`);
}
