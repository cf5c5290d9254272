/** What `mxoss bench` prints. */
import { bytesText, counted, durationText } from "../amounts.ts";
import { type BenchResults, type Figure, type Skipped, type Subject, subjectText } from "../bench/figures.ts";
import {
  intervalText,
  medianText,
  partText,
  quotient,
  scaled,
  type Spread,
  spreadText,
  WANTED_COVERAGE,
} from "../bench/spread.ts";
import { cacheText } from "../session/cache_use.ts";
import { linesOf, tableLines } from "./table.ts";

/** All of it, line by line. */
export function benchLines(results: BenchResults): string[] {
  const figures = inOrder(results.figures), { skipped } = results, depth = depthLine(figures);
  return [
    ...tableLines(facts(results)),
    "",
    ...linesOf({ heads: FIGURE_HEADS, rows: figures.map(figureRow), right: [1, 3, 4, 5, 6, 7, 8] }),
    ...unsureLines(figures),
    ...limitsNote(figures),
    ...(depth === null ? [] : ["", depth]),
    ...shareLines(figures),
    ...skippedLines(skipped),
  ];
}

/** Names and values of what was measured, and on what. */
export function facts({ machine, computed, limits }: BenchResults): string[][] {
  const { processor, threads, memory_bytes, load, system, deno } = machine;
  const weights = `${bytesText(computed.weight_bytes)} of weights`;
  return [
    [
      "machine",
      [
        processor ?? "unknown processor",
        counted(threads, "thread"),
        ...(memory_bytes === null ? [] : [bytesText(memory_bytes)]),
        system,
        `Deno ${deno}`,
        ...(load === null ? [] : [`load ${load} before`]),
      ].join(", "),
    ],
    ["model", [computed.shape ?? computed.model, `${counted(computed.layers, "layer")}`, weights].join(", ")],
    [
      "computed",
      [
        computed.scheme,
        `${computed.dtype}, KV cache ${computed.kv_cache_dtype}`,
        ...(computed.tp * computed.ep > 1 ? [`tp ${computed.tp}, ep ${computed.ep}`] : []),
        `chunks of ${computed.chunk}`,
        computed.engine,
      ].join("; "),
    ],
    ["cache", computed.caches.map(cacheText).join("; ")],
    ...(limits === null ? [] : [[
      "limits",
      [
        `${rateText(limits.read, 1e9)} GB/s read`,
        `${rateText(limits.float32, 1e9)} GMAC/s float32`,
        `${rateText(limits.int8, 1e9)} GMAC/s int8`,
      ].join(", ") + ` (${counted(limits.threads, "thread")})`,
    ]]),
  ];
}

const rateText = (spread: Spread, unit: number): string => spreadText(scaled(spread, 1 / unit));

/** Prompts, then one sequence, then batches, the smaller first: figures are measured in another order. */
export function inOrder(figures: readonly Figure[]): Figure[] {
  const place = ({ subject }: Figure): number[] =>
    subject.kind === "prefill"
      ? [0, subject.tokens, 0, 0]
      : [1, subject.sequences, subject.context, subject.logits === "all" ? 1 : 0];
  const before = (a: readonly number[], b: readonly number[]) =>
    a.map((value, i) => value - b[i]!).find((difference) => difference !== 0) ?? 0;
  return figures.toSorted((a, b) => before(place(a), place(b)));
}

/** Heads of the table of figures. */
export const FIGURE_HEADS: string[] = [
  ...["", "tok/s", "interval", "runs", "GMAC/s", "GB/s"],
  ...["of read", "of float32", "of int8"],
];

/** A row of it. */
export function figureRow(figure: Figure): string[] {
  const { tokens_per_second: rate, macs_per_second: macs, bytes_per_second: bytes, of_limits: limits } = figure;
  const part = (spread: Spread | undefined) => spread === undefined ? "-" : partText(spread, 3);
  return [
    subjectText(figure.subject),
    medianText(rate),
    intervalText(rate),
    `${rate.runs}`,
    medianText(scaled(macs, 1e-9)),
    medianText(scaled(bytes, 1e-9)),
    ...[part(limits?.read), part(limits?.float32), part(limits?.int8)],
  ];
}

/** Which intervals are of too few runs, or of runs too like those before them, for what intervals promise. */
function unsureLines(figures: readonly Figure[]): string[] {
  return coverageLines("intervals", figures.map(({ subject, tokens_per_second }) => [subject, tokens_per_second]));
}

