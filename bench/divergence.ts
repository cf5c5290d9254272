/**
 * Predictions of many settings of the embedded model, on the replies that `mxoss eval gsm8k` left in a directory: the
 * tables of docs/measurements/divergence.md. Only the first setting has answered problems; the others are forced
 * through its replies.
 *
 *     mxoss eval gsm8k --data tests/goldens/word-problems-harder.jsonl --limit 800 --scheme w_mxfp4 \
 *       --kv-cache-dtype bf16 --max-tokens 256 --divergence 0 --out DIR
 *     deno run --allow-all bench/divergence.ts DIR SCHEME,KV,TP ...
 *
 *     deno run --allow-all bench/divergence.ts DIR --part 1/16 SCHEME,KV,TP ...
 *
 * What is there already is not computed again. Several processes can fill a directory: a setting each, or each a part
 * of the text (`--part`), which prints nothing and leaves what it computes in DIR/part-1-of-16.
 */
import { calibratedScales } from "../src/cli/calibrate.ts";
import { tableLines } from "../src/cli/table.ts";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import type { Answer } from "../src/eval/answers.ts";
import { readDataset } from "../src/eval/dataset.ts";
import type { Estimate } from "../src/eval/intervals.ts";
import { inDirectory } from "../src/eval/stores.ts";
import { openPredictions } from "../src/eval/prediction_run.ts";
import { type PredictionPart, summarizePredictions } from "../src/eval/prediction_summary.ts";
import {
  type ForcedSequence,
  predictSequence,
  ReferenceLogits,
  type SequencePredictions,
} from "../src/eval/predictions.ts";
import { estimatedResult, type KeyedPredictions, rankingOf } from "../src/eval/predictions_result.ts";
import { rankingText } from "../src/eval/report/prediction_tables.ts";
import { measured, measuredShare, measuredValue, small } from "../src/eval/report/numbers.ts";
import { GSM8K } from "../src/eval/tasks/gsm8k.ts";
import { openSetting } from "../src/session/open.ts";
import { DEFAULTS, planSetting, type Setting } from "../src/session/setting.ts";
import { ChatRenderer } from "../src/text/chat.ts";
import { Tokenizer } from "../src/text/tokenizer.ts";
import { largest } from "../src/largest.ts";

const MODEL = new URL("../models/tiny-gpt-oss", import.meta.url).pathname;
const GOLDENS = new URL("../tests/goldens/", import.meta.url).pathname;
const REFERENCE = "w_mxfp4.kv-bf16.tp1";

const checkpoint = openCheckpoint(MODEL);
const base: Setting = { checkpoint, ...DEFAULTS, kvCacheDtype: "bf16", threads: 1 };

/** The replies with their prompts, in the order of the problems. */
async function sequencesIn(directory: string): Promise<ForcedSequence[]> {
  const lines = (await Deno.readTextFile(`${directory}/answers.${REFERENCE}.jsonl`)).trimEnd().split("\n").slice(1);
  const answers = lines.map((line) => JSON.parse(line) as Answer).sort((a, b) => a.index - b.index);
  const data = readDataset(`${GOLDENS}word-problems-harder.jsonl`, "data");
  const tokenizer = await Tokenizer.fromDirectory(MODEL);
  const { questions: { prompts } } = GSM8K.prepare({
    data,
    shotsFrom: data,
    chosen: { asked: data.problems, shots: [] },
    seed: 0,
    limit: undefined,
    prompting: { format: "chat", tokenizer, chat: await ChatRenderer.fromDirectory(MODEL, tokenizer) },
    maxTokens: 256,
    logProbabilities: false,
    sequences: undefined,
    samples: false,
  }, checkpoint.config);
  return answers.map(({ index, ids }) => {
    const prompt = prompts[index]!.ids;
    return { index, tokens: Int32Array.from([...prompt, ...ids]), replyFrom: prompt.length - 1 };
  });
}

function open(directory: string, cell: string) {
  return openPredictions({ open: inDirectory(directory), name: `predictions.${cell}` }, {
    made: "bench/divergence.ts",
  });
}

/** Computes what a directory, or one of the parts in it, lacks, and keeps it there. */
async function fill(directory: string, sequences: readonly ForcedSequence[], cells: readonly string[]): Promise<void> {
  const room = { slots: 1, context: largest(sequences.map(({ tokens }) => tokens.length)) };
  await using reference = new ReferenceLogits(() => openSetting(planSetting({ ...base, scheme: "w_mxfp4" }), room));
  for (const cell of cells) {
    const [scheme, kv, tp] = cell.split(",") as [string, "bf16" | "fp8", string];
    using journal = open(directory, cell);
    const missing = sequences.filter(({ index }) => !journal.entries.has(index));
    if (missing.length === 0) continue;
    const kept = { open: inDirectory(directory), name: "scales" };
    const inputScales = /(^|a_)fp8/.test(scheme)
      ? await calibratedScales(`${GOLDENS}word-problems.jsonl`, base, kept)
      : null;
    const session = await openSetting(
      planSetting({ ...base, scheme, kvCacheDtype: kv, tp: Number(tp), inputScales }),
      room,
    );
    for (const sequence of missing) journal.append(await predictSequence(reference, session, sequence));
    await session.close();
  }
}

