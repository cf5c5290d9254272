/**
 * How the time of each operation shrinks with threads: milliseconds by the clock of the thread that drives the others,
 * medians of many runs, for one token, a prompt and a token of each of many sequences, beside plain loops with as many
 * threads. What an operation takes includes the waiting for its last thread and what the driver does before it.
 *
 *     deno run -A bench/operations.ts [--threads 1,2,4,8,16] [--scheme w_mxfp4] [--layers 4] [--model DIR]
 *         [--what decode,prefill,batch] [--prompt 256] [--sequences 64] [--context 128] [--seconds 6] [--times 1]
 *         [--limits] [--weights read]
 *
 * `--seconds` is for each of them with each number of threads, `--times` how often all numbers are gone through;
 * without --model weights are random and made in memory, with it they are mapped.
 */
import { parseArgs } from "@std/cli/parse-args";
import { collectGarbage } from "../src/bench/garbage.ts";
import { measureLimits } from "../src/bench/limits.ts";
import { Stopwatch } from "../src/bench/shares.ts";
import { quotient, spreadOf, spreadText } from "../src/bench/spread.ts";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { randomCheckpoint } from "../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import { missingScales } from "../src/plan/planned.ts";
import type { Feed } from "../src/session/batch.ts";
import { openSetting } from "../src/session/open.ts";
import type { Session } from "../src/session/session.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";
import { machine } from "./machine.ts";
import { countOf, optionsOrEnd } from "./options.ts";

const flags = parseArgs(Deno.args, {
  boolean: ["limits"],
  string: ["model"],
  default: {
    threads: "1,2",
    scheme: "w_mxfp4",
    layers: "4",
    weights: "auto",
    what: "decode,prefill,batch",
    prompt: "256",
    sequences: "64",
    context: "128",
    seconds: "6",
    times: "1",
  },
});
const { counts, context, sequences, prompt, layers, times, seconds } = optionsOrEnd(() => ({
  counts: `${flags.threads}`.split(",").map((threads) => countOf("--threads", threads)),
  context: countOf("--context", `${flags.context}`),
  sequences: countOf("--sequences", `${flags.sequences}`),
  prompt: countOf("--prompt", `${flags.prompt}`),
  layers: countOf("--layers", `${flags.layers}`),
  times: countOf("--times", `${flags.times}`),
  seconds: countOf("--seconds", `${flags.seconds}`),
}));
/** Fewest runs, and most of which medians are taken. */
const LEAST = 3, MOST = 100;

type What = "decode" | "prefill" | "batch";
/** Milliseconds of each operation and of the whole run, by what is computed and the number of threads. */
const found = new Map<What, Map<number, Map<string, number[]>>>();
let next = 0;
const tokens = (count: number, session: Session) =>
  Array.from({ length: count }, () => (next++ * 7919 + 13) % session.limits.vocab);

/** One run of each kind. */
const runs: Record<What, (session: Session) => Feed[]> = {
  decode: (session) => [{ slot: 0, tokens: tokens(1, session), logits: "last" }],
  prefill: (session) => {
    session.reset(0);
    return [{ slot: 0, tokens: tokens(prompt, session), logits: "last" }];
  },
  batch: (session) =>
    tokens(sequences, session).map((token, slot) => ({ slot, tokens: [token], logits: "last" as const })),
};

async function measure(what: What, threads: number, session: Session): Promise<void> {
  const byThreads = found.get(what) ?? new Map<number, Map<string, number[]>>();
  found.set(what, byThreads);
  const times = byThreads.get(threads) ?? new Map<string, number[]>();
  byThreads.set(threads, times);
  session.reset(0);
  if (what !== "prefill") {
    for (let slot = 0; slot < (what === "batch" ? sequences : 1); slot++) {
      session.reset(slot);
      await session.pretend(slot, context);
    }
  }
  const began = performance.now();
  const goesOn = (i: number) => i < MOST && performance.now() - began < 1000 * seconds;
  for (let i = -1; i < 1 || i < LEAST && performance.now() - began < 3000 * seconds || goesOn(i); i++) {
    const feeds = runs[what](session), watch = new Stopwatch(), started = performance.now();
    await session.run(feeds, undefined, watch.tap);
    const whole = performance.now() - started;
    watch.stop();
    if (i < 0) continue;
    for (const [name, time] of [...watch.times, ["all", whole] as const]) {
      times.set(name, [...times.get(name) ?? [], time]);
    }
  }
}

console.log(JSON.stringify(machine()), Deno.loadavg()[0]);
const shape = { ...SHAPES["gpt-oss-20b"], layers };
const checkpoint = flags.model === undefined
  ? randomCheckpoint({ shape, layout: "hf_mxfp4" })
  : openCheckpoint(flags.model, {});
const { scheme } = flags, weights = flags.weights as "auto" | "map" | "read", whats = flags.what.split(",") as What[];
const inputScales = scheme.endsWith("_a_fp8") ? { scales: missingScales(checkpoint), from: "one" } : null;
for (let time = 0; time < times; time++) {
  for (const threads of counts) {
    if (flags.limits) {
      const { read, float32, int8 } = await measureLimits(threads);
      const [r, f, i] = [read, float32, int8].map(({ median }) => (median / 1e9).toFixed(1));
      console.log(`plain loops of ${threads} threads: ${r} GB/s, ${f} GMAC/s float32, ${i} GMAC/s int8`);
    }
    const chunk = Math.max(prompt, sequences);
    const setting = planSetting({ ...DEFAULTS, checkpoint, scheme, inputScales, threads, chunk, weights });
    const slots = whats.includes("batch") ? sequences : 1;
    const opening = performance.now();
    const session = await openSetting(setting, { slots, context: Math.max(context, prompt) + 2 * MOST });
    console.log(`${threads} threads: weights ready after ${((performance.now() - opening) / 1000).toFixed(2)} s`);
    // Threads are started beside a prompt's operations: a token alone waits for each of them.
    const first = tokens(Math.min(2 * threads, session.limits.context), session);
    await session.feed({ slot: 0, tokens: first, logits: "none" });
    for (const what of whats) await measure(what, threads, session);
    await session.close();
    await collectGarbage();
  }
}
for (const [what, byThreads] of found) {
  const named: Record<What, string> = {
    decode: `a token after ${context} positions`,
    prefill: `a prompt of ${prompt} tokens`,
    batch: `a token of each of ${sequences} sequences`,
  };
  console.log(`\n${scheme}, ${shape.layers} layers, ${named[what]}: ms with ${counts.join(", ")} threads`);
  const columns = [...byThreads.values()].map((times) =>
    new Map([...times].map(([name, values]) => [name, spreadOf(values)]))
  );
  const names = [...columns[0]!].sort((a, b) => b[1].median - a[1].median).map(([name]) => name);
  const perRun = { decode: 1, prefill: prompt, batch: sequences }[what];
  const rates = [...byThreads.values()].map((times) => spreadOf(times.get("all")!.map((time) => 1000 * perRun / time)));
  console.log(`tok/s: ${rates.map((rate) => spreadText(rate)).join(", ")}`);
  for (const name of names) {
    const texts = columns.map((column) => column.has(name) ? spreadText(column.get(name)!) : "-");
    const cells = texts.map((text) => ` ${text.padStart(20)}`);
    const gain = columns.slice(1).map((column) =>
      column.has(name) ? ` ${spreadText(quotient(columns[0]!.get(name)!, column.get(name)!)).padStart(16)}` : ""
    );
    console.log(`${name.padEnd(24)}${cells.join("")}   ${gain.join("")}`);
  }
}
Deno.exit(0);
