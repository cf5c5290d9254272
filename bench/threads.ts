/**
 * How speed grows with threads: prefill and decode of random weights made in memory, with 1, 2, 4 .. threads, each
 * beside what a plain loop reads with as many.
 *
 *     deno run --allow-all bench/threads.ts [--threads 1,2,4,8,16,32] [--layers 4] [--scheme w_mxfp4]
 *         [--prefill 256] [--context 128] [--seconds 60] [--json FILE]
 *
 * `--seconds` is for each number of threads; figures that take longer are left out. bench/threads.sh runs it on a
 * machine without Deno.
 */
import { parseArgs } from "node:util";
import type { Figure } from "../src/bench/figures.ts";
import { machineFacts } from "../src/bench/machine.ts";
import { bench, type BenchSoFar } from "../src/bench/run.ts";
import { partText, quotient, scaled, type Spread, spreadText } from "../src/bench/spread.ts";
import { randomCheckpoint } from "../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import { openSetting } from "../src/session/open.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";
import { countOf, countsOf, optionsOrEnd } from "./options.ts";

const { flags, counts, layers, prefill, context, seconds } = optionsOrEnd(() => {
  const { values: flags } = parseArgs({
    options: {
      threads: { type: "string" },
      layers: { type: "string", default: "4" },
      scheme: { type: "string", default: "w_mxfp4" },
      prefill: { type: "string", default: "256" },
      context: { type: "string", default: "128" },
      seconds: { type: "string", default: "60" },
      json: { type: "string" },
    },
  });
  return {
    flags,
    counts: flags.threads === undefined ? allCounts() : countsOf("--threads", flags.threads),
    layers: countOf("--layers", flags.layers),
    prefill: countOf("--prefill", flags.prefill),
    context: countOf("--context", flags.context),
    seconds: countOf("--seconds", flags.seconds),
  };
});

/** What one number of threads gave. */
interface Row {
  readonly threads: number;
  readonly read: Spread;
  readonly prefill: Figure | undefined;
  readonly decode: Figure | undefined;
}

/** Powers of two up to all threads of this machine, and those. */
function allCounts(): number[] {
  const most = navigator.hardwareConcurrency, counts: number[] = [];
  for (let threads = 1; threads < most; threads *= 2) counts.push(threads);
  return [...counts, most];
}

async function measure(threads: number): Promise<Row> {
  const checkpoint = randomCheckpoint({
    shape: { ...SHAPES["gpt-oss-20b"]!, layers },
    layout: "hf_mxfp4",
  });
  const setting = planSetting({ ...DEFAULTS, checkpoint, scheme: flags.scheme, threads });
  const found: BenchSoFar = { computed: null, limits: null, figures: [], skipped: [] };
  const request = { setting, shape: "gpt-oss-20b", batches: [], batchContexts: [], seconds: seconds };
  await bench(
    { ...request, prefill: [prefill], contexts: [context] },
    { open: openSetting, onProgress: () => {} },
    found,
  );
  const figure = (kind: "prefill" | "decode") => found.figures.find(({ subject }) => subject.kind === kind);
  return { threads, read: found.limits!.read, prefill: figure("prefill"), decode: figure("decode") };
}

/** Rate, times the first row's, and per thread of that. */
function growth(figure: Figure | undefined, first: Figure | undefined, threads: number): string[] {
  if (figure === undefined) return ["-", "-", "-"];
  const rate = figure.tokens_per_second;
  if (first === undefined || first === figure) return [spreadText(rate), "-", "-"];
  const times = quotient(rate, first.tokens_per_second);
  return [spreadText(rate), `${spreadText(times)} x`, partText(scaled(times, 1 / threads), 2)];
}

const topology = ["smt/active", "online"].map((file) => {
  try {
    return Deno.readTextFileSync(`/sys/devices/system/cpu/${file}`).trim();
  } catch {
    return "unknown";
  }
});
let nodes = "unknown";
try {
  nodes = Deno.readTextFileSync("/sys/devices/system/node/online").trim();
} catch { /* Not Linux. */ }
const facts = machineFacts();
console.log(
  `${facts.processor}, ${facts.threads} threads (cpus ${topology[1]}, SMT ${topology[0]}, NUMA nodes ${nodes}), ` +
    `load ${facts.load}, ${facts.system}, Deno ${facts.deno}`,
);
console.log(
  `gpt-oss-20b, ${flags.layers} layers, ${flags.scheme}; prefill ${flags.prefill}, decode at ${flags.context}`,
);
const columns = [
  "threads",
  "read GB/s",
  "prefill tok/s",
  "of 1",
  "linear",
  "decode tok/s",
  "of 1",
  "linear",
  "of read",
];
/** Characters that a median and its interval have room in. */
const WIDTH = 19;
const print = (cells: readonly string[]) =>
  console.log(cells.map((cell, i) => cell.padStart(Math.max(WIDTH, columns[i]!.length))).join("  "));
print(columns);
const rows: Row[] = [];
for (const threads of counts) {
  const row = await measure(threads);
  rows.push(row);
  const first = rows[0]!.threads === 1 ? rows[0] : undefined;
  print([
    String(threads),
    spreadText(scaled(row.read, 1e-9)),
    ...growth(row.prefill, first?.prefill, threads),
    ...growth(row.decode, first?.decode, threads),
    row.decode?.of_limits ? partText(row.decode.of_limits.read, 2) : "-",
  ]);
}
if (flags.json !== undefined) {
  Deno.writeTextFileSync(flags.json, `${JSON.stringify({ facts, topology, nodes, rows }, null, 2)}\n`);
}
