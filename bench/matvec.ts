/**
 * Times the WASM kernel `linear` for one input row, or a few, on one thread, over weights that no cache holds: bytes of
 * weights per second of processor time, medians, in turns with plain loops that read as many bytes; the fastest of them
 * counts.
 *
 *     deno run -A bench/matvec.ts                          the module of this tree
 *     deno run -A bench/matvec.ts --against OTHER.wasm     another one too, in turns; outputs must agree to the bit
 *     deno run -A bench/matvec.ts --weights mxfp4 --inputs bf16,wide,e2m1 --rounds 40 --pairs 4
 *
 * Inputs: `bf16`, numbers of a normal distribution; `swiglu`, what SwiGLU makes of such; `wide`, of one whose sizes
 * differ by up to 2^16, which do not fit integers; `e2m1`, MXFP4; `fp8`, e4m3 with a scale of 1.
 */
import { parseArgs } from "@std/cli/parse-args";
import { fixedStride } from "../src/backends/emulate/areas.ts";
import { bytesOf, SCALE_NUMBER, STORED_FORMATS, type WeightFormat } from "../src/formats/format.ts";
import { STREAMS } from "../src/bench/probe_messages.ts";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { compileKernels, instantiate } from "../src/wasm.ts";
import { choicesOf, countOf, optionsOrEnd } from "./options.ts";
import { pairedRatio } from "./paired.ts";
import { processorSeconds } from "./processor_seconds.ts";

const options = parseArgs(Deno.args, {
  string: ["against", "weights", "inputs", "rounds", "pairs"],
  default: { pairs: "1", weights: "mxfp4,mxfp6_e2m3,mxfp6_e3m2,fp8_e4m3,bf16", inputs: "bf16,wide,e2m1", rounds: "60" },
});
const { weights, inputs, ROUNDS, PAIRS } = optionsOrEnd(() => ({
  weights: choicesOf("--weights", options.weights, Object.keys(STORED_FORMATS) as WeightFormat[]),
  inputs: choicesOf("--inputs", options.inputs, ["bf16", "swiglu", "wide", "e2m1", "fp8"]),
  ROUNDS: countOf("--rounds", options.rounds),
  PAIRS: countOf("--pairs", options.pairs),
}));
const MIB = 2 ** 20, COLS = 2880;
/** What `prepare` makes of inputs there, by its word `kind`, and the bits of a scale of 1. */
const KINDS: Readonly<Record<string, number>> = { e2m1: 1, fp8: 4 }, ONE = 0x3f800000;
/** Offsets of fixed rows in wasm/ABI.md. */
const OFFSETS: Partial<Record<WeightFormat, number>> = { mxfp4: 12, mxfp6_e2m3: 60 };
/** Output rows of one timed call, and bytes of all weights. */
const CALL = 512, WEIGHT_BYTES = 800 * MIB;
const DESCRIPTOR = MIB,
  SCRATCH = 2 * MIB,
  X = 4 * MIB,
  PREPARED = 5 * MIB,
  FIXED = 6 * MIB,
  FIXED_APART = 4 * MIB,
  OUT = 900 * MIB;
const SCALES = 16 * MIB, WEIGHTS = 96 * MIB;

const memory = new WebAssembly.Memory({ initial: 16_384, maximum: 65_536, shared: true });
const bytes = new Uint8Array(memory.buffer), words = new Uint32Array(memory.buffer);
const builds = [{ name: "this tree", kernel: instantiate(await compileKernels(), memory, MIB) }];
if (options.against) {
  const other = await WebAssembly.compile(await Deno.readFile(options.against));
  builds.push({ name: options.against, kernel: instantiate(other, memory, MIB) });
}

let state = 1;
const uniform = () => (state = Math.imul(state, 1_103_515_245) + 12_345 >>> 0) / 2 ** 32;
const normal = () => Math.sqrt(-2 * Math.log(uniform() + 1e-12)) * Math.cos(2 * Math.PI * uniform());

