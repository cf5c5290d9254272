/**
 * Times the WASM kernel `pick` on one thread, by processor time: the likeliest token of some sequences by bytes, of a
 * head of gpt-oss-20b's width with random weights. Beside it what a plain loop of the same products takes.
 *
 *     deno run -A bench/pick.ts [--rows 100000] [--sequences 16,32,64] [--rounds 9]
 *     deno run -A bench/pick.ts --against OTHER.wasm      another module too, in turns; tokens must agree
 *     deno run -A bench/pick.ts --kept                    by turns with digits of weights that are kept
 *
 * A round begins with what the first one has found, so that hardly a logit is computed in float32.
 */
import { parseArgs } from "node:util";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { compileKernels, instantiate } from "../src/wasm.ts";
import { normals } from "../tests/formats/seeded.ts";
import { BEST_WORDS, NONE, pairsOf, TILE, TILE_BYTES } from "../tests/wasm/pick.ts";
import { preparedOrder } from "../tests/wasm/twins.ts";
import { countOf, countsOf, optionsOrEnd } from "./options.ts";
import { pairedRatio } from "./paired.ts";
import { peakLoop } from "./peak.ts";
import { processorSeconds } from "./processor_seconds.ts";

const COLS = 2880, MIB = 2 ** 20;
const { rows: ROWS, sequences, rounds, against, kept } = optionsOrEnd(() => {
  const { values } = parseArgs({
    options: {
      rows: { type: "string", default: "100000" },
      sequences: { type: "string", default: "16,32,64" },
      rounds: { type: "string", default: "9" },
      against: { type: "string" },
      kept: { type: "boolean", default: false },
    },
  });
  return {
    rows: countOf("--rows", values.rows),
    sequences: countsOf("--sequences", values.sequences),
    rounds: countOf("--rounds", values.rounds),
    against: values.against,
    kept: values.kept,
  };
});
const DESCRIPTOR = 1 * MIB, SCRATCH = 2 * MIB, PREPARED = 8 * MIB, DIGITS = 16 * MIB, FACTS = 24 * MIB;
const PAIRS = 25 * MIB, FLOORS = 26 * MIB, WEIGHTS = 32 * MIB;
const KEPT = WEIGHTS + Math.ceil(2 * COLS * (ROWS + TILE) / 64) * 64;
const KEPT_BYTES = kept ? Math.ceil(ROWS / TILE) * (TILE_BYTES + TILE * COLS) : 0;

const pages = Math.ceil((KEPT + KEPT_BYTES) / 65536);
const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true });
const words = new Int32Array(memory.buffer), floats = new Float32Array(memory.buffer);
const weights = new Uint16Array(memory.buffer, WEIGHTS, ROWS * COLS);
/** The upper halves of normally distributed float32s are such numbers as bf16. */
const some = new Uint16Array(normals(0, 2 ** 20).buffer).filter((_, i) => i % 2 === 1);
for (let at = 0; at < weights.length; at += COLS) {
  const from = Math.floor(Math.random() * (some.length - COLS));
  weights.set(some.subarray(from, from + COLS), at);
}

const modules = [{ name: "this tree", module: await compileKernels() }];
if (against !== undefined) {
  modules.push({ name: against, module: await WebAssembly.compile(await Deno.readFile(against)) });
}
const kernels = modules.map(({ module }) => ({ kernel: instantiate(module, memory, MIB), kept: 0 }));
if (kept) kernels.push({ kernel: kernels[0]!.kernel, kept: KEPT });
const loop = peakLoop("dot8_add");

for (const n of sequences) {
  for (let row = 0; row < n; row++) {
    floats.set(preparedOrder(normals(row + 1, COLS)), PREPARED / 4 + row * COLS);
  }
  words.set([PREPARED, COLS, COLS, DIGITS, FACTS], DESCRIPTOR / 4);
  kernels[0]!.kernel("digits")(DESCRIPTOR, 0, n, SCRATCH);
  const pairs = pairsOf(new Array<1>(n).fill(1));
  words.set(pairs, PAIRS / 4);
  floats.fill(-Infinity, FLOORS / 4, FLOORS / 4 + n);
  const head = [WEIGHTS, 2 * COLS, ROWS, COLS, PREPARED, COLS, DIGITS, FACTS, PAIRS, pairs.length / 2, n, FLOORS];
  words.set(head, DESCRIPTOR / 4);
  const seconds: number[][] = kernels.map(() => []), plain: number[] = [];
  let tokens = "";
  for (let round = -1; round < rounds; round++) {
    for (const [i, { kernel, kept }] of kernels.entries()) {
      words[DESCRIPTOR / 4 + head.length] = kept;
      for (let row = 0; row < n; row++) {
        floats[SCRATCH / 4 + BEST_WORDS * row] = -Infinity;
        words.set([NONE, NONE, 0], SCRATCH / 4 + BEST_WORDS * row + 1);
      }
      const time = processorSeconds(() => kernel("pick")(DESCRIPTOR, 0, Math.ceil(ROWS / TILE), SCRATCH));
      const found = Array.from({ length: n }, (_, row) => words[SCRATCH / 4 + BEST_WORDS * row + 1]).join();
      if (tokens !== "" && tokens !== found) throw new Error("tokens differ");
      tokens = found;
      if (round >= 0) seconds[i]!.push(time);
    }
    let products = 0;
    const time = processorSeconds(() => products = loop(2e8));
    if (round >= 0) plain.push(time / products * ROWS * COLS * n);
  }
  const each = (times: number[]) => `${spreadText(spreadOf(times.map((time) => time / ROWS * 1e6)))} us a row`;
  const [mine, ...others] = seconds;
  const ratios = others.map((other, i) => {
    const [over, under] = kernels[i + 1]!.kept === 0 ? [mine!, other] : [other, mine!];
    return `  ${spreadText(pairedRatio(over, under))} of the time`;
  });
  console.log(`${n} sequences`.padEnd(14), seconds.map(each).join("  "), ` plain loop ${each(plain)}`, ...ratios);
}