/** The same of any medians. */
function coverageLines(what: string, all: readonly (readonly [Subject, Spread])[]): string[] {
  const unsure = all.filter(([, { runs, coverage }]) => runs > 1 && coverage < WANTED_COVERAGE);
  if (unsure.length === 0) return [];
  const lines = unsure.map(([subject, { runs, independent, coverage }]) => {
    const alike = independent < runs ? `, each like those before, which tell as much as ${independent}` : "";
    return `  ${subjectText(subject)}: ${coverageText(coverage)}, of ${counted(runs, "run")}${alike}`;
  });
  return ["", `these ${what}, from the least run to the largest, cover the median less often than 95%:`, ...lines];
}

const coverageText = (coverage: number): string => `${Math.floor(100 * coverage)}%`;

/** How sure parts of the limits are, where that is less than 95%: each is a quotient of two figures. */
function limitsNote(figures: readonly Figure[]): string[] {
  const parts = figures.flatMap(({ of_limits: limits }) => limits === null ? [] : Object.values<Spread>(limits))
    .filter(({ runs }) => runs > 1);
  const least = Math.min(...parts.map(({ coverage }) => coverage));
  if (!(least < WANTED_COVERAGE)) return [];
  return [
    "",
    `of read, float32 and int8: intervals hold where that of the figure and that of the limit do, ${
      coverageText(least)
    } or more`,
  ];
}

/** How much of its rate decoding keeps at the deepest context. */
function depthLine(figures: readonly Figure[]): string | null {
  const single = figures.filter(({ subject }) => subject.kind === "decode" && subject.sequences === 1);
  const [first, last] = [single[0], single.at(-1)];
  if (first === undefined || last === undefined || first === last) return null;
  const kept = quotient(last.tokens_per_second, first.tokens_per_second);
  const sure = kept.runs > 1 && kept.coverage < WANTED_COVERAGE ? `, with ${coverageText(kept.coverage)} or more` : "";
  return `${subjectText(last.subject)} : ${subjectText(first.subject)} = ${spreadText(kept)}${sure}`;
}

/** Shares below this, in every column, are left to the JSON; and the digits of the others. */
const LEAST_SHARE = 0.01, SHARE_DIGITS = 2;

/** Shares of the figures that differ most: prompts and contexts at both ends, and the largest batch. */
export function shareTable(figures: readonly Figure[]): { heads: string[]; rows: string[][]; shown: Figure[] } {
  const seen = figures.filter(({ shares }) => shares !== null);
  const of = (which: (figure: Figure) => boolean) => seen.filter(which);
  const prompts = of(({ subject }) => subject.kind === "prefill");
  const single = of(({ subject }) => subject.kind === "decode" && subject.sequences === 1);
  const batches = of(({ subject }) => subject.kind === "decode" && subject.sequences > 1 && subject.logits !== "all");
  const shown = new Set([prompts[0], prompts.at(-1), single[0], single.at(-1), batches.at(-1)]);
  const columns = seen.filter((figure) => shown.has(figure));
  const share = ({ shares }: Figure, name: string) => shares!.find(({ operation }) => operation === name)?.share;
  const names = new Set(columns.flatMap(({ shares }) => shares!.map(({ operation }) => operation)));
  const rows = [...names].filter((name) => columns.some((figure) => (share(figure, name)?.median ?? 0) >= LEAST_SHARE))
    .map((name) => [
      name,
      ...columns.map((figure) => {
        const found = share(figure, name);
        return found === undefined ? "-" : partText(found, SHARE_DIGITS);
      }),
    ]);
  return { heads: ["share of time", ...columns.map(({ subject }) => subjectText(subject))], rows, shown: columns };
}

function shareLines(figures: readonly Figure[]): string[] {
  const { heads, rows, shown } = shareTable(figures);
  return shown.length === 0 ? [] : [
    "",
    ...linesOf({ heads, rows, right: shown.map((_, i) => i + 1) }),
    // A figure's shares are of the same runs.
    ...coverageLines("shares", shown.map(({ subject, shares }) => [subject, shares![0]!.share])),
  ];
}

function skippedLines(skipped: readonly Skipped[]): string[] {
  if (skipped.length === 0) return [];
  const lines = skipped.map(({ subject, seconds }) =>
    `  ${subjectText(subject)}${seconds === null ? "" : `: some ${durationText(seconds)}`}`
  );
  return ["", "not measured, as it takes longer than was left of --seconds:", ...lines];
}
