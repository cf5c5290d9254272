/** Plots of accuracies. */
import { counted } from "../../amounts.ts";
import { FILTERS } from "../filters.ts";
import type { Gsm8kResults } from "../results_schema.ts";
import { type Arrangement, type Arrangements, colourScale, panelChannels, panels } from "./arrangement.ts";
import { labelRoom, WIDTH } from "./plot_parts.ts";
import type { Artist, PlotLibrary } from "./draw.ts";
import { SERIES } from "./html.ts";
import { exactInterval } from "../statistics.ts";
import { bracketed, type Estimate, estimateText, measuredShare, pValue, roughPercent } from "./numbers.ts";

/** Room for labels of columns, in pixels. */
const TOP = 30;

/** Columns of a plot with a row for each setting, and the names of its rows. */
function rowPanels({ place, columns }: Arrangement, shown: Gsm8kResults["cells"]) {
  const names = [...new Set(shown.map(({ label }) => place(label).row))];
  return {
    place,
    names,
    scales: {
      width: WIDTH,
      marginLeft: labelRoom(names),
      marginRight: 30,
      ...panels({ columns, rows: [] }),
    },
    channels: columns.length > 1 ? { fx: "column" } : {},
    /** Ticks that a column has room for. */
    ticks: columns.length > 1 ? { ticks: 4, inset: 6 } : {},
    /** What tells columns apart. */
    frames: (Plot: PlotLibrary) => columns.length > 1 ? [Plot.frame({ stroke: "var(--line)" })] : [],
  };
}

/** Accuracy of every setting with its interval, by both filters. */
export function accuracyPlot({ Plot, draw }: Artist, { cells }: Gsm8kResults, arranged: Arrangements): string {
  const { place, names, scales, channels, ticks } = rowPanels(arranged.rows, cells);
  const rows = cells.flatMap(({ label, filters }) =>
    FILTERS.map((filter) => ({ label, ...place(label), filter, ...filters[filter] }))
  );
  return draw({
    ...scales,
    height: TOP + 50 + (names.length > 8 ? 34 : 46) * names.length,
    x: { label: "accuracy", tickFormat: "~%", grid: true, nice: true, ...ticks },
    y: { label: null, axis: null },
    fy: { domain: names, label: null, axis: "left", tickSize: 0 },
    color: { domain: [...FILTERS], range: [SERIES[1]!, SERIES[0]!], legend: true },
    marks: [
      Plot.ruleY(rows, {
        x1: "low",
        x2: "high",
        y: "filter",
        fy: "row",
        stroke: "filter",
        strokeWidth: 2,
        ...channels,
      }),
      Plot.dot(rows, {
        x: "accuracy",
        y: "filter",
        fy: "row",
        fill: "filter",
        ...channels,
        r: 4.5,
        title: (r) => `${r.label}, ${r.filter}: ${measuredShare({ ...r, value: r.accuracy })}`,
      }),
    ],
  });
}

/** Difference from the first setting with its interval. */
export function differencePlot({ Plot, draw }: Artist, results: Gsm8kResults, arranged: Arrangements): string {
  const { place, names, scales, channels, ticks, frames } = rowPanels(arranged.rows, results.cells.slice(1));
  const rows = results.comparisons.flatMap(({ key, pairs }) => {
    const label = results.cells.find((cell) => cell.key === key)!.label;
    return pairs.filter((pair) => pair.filter === "flexible-extract").map((pair) => ({
      label,
      ...place(label),
      ...pair,
      text: differenceText(pair),
      low: pair.low ?? -1,
      high: pair.high ?? 1,
    }));
  });
  const noticeable = Math.max(...rows.map((row) => row.detectable));
  // The band must not dwarf what it is there to judge.
  const reach = 1.15 * Math.max(...rows.flatMap(({ low, high }) => [-low, high]), Math.min(noticeable, 0.05));
  return draw({
    ...scales,
    height: TOP + 50 + 28 * names.length,
    x: {
      label: "percentage points against the first setting",
      grid: true,
      ...ticks,
      domain: [-100 * reach, 100 * reach],
      transform: (d: number) => 100 * d,
    },
    y: { type: "band", domain: names, label: null, tickSize: 0 },
    marks: [
      Plot.rectX([0], {
        x1: -Math.min(noticeable, reach),
        x2: Math.min(noticeable, reach),
        fill: "var(--s6)",
        fillOpacity: 0.13,
      }),
      ...frames(Plot),
      Plot.ruleX([0], { stroke: "var(--soft)" }),
      Plot.ruleY(rows, { x1: "low", x2: "high", y: "row", stroke: SERIES[0]!, strokeWidth: 2, ...channels }),
      Plot.dot(rows, {
        x: "difference",
        y: "row",
        ...channels,
        fill: SERIES[0]!,
        r: 4.5,
        title: (r) => `${r.label}: ${r.text}`,
      }),
    ],
  });
}