for (const format of weights) {
  const { wasm, mx } = STORED_FORMATS[format], stride = bytesOf(format, COLS);
  const rows = Math.floor(WEIGHT_BYTES / stride / CALL) * CALL;
  // Finite numbers in every format, of many exponents.
  for (let i = 0; i < MIB; i++) bytes[WEIGHTS + i] = format === "bf16" && i % 2 === 1 ? 0x3f : uniform() * 127;
  for (let at = MIB; at < rows * stride; at += MIB) {
    bytes.copyWithin(WEIGHTS + at, WEIGHTS, WEIGHTS + Math.min(MIB, rows * stride - at));
  }
  if (mx) { for (let i = 0; i < rows * COLS / 32; i++) bytes[SCALES + i] = 118 + i % 4; }
  for (const input of inputs) {
    const x = new Float32Array(memory.buffer, X, PAIRS * COLS);
    x.forEach((_, i) => {
      x[i] = normal() * (input === "wide" ? 2 ** (-16 * uniform()) : 1);
      if (input === "swiglu") x[i]! *= (normal() + 1) / (1 + Math.exp(-1.702 * x[i]!));
    });
    words.subarray(X / 4, X / 4 + PAIRS * COLS).forEach((bits, i) => words[X / 4 + i] = bits & 0xffff0000);
    words.set(
      [PREPARED, COLS, X, COLS, COLS, KINDS[input] ?? 0, 0, ONE, 1, 0, FIXED, fixedStride(COLS), OFFSETS[format] ?? 12],
      DESCRIPTOR / 4,
    );
    // Modules may differ in how fixed rows are laid out.
    builds.forEach(({ kernel }, i) => {
      words[DESCRIPTOR / 4 + 10] = FIXED + i * FIXED_APART;
      kernel("prepare")(DESCRIPTOR, 0, PAIRS, SCRATCH);
    });
    const scales = mx ? [SCALES, COLS / 32, SCALE_NUMBER.e8m0] : [0, 0, 0];
    const fixed = (build: number) => OFFSETS[format] === undefined ? 0 : FIXED + build * FIXED_APART;
    const record = [
      wasm,
      0,
      rows,
      COLS,
      WEIGHTS,
      stride,
      ...scales,
      0,
      0,
      PREPARED,
      COLS,
      OUT,
      rows,
      PAIRS,
      0,
      0,
      0,
      0,
      0,
    ];
    const outs = builds.map(({ kernel }, i) => {
      words.set([1, ...record, fixed(i), fixedStride(COLS), 0], DESCRIPTOR / 4);
      kernel("linear")(DESCRIPTOR, 0, CALL / 8, SCRATCH);
      return Array.from({ length: PAIRS }, (_, i) => [...words.subarray(OUT / 4 + i * rows, OUT / 4 + i * rows + CALL)])
        .flat();
    });
    if (outs.some((out) => out.some((bits, i) => bits !== outs[0]![i]))) throw new Error(`${format}, ${input}: bits`);
    const times = builds.map((): number[] => []), reads = STREAMS.map((): number[] => []);
    let at = 0;
    const next = () => at = (at + CALL) % rows;
    for (let round = 0; round < ROUNDS; round++) {
      builds.forEach(({ kernel }, i) => {
        words.set([1, ...record, fixed(i), fixedStride(COLS), 0], DESCRIPTOR / 4);
        const first = next() / 8;
        times[i]!.push(processorSeconds(() => kernel("linear")(DESCRIPTOR, first, first + CALL / 8, SCRATCH)));
      });
      const stretch = Math.floor(CALL * stride / 1024) * 1024;
      STREAMS.forEach((streams, i) => {
        words.set([WEIGHTS + next() * stride, stretch, streams], DESCRIPTOR / 4);
        reads[i]!.push(processorSeconds(() => builds[0]!.kernel("probe_read")(DESCRIPTOR, 0, 1, SCRATCH)));
      });
    }
    const rates = reads.map((times) => times.map((time) => CALL * stride / time / 1e9)), plain = rates.map(spreadOf);
    const read = rates[plain.indexOf(plain.toSorted((a, b) => b.median - a.median)[0]!)]!;
    console.log(`  plain loops of ${STREAMS.join(", ")} streams: ${plain.map(spreadText).join(", ")} GB/s`);
    builds.forEach(({ name }, i) => {
      const rate = times[i]!.map((time) => CALL * (stride + (mx ? COLS / 32 : 0)) / time / 1e9);
      const per = times[i]!.map((time) => time / (CALL * COLS / 32) / PAIRS * 1e9);
      const more = i === 0 ? "" : `, ${spreadText(pairedRatio(times[i]!, times[0]!))} times as long as this tree`;
      console.log(
        `${format}, ${input} inputs, ${name}: ${spreadText(spreadOf(rate))} GB/s, of what is read ` +
          `${spreadText(pairedRatio(rate, read))}, ${spreadText(spreadOf(per))} ns a block of 32 and input row${more}`,
      );
    });
  }
}
