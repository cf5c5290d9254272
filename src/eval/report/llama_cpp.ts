/**
 * The statistics of a comparison as `llama-perplexity --kl-divergence` prints them, label for label, for scripts that
 * parse its output. Errors are llama.cpp's: they take tokens for independent, which they are not, and are smaller than
 * the intervals that everything else here has.
 *
 * What is counted differs in one thing: llama.cpp leaves out the first half of each chunk, here every position counts
 * whose next token is known. `tests/eval/llama_cpp_test.ts` holds it against llama.cpp's own output.
 */
import { quantileOfSorted } from "../shares.ts";
import type { SequencePredictions } from "../predictions.ts";

/** A mean and its standard error. */
type Uncertain = readonly [value: number, error: number];

/** What is said of each token whose successor is known. */
interface Columns {
  readonly nll: readonly number[];
  readonly base: readonly number[];
  readonly kl: readonly number[];
  /** Probability of the next token, B minus A. */
  readonly change: readonly number[];
  readonly same: readonly number[];
}

/** Tokens from which llama.cpp gives statistics. */
const LEAST_TOKENS = 100;

/** The lines, those of each sequence first. */
export function llamaCppLines(sequences: readonly SequencePredictions[]): string[] {
  const lines = [
    "chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              Δp RMS" +
    "            Same top p",
  ];
  const columns = sequences.map(columnsOf);
  const upTo: { [K in keyof Columns]: number[] } = { nll: [], base: [], kl: [], change: [], same: [] };
  columns.forEach((sequence, i) => {
    for (const name of Object.keys(upTo) as (keyof Columns)[]) {
      for (const value of sequence[name]) upTo[name].push(value);
    }
    lines.push(chunkLine(i + 1, upTo));
  });
  return upTo.kl.length < LEAST_TOKENS ? lines : [...lines, "", ...statistics(upTo)];
}

function columnsOf({ kl, agrees, nllA, nllB }: SequencePredictions): Columns {
  const base = nllA.map(number), nll = nllB.map(number);
  return {
    nll,
    base,
    kl: kl.slice(0, base.length).map(number),
    change: base.map((a, i) => Math.exp(-nll[i]!) - Math.exp(-a)),
    same: Array.from(agrees.slice(0, base.length), Number),
  };
}

const number = (x: number | null): number => x ?? NaN;

function chunkLine(chunk: number, { nll, base, kl, change, same }: Columns): string {
  const [ppl, ratio] = [exp(mean(nll)), ratioOf(nll, base)];
  return [
    `${chunk}`.padStart(4),
    pair(ppl, 9, 4),
    pair(ratio, 10, 5),
    pair(mean(kl), 10, 5),
    `${pair(percent(rms(change)), 6, 3)} %`,
    `${pair(percent(share(same)), 6, 3)} %`,
  ].join("    ");
}

