/** Plots of accuracies. */
import { FILTERS } from "../filters.ts";
import type { Gsm8kResults } from "../results_schema.ts";
import type { Artist } from "./draw.ts";
import { SERIES } from "./html.ts";
import { percent, points } from "./numbers.ts";

const WIDTH = 1000;
/** Room for labels of settings, in pixels. */
const LABELS = 230;

/** Accuracy of every setting with its interval, by both filters. */
export function accuracyPlot({ Plot, draw }: Artist, { cells }: Gsm8kResults): string {
  const rows = cells.flatMap(({ label, filters }) => FILTERS.map((filter) => ({ label, filter, ...filters[filter] })));
  return draw({
    width: WIDTH,
    height: 50 + 46 * cells.length,
    marginLeft: LABELS,
    marginRight: 30,
    x: { label: "accuracy", tickFormat: "~%", grid: true, nice: true },
    y: { label: null, axis: null },
    fy: { domain: cells.map(({ label }) => label), label: null, axis: "left", tickSize: 0 },
    color: { domain: [...FILTERS], range: [SERIES[1]!, SERIES[0]!], legend: true },
    marks: [
      Plot.ruleY(rows, { x1: "low", x2: "high", y: "filter", fy: "label", stroke: "filter", strokeWidth: 2 }),
      Plot.dot(rows, {
        x: "accuracy",
        y: "filter",
        fy: "label",
        fill: "filter",
        r: 4.5,
        title: (r) => `${r.label}, ${r.filter}: ${percent(r.accuracy)} [${percent(r.low)}, ${percent(r.high)}]`,
      }),
    ],
  });
}

/** Difference from the first setting with its interval. */
export function differencePlot({ Plot, draw }: Artist, results: Gsm8kResults): string {
  const rows = results.comparisons.flatMap(({ key, pairs }) => {
    const label = results.cells.find((cell) => cell.key === key)!.label;
    return pairs.filter((pair) => pair.filter === "flexible-extract").map((pair) => ({
      label,
      ...pair,
      low: pair.low ?? -1,
      high: pair.high ?? 1,
    }));
  });
  const noticeable = Math.max(...rows.map((row) => row.detectable));
  // The band must not dwarf what it is there to judge.
  const reach = 1.15 * Math.max(...rows.flatMap(({ low, high }) => [-low, high]), Math.min(noticeable, 0.05));
  return draw({
    width: WIDTH,
    height: 50 + 30 * rows.length,
    marginLeft: LABELS,
    marginRight: 30,
    x: {
      label: "percentage points against the first setting",
      grid: true,
      domain: [-100 * reach, 100 * reach],
      transform: (d: number) => 100 * d,
    },
    y: { type: "band", domain: rows.map(({ label }) => label), label: null, tickSize: 0 },
    marks: [
      Plot.rectX([0], {
        x1: -Math.min(noticeable, reach),
        x2: Math.min(noticeable, reach),
        fill: "var(--s6)",
        fillOpacity: 0.13,
      }),
      Plot.ruleX([0], { stroke: "var(--soft)" }),
      Plot.ruleY(rows, { x1: "low", x2: "high", y: "label", stroke: SERIES[0]!, strokeWidth: 2 }),
      Plot.dot(rows, {
        x: "difference",
        y: "label",
        fill: SERIES[0]!,
        r: 4.5,
        title: (r) => `${r.label}: ${points(r.difference)} points, p = ${r.p.toFixed(3)}`,
      }),
    ],
  });
}

/** What became of each problem under each setting, beside the first. */
export function outcomePlot({ Plot, draw }: Artist, results: Gsm8kResults): string {
  const [first, ...others] = results.cells;
  const kinds = ["solved by both", "gained", "lost", "solved by neither"] as const;
  const rows = others.flatMap((cell) => {
    const base = first!.filters["flexible-extract"].outcomes, own = cell.filters["flexible-extract"].outcomes;
    const counts: Record<(typeof kinds)[number], number> = {
      "solved by both": 0,
      gained: 0,
      lost: 0,
      "solved by neither": 0,
    };
    for (let i = 0; i < base.length; i++) {
      const [a, b] = [base[i] === "1", own[i] === "1"];
      counts[a && b ? "solved by both" : a ? "lost" : b ? "gained" : "solved by neither"]++;
    }
    return kinds.map((kind) => ({ label: cell.label, kind, count: counts[kind] }));
  });
  return draw({
    width: WIDTH,
    height: 50 + 30 * others.length,
    marginLeft: LABELS,
    marginRight: 30,
    x: { label: "problems" },
    y: { type: "band", domain: others.map(({ label }) => label), label: null, tickSize: 0, padding: 0.25 },
    color: {
      domain: [...kinds],
      range: ["var(--s2)", "var(--s0)", "var(--bad)", "var(--s6)"],
      legend: true,
    },
    marks: [
      Plot.barX(rows, {
        x: "count",
        y: "label",
        fill: "kind",
        order: [...kinds],
        title: (r) => `${r.label}: ${r.count} ${r.kind}`,
      }),
    ],
  });
}

/** Accuracy against the probability that the model gave its own replies. */
export function reliabilityPlot({ Plot, draw }: Artist, { cells }: Gsm8kResults): string {
  const dots = cells.flatMap(({ label, reliability }) => reliability.map((bin) => ({ label, ...bin })));
  if (dots.length === 0) return `<p class="soft">Too few problems for bins of them.</p>`;
  return draw({
    width: 640,
    height: 420,
    marginLeft: 60,
    x: { label: "probability of the whole reply", domain: [0, 1], tickFormat: "~%" },
    y: { label: "correct", domain: [0, 1], tickFormat: "~%", grid: true },
    color: {
      domain: cells.map(({ label }) => label),
      range: cells.map((_, i) => SERIES[i % SERIES.length]!),
      legend: true,
    },
    marks: [
      Plot.line([[0, 0], [1, 1]], { stroke: "var(--soft)", strokeDasharray: "4 4" }),
      Plot.lineY(dots, { x: "confidence", y: "accuracy", stroke: "label", strokeWidth: 1.5 }),
      Plot.dot(dots, {
        x: "confidence",
        y: "accuracy",
        fill: "label",
        r: 3,
        title: (d) =>
          `${d.label}: ${percent(d.confidence, 1)} sure, ${percent(d.accuracy, 1)} right, ${d.problems} problems`,
      }),
    ],
  });
}