/** Computes what neither a directory nor the parts in it have. */
async function predict(directory: string, cells: readonly string[]): Promise<KeyedPredictions[]> {
  const sequences = await sequencesIn(directory);
  const parts = Array.from(Deno.readDirSync(directory)).filter(({ name }) => /^part-\d+-of-\d+$/.test(name));
  const found: KeyedPredictions[] = [];
  for (const cell of cells) {
    const entries = new Map<number, SequencePredictions>();
    for (const within of [directory, ...parts.map(({ name }) => `${directory}/${name}`)]) {
      using journal = open(within, cell);
      for (const [index, entry] of journal.entries) entries.set(index, entry);
    }
    const missing = sequences.filter(({ index }) => !entries.has(index));
    if (missing.length > 0) {
      await fill(directory, missing, [cell]);
      using journal = open(directory, cell);
      for (const { index } of missing) entries.set(index, journal.entries.get(index)!);
    }
    found.push({ key: cell, sequences: sequences.map(({ index }) => entries.get(index)!) });
  }
  return found;
}

/** Computes its share of the sequences into a directory of its own. */
async function fillPart(directory: string, part: string, cells: readonly string[]): Promise<void> {
  const [at, of] = part.split("/").map(Number) as [number, number];
  const within = `${directory}/part-${at}-of-${of}`;
  await Deno.mkdir(within, { recursive: true });
  await fill(within, (await sequencesIn(directory)).filter((_, i) => i % of === at - 1), cells);
}

const text = (estimate: Estimate) => measured(estimatedResult(estimate));

function table(settings: readonly KeyedPredictions[], part: "reply" | "prompt"): string[] {
  const rows = settings.map(({ key, sequences }) => {
    const { kl, sameTop, next } = summarizePredictions(sequences)[part]!;
    const [median, , , p99, p999] = kl.quantiles.map((quantile) => measuredValue(estimatedResult(quantile)));
    return [
      key.replaceAll(",", ", "),
      text(kl.logMean),
      text(kl.mean),
      ...[median!, p99!, p999!],
      `${small(kl.most)} (${Math.round(100 * kl.mostShare)}%)`,
      measuredShare(estimatedResult(sameTop)),
      text(next!.changeRms),
      text(next!.nllIncrease),
    ];
  });
  const heads = [
    ...["setting", "typical KL", "mean KL", "median", "99%", "99.9%", "largest (of sum)", "same top"],
    ...["RMS Δp", "more nats/token"],
  ];
  return tableLines([heads, ...rows]);
}

/** What is repeated: the interval of each number for the truth, and that for a repetition where summaries have one. */
const MEASURES: Readonly<Record<string, (part: PredictionPart) => readonly [Estimate, Estimate?]>> = {
  "typical KL": ({ kl, repetition }) => [kl.logMean, repetition.logMean],
  "mean KL": ({ kl, repetition }) => [kl.mean, repetition.mean],
  "99% of KL": ({ kl }) => [kl.quantiles[3]!],
  "99.9% of KL": ({ kl }) => [kl.quantiles[4]!],
  "RMS change of probability": ({ next }) => [next!.changeRms],
  "nats per token": ({ next }) => [next!.nllIncrease, next!.nllIncreaseAgain],
  "same top": ({ sameTop, repetition }) => [sameTop, repetition.sameTop],
};

/** How often a value on other texts lies in the intervals of a first one: each sixth in turn is the first text. */
function repeated(settings: readonly KeyedPredictions[]): string[] {
  const sixths = (sequences: KeyedPredictions["sequences"]) => {
    const size = Math.floor(sequences.length / 6);
    return Array.from({ length: 6 }, (_, i) => summarizePredictions(sequences.slice(i * size, (i + 1) * size)).reply!);
  };
  const parts = settings.map(({ sequences }) => sixths(sequences));
  const rows = Object.entries(MEASURES).map(([name, of]) => {
    const inside = [0, 0];
    let all = 0;
    for (const texts of parts) {
      texts.forEach((first, i) =>
        texts.forEach((other, j) => {
          if (i === j) return;
          const [{ value }] = of(other);
          all++;
          of(first).forEach((range, k) =>
            range !== undefined && range.low <= value && value <= range.high && (inside[k]!++)
          );
        })
      );
    }
    const shares = of(parts[0]![0]!).map((_, k) => `${inside[k]} of ${all} (${(100 * inside[k]! / all).toFixed(1)}%)`);
    return [name, shares[0]!, shares[1] ?? ""];
  });
  return tableLines([["measure", "in the interval for the truth", "in that for a repetition"], ...rows]);
}

function section(title: string, lines: readonly string[]): void {
  console.log(`${title}\n\n${lines.join("\n")}\n`);
}

const [directory, ...args] = Deno.args, part = args[0] === "--part" ? args[1] : undefined;
const cells = part === undefined ? args : args.slice(2);
if (directory === undefined || cells.length === 0) throw new Error("expected a directory and settings");
if (part !== undefined) {
  await fillPart(directory, part, cells);
  Deno.exit();
}
const settings = await predict(directory, cells), label = (key: string) => key.replaceAll(",", ", ");
const order = rankingOf(settings)!.typical.order;
const ranked = order.map((key) => settings.find((setting) => setting.key === key)!);
const { tokens, reply } = summarizePredictions(settings[0]!.sequences);
section(`${reply!.positions} tokens of replies, of ${tokens}`, table(ranked, "reply"));
section("tokens of prompts", table(ranked, "prompt"));
section("ranking", rankingText(rankingOf(settings)!, "asked", label));
for (const [name, of] of [["first", [0, 0.5]], ["second", [0.5, 1]]] as const) {
  const half = settings.map(({ key, sequences }) => ({
    key,
    sequences: sequences.slice(of[0] * sequences.length, of[1] * sequences.length),
  }));
  section(`ranking by the ${name} half of the text`, rankingText(rankingOf(half)!, "asked", label));
}
section("values on five other texts inside the intervals of a first", repeated(settings));
