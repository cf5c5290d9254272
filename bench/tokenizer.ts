/**
 * How long it takes until a tokenizer can be used: of a tokenizer.json, or the built-in one of checkpoints that bring
 * none. Each time in a new process, whose code is compiled while it runs, as at the program's start; this checkout and
 * another one by turns.
 *
 *     deno run --allow-all bench/tokenizer.ts [--dir DIR] [--other CHECKOUT] [--runs 15]
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { machine } from "./machine.ts";
import { countOf } from "./options.ts";
import { pairedRatio } from "./paired.ts";

const OWN = new URL("..", import.meta.url).pathname;
const { values: { dir, other, runs, root } } = parseArgs({
  options: {
    dir: { type: "string" },
    other: { type: "string" },
    runs: { type: "string", default: "15" },
    // For the processes that are measured: the checkout whose program they read a tokenizer with.
    root: { type: "string" },
  },
});

/** Milliseconds of the clock, and of processors. */
type Times = readonly [clock: number, processor: number];

/** Reads the tokenizer in this process. */
async function read(checkout: string): Promise<Times> {
  const { Tokenizer } = await import(`${checkout}/src/text/tokenizer.ts`);
  const started = performance.now(), before = process.cpuUsage();
  await (dir === undefined ? Tokenizer.o200kHarmony() : Tokenizer.fromDirectory(dir));
  const { user, system } = process.cpuUsage(before);
  return [performance.now() - started, (user + system) / 1000];
}

function measure(checkout: string): Times {
  const args = ["run", "-A", "--no-check", import.meta.filename!, "--root", checkout];
  const { success, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: [...args, ...(dir === undefined ? [] : ["--dir", dir])],
  }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

if (root !== undefined) console.log(JSON.stringify(await read(root)));
else {
  const checkouts = other === undefined ? [OWN] : [OWN, Deno.realPathSync(other)];
  const found = checkouts.map((): Times[] => []), turns = countOf("--runs", runs);
  // The first run of each fills caches.
  for (let run = 0; run <= turns; run++) {
    for (const i of run % 2 === 0 ? checkouts.keys() : [...checkouts.keys()].toReversed()) {
      const times = measure(checkouts[i]!);
      if (run > 0) found[i]!.push(times);
    }
  }
  console.log(machine());
  for (const [i, what] of ["by the clock", "of processors"].entries()) {
    const [own, others] = found.map((runs) => runs.map((times) => times[i]!));
    console.log(`${what}: ${spreadText(spreadOf(own!))} ms`);
    if (others === undefined) continue;
    console.log(`  the other: ${spreadText(spreadOf(others))} ms; ratio ${spreadText(pairedRatio(own!, others))}`);
  }
}
