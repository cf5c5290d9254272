/**
 * Times how long an operation takes whose work is next to nothing: microseconds that the thread which drives the others
 * waits for them, medians of rounds of several hundred operations in a row. On an idle machine with as many cores.
 *
 *     deno run -A bench/pool.ts [--threads 2,4,8,16] [--units 4,64,640] [--rounds 9]
 */
import { parseArgs } from "@std/cli/parse-args";
import { Pool } from "../src/backends/emulate/pool.ts";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { compileKernels } from "../src/wasm.ts";
import { countOf, countsOf, optionsOrEnd } from "./options.ts";

const options = parseArgs(Deno.args, {
  string: ["threads", "units", "rounds"],
  default: { threads: "2,4,8,16", units: "4,64,640", rounds: "9" },
});
const { counts, sizes, ROUNDS } = optionsOrEnd(() => ({
  counts: countsOf("--threads", options.threads),
  sizes: countsOf("--units", options.units),
  ROUNDS: countOf("--rounds", options.rounds),
}));
const MIB = 2 ** 20,
  OPERATIONS = 500,
  STACK = 65_536,
  SCRATCH = 4096,
  DESCRIPTOR = 24 * MIB,
  H = 25 * MIB,
  Y = 26 * MIB;
const module = await compileKernels();
for (const threads of counts) {
  const memory = new WebAssembly.Memory({ initial: 512, maximum: 512, shared: true });
  const areas = { stacks: MIB, stackBytes: STACK, scratch: 18 * MIB, scratchBytes: SCRATCH };
  const pool = new Pool(threads, module, [memory], areas);
  // Rows of one cache line.
  new Uint32Array(memory.buffer, DESCRIPTOR, 5).set([H, Y, 16, 16, 0]);
  for (const units of sizes) {
    const times: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const began = performance.now();
      for (let i = 0; i < OPERATIONS; i++) pool.run("add", 0, DESCRIPTOR, units);
      times.push(1000 * (performance.now() - began) / OPERATIONS);
    }
    console.log(`${threads} threads, ${units} units: ${spreadText(spreadOf(times.slice(1)))} us an operation`);
  }
  pool.close();
}
