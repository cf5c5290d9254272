/**
 * How long a step of one token, or of one of each of a few sequences, takes with some of a pool's threads: numbers of
 * threads by turns, some steps each, forwards and then backwards. Medians of the steps with their intervals, the
 * processors that were at work, what was stolen of them by others on the host (Linux), and how often a thread fell
 * asleep in a step.
 *
 *     deno run -A bench/step_threads.ts [--threads 64] [--counts 16,24,32,48,64] [--scheme w_mxfp4_a_mxfp4]
 *         [--layers 24] [--context 128] [--rounds 4] [--steps 8]
 *
 * All threads are started by a prompt, whose rate is printed, too.
 */
import process from "node:process";
import { parseArgs } from "@std/cli/parse-args";
import { ThreadChoice } from "../src/backends/emulate/thread_choice.ts";
import { randomCheckpoint } from "../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import { openSetting } from "../src/session/open.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { machine } from "./machine.ts";
import { countOf, countsOf, optionsOrEnd } from "./options.ts";

const flags = parseArgs(Deno.args, {
  string: ["threads", "counts", "scheme", "layers", "context", "rounds", "steps"],
  default: {
    threads: `${navigator.hardwareConcurrency}`,
    counts: "16,24,32,48,64",
    scheme: "w_mxfp4_a_mxfp4",
    layers: "24",
    context: "128",
    rounds: "4",
    steps: "8",
  },
});
const { scheme } = flags;
const { counts, threads, layers, context, rounds, steps } = optionsOrEnd(() => ({
  counts: countsOf("--counts", flags.counts),
  threads: countOf("--threads", flags.threads),
  layers: countOf("--layers", flags.layers),
  context: countOf("--context", flags.context),
  rounds: countOf("--rounds", flags.rounds),
  steps: countOf("--steps", flags.steps),
}));
const PROMPT = 256, ROOM = PROMPT + context + 2 * counts.length * (steps + 2);

let most = threads;
// Here nothing is tried.
ThreadChoice.prototype.begin = () => most;

/** Time that the host took from this machine's processors, milliseconds of all of them together. */
function stolen(): number {
  try {
    return 10 * Number(/^cpu +(?:\d+ +){7}(\d+)/.exec(Deno.readTextFileSync("/proc/stat"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const checkpoint = randomCheckpoint({
  shape: { ...SHAPES["gpt-oss-20b"], layers },
  layout: "hf_mxfp4",
});
const setting = planSetting({ ...DEFAULTS, checkpoint, scheme, threads, chunk: PROMPT, weights: "read" });
const session = await openSetting(setting, { slots: 1, context: ROOM });
let next = 0;
const token = () => (next++ * 7919 + 13) % session.limits.vocab;
console.log(`${machine()}; ${scheme}, ${layers} layers, ${threads} threads in all`);
for (let i = 0; i < 3; i++) {
  session.reset(0);
  const began = performance.now();
  await session.feed({ slot: 0, tokens: Array.from({ length: PROMPT }, token), logits: "last" });
  console.log(`a prompt of ${PROMPT}: ${(1000 * PROMPT / (performance.now() - began)).toFixed(1)} tok/s`);
}

/** A step's milliseconds. */
async function step(): Promise<number> {
  const began = performance.now();
  await session.step([{ slot: 0, token: token() }], () => {});
  return performance.now() - began;
}

interface Found {
  readonly times: number[];
  elapsed: number;
  processor: number;
  stolen: number;
  sleeps: number;
}
const found = new Map<number, Found>(
  counts.map((count) => [count, { times: [], elapsed: 0, processor: 0, stolen: 0, sleeps: 0 }]),
);
for (let round = 0; round < rounds; round++) {
  session.reset(0);
  await session.pretend(0, context);
  for (const count of round % 2 === 0 ? counts : counts.toReversed()) {
    most = count;
    const one = found.get(count)!;
    for (let i = 0; i < 2; i++) await step();
    const before = process.resourceUsage(), stolenBefore = stolen(), began = performance.now();
    for (let i = 0; i < steps; i++) one.times.push(await step());
    const after = process.resourceUsage();
    one.elapsed += performance.now() - began;
    one.processor += (after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime) / 1000;
    one.stolen += stolen() - stolenBefore;
    one.sleeps += after.voluntaryContextSwitches - before.voluntaryContextSwitches;
  }
}
for (const [count, { times, elapsed, processor, stolen, sleeps }] of found) {
  const rates = spreadOf(times.map((time) => 1000 / time));
  console.log(
    `${String(count).padStart(3)} threads: ${spreadText(spreadOf(times))} ms, ${spreadText(rates)} tok/s; ${
      (processor / elapsed).toFixed(1)
    } processors, ` +
      `${(stolen / elapsed).toFixed(2)} stolen, ${(sleeps / times.length).toFixed(0)} sleeps a step`,
  );
}
await session.close();
Deno.exit(0);