function statistics({ nll, base, kl, change, same }: Columns): string[] {
  const q = mean(nll), b = mean(base), shared = covariance(nll, base), ratio = ratioOf(nll, base);
  const ppl = exp(q), own = exp(b);
  const difference: Uncertain = [
    ppl[0] - own[0],
    Math.sqrt(ppl[1] ** 2 + own[1] ** 2 - 2 * ppl[0] * own[0] * shared),
  ];
  const sorted = (values: readonly number[]) => Float64Array.from(values).sort();
  const klAt = (p: number) => fixed(quantileOfSorted(sortedKl, p), 10, 6);
  const changeAt = (p: number) => `${fixed(100 * quantileOfSorted(sortedChange, p), 6, 3)}%`;
  const sortedKl = sorted(kl), sortedChange = sorted(change);
  return [
    "====== Perplexity statistics ======",
    `Mean PPL(Q)                   : ${pair(ppl, 10, 6)}`,
    `Mean PPL(base)                : ${pair(own, 10, 6)}`,
    `Cor(ln(PPL(Q)), ln(PPL(base))): ${fixed(100 * shared / (q[1] * b[1]), 6, 2)}%`,
    `Mean ln(PPL(Q)/PPL(base))     : ${pair(ratio, 10, 6)}`,
    `Mean PPL(Q)/PPL(base)         : ${pair(exp(ratio), 10, 6)}`,
    `Mean PPL(Q)-PPL(base)         : ${pair(difference, 10, 6)}`,
    "",
    "====== KL divergence statistics ======",
    `Mean    KLD: ${pair(mean(kl), 10, 6)}`,
    `Maximum KLD: ${klAt(1)}`,
    `99.9%   KLD: ${klAt(0.999)}`,
    `99.0%   KLD: ${klAt(0.99)}`,
    `95.0%   KLD: ${klAt(0.95)}`,
    `90.0%   KLD: ${klAt(0.9)}`,
    `Median  KLD: ${klAt(0.5)}`,
    `10.0%   KLD: ${klAt(0.1)}`,
    ` 5.0%   KLD: ${klAt(0.05)}`,
    ` 1.0%   KLD: ${klAt(0.01)}`,
    ` 0.1%   KLD: ${klAt(0.001)}`,
    `Minimum KLD: ${klAt(0)}`,
    "",
    "====== Token probability statistics ======",
    `Mean    Δp: ${uneven(percent(mean(change)))} %`,
    `Maximum Δp: ${changeAt(1)}`,
    `99.9%   Δp: ${changeAt(0.999)}`,
    `99.0%   Δp: ${changeAt(0.99)}`,
    `95.0%   Δp: ${changeAt(0.95)}`,
    `90.0%   Δp: ${changeAt(0.9)}`,
    `75.0%   Δp: ${changeAt(0.75)}`,
    `Median  Δp: ${changeAt(0.5)}`,
    `25.0%   Δp: ${changeAt(0.25)}`,
    `10.0%   Δp: ${changeAt(0.1)}`,
    ` 5.0%   Δp: ${changeAt(0.05)}`,
    ` 1.0%   Δp: ${changeAt(0.01)}`,
    ` 0.1%   Δp: ${changeAt(0.001)}`,
    `Minimum Δp: ${changeAt(0)}`,
    `RMS Δp    : ${uneven(percent(rms(change)))} %`,
    `Same top p: ${uneven(percent(share(same)))} %`,
  ];
}

function mean(values: readonly number[]): Uncertain {
  const count = values.length, average = values.reduce((sum, x) => sum + x, 0) / count;
  const spread = values.reduce((sum, x) => sum + x * x, 0) / count - average * average;
  return [average, spread > 0 && count > 10 ? Math.sqrt(spread / (count - 1)) : spread !== spread ? NaN : 0];
}

function covariance(a: readonly number[], b: readonly number[]): number {
  const count = a.length, product = a.reduce((sum, x, i) => sum + x * b[i]!, 0) / count;
  return count < 10 ? 0 : (product - mean(a)[0] * mean(b)[0]) / (count - 1);
}

/** Of the logarithms of perplexities, B's minus A's. */
function ratioOf(nll: readonly number[], base: readonly number[]): Uncertain {
  const q = mean(nll), b = mean(base);
  return [q[0] - b[0], Math.sqrt(Math.max(0, q[1] ** 2 + b[1] ** 2 - 2 * covariance(nll, base)))];
}

const exp = ([value, error]: Uncertain): Uncertain => [Math.exp(value), Math.exp(value) * error];
const percent = ([value, error]: Uncertain): Uncertain => [100 * value, 100 * error];

function rms(values: readonly number[]): Uncertain {
  const [square, error] = mean(values.map((x) => x * x)), root = Math.sqrt(square);
  return [root, root === 0 ? 0 : 0.5 / root * error];
}

function share(same: readonly number[]): Uncertain {
  const value = same.reduce((sum, x) => sum + x, 0) / same.length;
  return [value, Math.sqrt(value * (1 - value) / (same.length - 1))];
}

const pair = ([value, error]: Uncertain, width: number, digits: number) =>
  `${fixed(value, width, digits)} ± ${fixed(error, width, digits)}`;
/** The error one column narrower, as the last section has it. */
const uneven = ([value, error]: Uncertain) => `${fixed(value, 6, 3)} ± ${fixed(error, 5, 3)}`;

/** As C's printf writes it. */
function fixed(value: number, width: number, digits: number): string {
  const text = Number.isFinite(value) ? value.toFixed(digits) : value > 0 ? "inf" : value < 0 ? "-inf" : "nan";
  return text.padStart(width);
}
