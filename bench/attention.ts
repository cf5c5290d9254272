/**
 * Times the WASM kernel `attention` on one thread for one token of gpt-oss-20b's shape, 64 query heads of which 8 share
 * keys and values: nanoseconds of processor time for a key and a query head, medians with their intervals, and of
 * another module how many times as long this tree takes.
 *
 *     deno run -A bench/attention.ts [--keys 128,1024,8192] [--together 1,2,4,8] [--rounds 40] [--formats bf16,fp8]
 *     deno run -A bench/attention.ts --against OTHER.wasm     another module too, in turns; outputs must agree
 */
import { parseArgs } from "@std/cli/parse-args";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { compileKernels, instantiate } from "../src/wasm.ts";
import { choicesOf, countOf, countsOf, optionsOrEnd } from "./options.ts";
import { pairedRatio } from "./paired.ts";
import { processorSeconds } from "./processor_seconds.ts";

const options = parseArgs(Deno.args, {
  string: ["keys", "together", "rounds", "formats", "against"],
  default: { keys: "128,1024,8192", together: "1,2,4,8", rounds: "40", formats: "bf16,fp8" },
});
const { formats, counts, togethers, ROUNDS } = optionsOrEnd(() => ({
  formats: choicesOf("--formats", options.formats, ["bf16", "fp8"]),
  counts: countsOf("--keys", options.keys),
  togethers: countsOf("--together", options.together),
  ROUNDS: countOf("--rounds", options.rounds),
}));
const HEADS = 64, KV_HEADS = 8, HEAD_DIM = 64, MIB = 2 ** 20;
const DESCRIPTOR = MIB, SCRATCH = 2 * MIB, QUERY = 8 * MIB, OUT = 9 * MIB, SLOT = 10 * MIB, SINKS = 11 * MIB;
const KEYS = 32 * MIB, VALUES = 96 * MIB;
const memory = new WebAssembly.Memory({ initial: 4096, maximum: 65_536, shared: true });
const bytes = new Uint8Array(memory.buffer), words = new Uint32Array(memory.buffer);
const builds = [{ name: "this tree", attention: instantiate(await compileKernels(), memory, MIB)("attention") }];
if (options.against) {
  const other = await WebAssembly.compile(await Deno.readFile(options.against));
  builds.push({ name: options.against, attention: instantiate(other, memory, MIB)("attention") });
}
const bits = (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0]!;

// Numbers of about a quarter.
for (let i = 0; i < 32 * MIB; i++) bytes[KEYS + i] = bytes[VALUES + i] = i % 2 === 1 ? 0x3e : i * 37;
new Float32Array(memory.buffer, QUERY, HEADS * HEAD_DIM).forEach((_, i, query) =>
  query[i] = i * 7919 % 1000 / 1000 - 0.5
);

/** Formats: name, number, bytes of a number. */
for (const [name, format, size] of [["bf16", 0, 2], ["fp8", 3, 1]] as const) {
  if (!formats.includes(name)) continue;
  for (const keys of counts) {
    for (const together of togethers) {
      const head = keys * HEAD_DIM * size, units = HEADS / together;
      words.set([0, keys - 1], SLOT / 4);
      words.set([
        ...[OUT, HEADS * HEAD_DIM, QUERY, HEADS * HEAD_DIM, KEYS, VALUES, format, KV_HEADS * head, head, keys, 0],
        ...[HEADS, KV_HEADS, HEAD_DIM, SLOT, SLOT + 4, SINKS, 0, bits(1), bits(1), bits(0.125), 1, together],
      ], DESCRIPTOR / 4);
      const times = builds.map((): number[] => []);
      for (let round = 0; round < ROUNDS; round++) {
        const outs = builds.map(({ attention }, i) => {
          const seconds = processorSeconds(() => attention(DESCRIPTOR, 0, units, SCRATCH));
          times[i]!.push(seconds * 1e9 / keys / HEADS);
          return words.slice(OUT / 4, OUT / 4 + HEADS * HEAD_DIM);
        });
        if (outs.some((out) => out.some((bits, i) => bits !== outs[0]![i]))) throw new Error("outputs differ");
      }
      const text = builds.map(({ name }, i) => `${spreadText(spreadOf(times[i]!))} ns ${name}`);
      if (builds.length > 1) text.push(`ratio ${spreadText(pairedRatio(times[0]!, times[1]!))}`);
      console.log(`${name}, ${keys} keys, ${together} heads together: ${text.join(", ")}`);
    }
  }
}
