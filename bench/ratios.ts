/**
 * Whether a change made computing much slower, on any machine and beside other programs: figures are divided by what a
 * plain loop reaches in the same run, both without the time that other programs took (undisturbed.ts), and compared
 * with the ratios of bench/ratios.json.
 *
 *     deno task bench:ratios             fails where a ratio has fallen to less than half
 *     deno task bench:ratios --write     writes bench/ratios.json: medians of several runs
 *
 * Decoding is divided by the bytes that a loop reads from memory, prompts and batches by the multiply-adds of float32
 * that a loop makes. One layer of gpt-oss-20b with a vocabulary of 32,768 is measured, of random weights in memory.
 */
import { bench, type BenchSoFar } from "../src/bench/run.ts";
import { type Figure, subjectText } from "../src/bench/figures.ts";
import { measureLimits } from "../src/bench/limits.ts";
import { randomCheckpoint } from "../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";
import { openSetting } from "../src/session/open.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";
import { median } from "../src/median.ts";
import { machine } from "./machine.ts";
import { type Account, Accounts, undisturbed } from "./undisturbed.ts";

const SCHEMES = ["w_mxfp4", "w_mxfp4_a_mxfp4"];
const SHAPE = { ...SHAPES["gpt-oss-20b"], layers: 1, vocab: 32_768 };
const SUBJECTS = { prefill: [128], contexts: [128, 2048], batches: [16], batchContexts: [128] };
/** Most milliseconds of a figure, with which all of it takes about a minute; and seconds a scheme on a busy machine. */
const LONGEST_MS = 2000, MOST_SECONDS = 1200;
/** Part of its baseline below which a ratio is a failure. */
const LEAST = 0.5;
/** Further tries of what fell below, which may have met with another program. */
const RETRIES = 2;
/** Runs whose medians are written. */
const WRITTEN_RUNS = 3;

/** Ratios by scheme and subject. */
type Ratios = Record<string, Record<string, number>>;

function ratioOf({ subject, of_limits: limits }: Figure): number {
  const single = subject.kind === "decode" && subject.sequences === 1;
  return limits![single ? "read" : "float32"].median;
}

async function measureRatios(scheme: string): Promise<Record<string, number>> {
  const checkpoint = randomCheckpoint({ shape: SHAPE, layout: "hf_mxfp4" });
  const setting = planSetting({ ...DEFAULTS, checkpoint, scheme });
  const found: BenchSoFar = { computed: null, limits: null, figures: [], skipped: [] };
  const request = { setting, shape: null, ...SUBJECTS, seconds: MOST_SECONDS, longest: LONGEST_MS };
  const threads = navigator.hardwareConcurrency, laps = new Map<string, Account>(), loops = "plain loops";
  using accounts = new Accounts();
  let current: string | null = null;
  /** From now on time is that of a subject; null: of none. */
  const turn = (next: string | null) => {
    const lap = accounts.lap();
    if (current !== null) laps.set(current, lap);
    current = next;
  };
  await bench(request, {
    open: (...all) => (turn(null), openSetting(...all)),
    limits: async (threads) => {
      turn(loops);
      const limits = await measureLimits(threads);
      turn(null);
      return limits;
    },
    onProgress: (_done, _total, now) => turn(now),
  }, found);
  turn(null);
  /** By how much others lengthened it. */
  const slowed = (name: string) => laps.get(name)!.wall / undisturbed(laps.get(name)!, threads);
  // Batches are measured as they are picked.
  const judged = found.figures.filter(({ subject }) => !("logits" in subject));
  return Object.fromEntries(judged.map((figure) => {
    const name = subjectText(figure.subject);
    return [name, ratioOf(figure) * slowed(name) / slowed(loops)];
  }));
}

const BASELINE = new URL("ratios.json", import.meta.url);

async function write(): Promise<void> {
  const written: Ratios = {};
  for (const scheme of SCHEMES) {
    const runs: Record<string, number>[] = [];
    for (let i = 0; i < WRITTEN_RUNS; i++) runs.push(await measureRatios(scheme));
    written[scheme] = Object.fromEntries(
      Object.keys(runs[0]!).map((subject) => [
        subject,
        Number(median(runs.map((run) => run[subject]!)).toPrecision(2)),
      ]),
    );
  }
  Deno.writeTextFileSync(BASELINE, `${JSON.stringify(written, null, 2)}\n`);
}

/** A line for each ratio, and whether all are good. */
export function judge(ratios: Readonly<Record<string, number>>, baseline: Readonly<Record<string, number>>) {
  const lines = Object.entries(baseline).map(([subject, expected]) => {
    const got = ratios[subject];
    const good = got !== undefined && got >= LEAST * expected;
    const said = got === undefined
      ? "not measured, as it takes too long"
      : `${got.toPrecision(2)}, ${expected.toPrecision(2)} expected`;
    return { good, line: `${good ? "ok  " : "SLOW"} ${subject}: ${said}` };
  });
  return { good: lines.every(({ good }) => good), lines: lines.map(({ line }) => line) };
}

async function check(): Promise<boolean> {
  const baseline = JSON.parse(Deno.readTextFileSync(BASELINE)) as Ratios;
  let good = true;
  console.log(machine());
  for (const [scheme, expected] of Object.entries(baseline)) {
    const best: Record<string, number> = {};
    for (let run = 0; run <= RETRIES; run++) {
      for (const [subject, ratio] of Object.entries(await measureRatios(scheme))) {
        best[subject] = Math.max(best[subject] ?? 0, ratio);
      }
      if (judge(best, expected).good) break;
    }
    const judged = judge(best, expected);
    for (const line of judged.lines) console.log(`${scheme} ${line}`);
    good &&= judged.good;
  }
  return good;
}

if (import.meta.main) {
  if (Deno.args.includes("--write")) await write();
  Deno.exit(await check() ? 0 : 1);
}