function differenceText(pair: Gsm8kResults["comparisons"][number]["pairs"][number]): string {
  const points: Estimate = { ...pair, kind: "points", value: pair.difference };
  return `${estimateText(points)} ${bracketed(points)} points, p (Holm) ${pValue(pair.p_holm)}`;
}

/** What became of each problem under each setting, beside the first. */
export function outcomePlot({ Plot, draw }: Artist, results: Gsm8kResults, arranged: Arrangements): string {
  const [first, ...others] = results.cells;
  const { place, names, scales, channels, ticks, frames } = rowPanels(arranged.rows, others);
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
    return kinds.map((kind) => ({ label: cell.label, ...place(cell.label), kind, count: counts[kind] }));
  });
  return draw({
    ...scales,
    height: TOP + 50 + 28 * names.length,
    x: { label: "problems", ...ticks },
    y: { type: "band", domain: names, label: null, tickSize: 0, padding: 0.25 },
    color: {
      domain: [...kinds],
      range: ["var(--s2)", "var(--s0)", "var(--bad)", "var(--s6)"],
      legend: true,
    },
    marks: [
      ...frames(Plot),
      Plot.barX(rows, {
        x: "count",
        y: "row",
        ...channels,
        fill: "kind",
        order: [...kinds],
        title: (r) => `${r.label}: ${r.count} ${r.kind}`,
      }),
    ],
  });
}

/** Accuracy against the probability that the model gave its own replies. */
export function reliabilityPlot({ Plot, draw }: Artist, { cells }: Gsm8kResults, { lines }: Arrangements): string {
  const dots = cells.flatMap(({ label, reliability }) =>
    (reliability ?? []).map((bin) => ({
      // Earlier versions kept no interval.
      ...exactInterval(Math.round(bin.accuracy * bin.problems), bin.problems),
      ...{ label, ...lines.place(label), ...bin },
    }))
  );
  if (dots.length === 0) return `<p class="soft">Too few problems for bins of them.</p>`;
  const channels = panelChannels(lines), { columns, rows } = lines;
  const alone = Object.keys(channels).length === 0;
  return draw({
    width: alone ? 640 : WIDTH,
    height: alone ? 420 : 80 + (columns.length > 2 ? 230 : 380) * rows.length,
    marginLeft: 60,
    marginRight: rows.length > 1 ? 60 : 20,
    ...panels(lines),
    x: { label: "probability of the whole reply", domain: [0, 1], tickFormat: "~%", ticks: alone ? 10 : [0, 0.5, 1] },
    y: { label: "correct", domain: [0, 1], tickFormat: "~%", grid: true },
    color: colourScale(lines, cells),
    marks: [
      ...(alone ? [] : [Plot.frame({ stroke: "var(--line)" })]),
      Plot.line([[0, 0], [1, 1]], { stroke: "var(--soft)", strokeDasharray: "4 4" }),
      Plot.lineY(dots, {
        x: "confidence",
        y: "accuracy",
        z: "label",
        stroke: "colour",
        strokeWidth: 1.5,
        ...channels,
      }),
      Plot.ruleX(dots, {
        ...{ x: "confidence", y1: "low", y2: "high", stroke: "colour", strokeWidth: 1, strokeOpacity: 0.4 },
        ...channels,
      }),
      Plot.dot(dots, {
        x: "confidence",
        y: "accuracy",
        fill: "colour",
        r: 3,
        title: (d) =>
          `${d.label}: ${roughPercent(d.confidence)} sure, ${measuredShare({ ...d, value: d.accuracy })} right, ${
            counted(d.problems, "problem")
          }`,
        ...channels,
      }),
    ],
  });
}
