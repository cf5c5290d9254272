/** The page of `mxoss bench --out`: the figures as charts and tables. */
import { counted } from "../amounts.ts";
import { type BenchResults, type Figure, subjectText } from "../bench/figures.ts";
import { cacheText } from "../session/cache_use.ts";
import { type Artist, openArtist } from "../eval/report/draw.ts";
import { card, page, plottedTable, section, SERIES, settings } from "../eval/report/html.ts";
import { FIGURE_HEADS, figureRow, inOrder, shareTable } from "./bench_tables.ts";

/** Width of a chart, in pixels. */
const WIDTH = 960;

/** The page, as HTML. */
export async function benchPage(results: BenchResults): Promise<string> {
  const artist = await openArtist(), figures = inOrder(results.figures), { computed } = results;
  const title = `Speed of ${computed.shape ?? computed.model}, ${
    counted(computed.layers, "layer")
  }, ${computed.scheme}`;
  const rows = figures.map(figureRow), caches = computed.caches.map(cacheText).join("; ");
  return page(title, [
    `<h1>${title}</h1>`,
    section(
      "Tokens per second",
      "Medians of several runs; lines are intervals that cover the median of all runs with 95%, or all of fewer than " +
        "six runs and of runs so like those before them that they tell no more than as few. Fewer than nine runs are " +
        "taken for independent: where each is like the one before it, their interval covers less than is said.",
      card(rates(artist, figures)),
      plottedTable({ heads: FIGURE_HEADS, rows, right: [1, 3, 4, 5, 6, 7, 8], wraps: [] }),
    ),
    ...(results.limits === null ? [] : [section(
      "How near to the limits",
      "What plain loops on as many threads reach is 100%: reading memory, and multiply-adds of float32 and of bytes. " +
        "Lines are intervals, which hold where those of the figure and of the limit do.",
      card(nearness(artist, figures)),
    )]),
    section(
      "Where time goes",
      "Measured operation by operation, beside the figures above. The table has medians of the runs that were looked " +
        "at with intervals, from the least to the largest of less than six.",
      card(shares(artist, figures)),
      ...sharesTable(figures),
    ),
    section(
      "How it was measured",
      "",
      card(settings({ mxoss: results.mxoss, ...results.machine, ...computed, caches })),
    ),
  ]);
}

const label = ({ subject }: Figure): string => subjectText(subject);

function rates({ Plot, draw }: Artist, figures: readonly Figure[]): string {
  const marks = figures.map((figure) => ({ what: label(figure), ...figure.tokens_per_second }));
  return draw({
    width: WIDTH,
    marginLeft: 270,
    x: { label: "tokens per second", type: "log", grid: true },
    y: { label: null, domain: marks.map(({ what }) => what) },
    marks: [
      Plot.link(marks, { x1: "low", x2: "high", y1: "what", y2: "what", stroke: SERIES[0]!, strokeWidth: 2 }),
      Plot.dot(marks, { x: "median", y: "what", fill: SERIES[0]!, r: 5 }),
    ],
  });
}

function nearness({ Plot, draw }: Artist, figures: readonly Figure[]): string {
  const limits = ["read", "float32", "int8"] as const;
  const marks = figures.flatMap((figure) =>
    limits.map((limit) => {
      const { median = 0, low = 0, high = 0 } = figure.of_limits?.[limit] ?? {};
      return { what: label(figure), limit, part: 100 * median, low: 100 * low, high: 100 * high };
    })
  );
  return draw({
    width: WIDTH,
    marginLeft: 270,
    x: { label: "% of the limit", grid: true, domain: [0, Math.max(100, ...marks.map(({ high }) => high))] },
    y: { label: null, domain: figures.map(label) },
    color: { domain: [...limits], range: SERIES.slice(0, limits.length), legend: true },
    marks: [
      Plot.ruleX([100], { stroke: "currentColor", strokeDasharray: "4 3" }),
      Plot.link(marks, { x1: "low", x2: "high", y1: "what", y2: "what", stroke: "limit", strokeWidth: 2 }),
      Plot.dot(marks, { x: "part", y: "what", fill: "limit", r: 5 }),
    ],
  });
}

/** The shares in numbers; nothing where none were seen. */
function sharesTable(figures: readonly Figure[]): string[] {
  const { heads, rows, shown } = shareTable(figures);
  return shown.length === 0 ? [] : [plottedTable({ heads, rows, right: shown.map((_, i) => i + 1), wraps: [] })];
}

/** Operations that are drawn; the others are one bar. */
const DRAWN = SERIES.length - 1;

function shares({ Plot, draw }: Artist, figures: readonly Figure[]): string {
  const seen = figures.filter(({ shares }) => shares !== null);
  if (seen.length === 0) return `<p class="soft">Operations cannot be looked at one by one here.</p>`;
  const largest = new Map<string, number>();
  for (const { shares } of seen) {
    for (const { operation, share } of shares!) {
      largest.set(operation, Math.max(largest.get(operation) ?? 0, share.median));
    }
  }
  const drawn = [...largest].sort(([, a], [, b]) => b - a).slice(0, DRAWN).map(([name]) => name);
  const marks = seen.flatMap((figure) =>
    figure.shares!.map(({ operation, share }) => ({
      what: label(figure),
      operation: drawn.includes(operation) ? operation : "others",
      part: 100 * share.median,
    }))
  );
  return draw({
    width: WIDTH,
    marginLeft: 270,
    x: { label: "% of the time" },
    y: { label: null, domain: seen.map(label) },
    color: { domain: [...drawn, "others"], range: SERIES.slice(0, drawn.length + 1), legend: true },
    marks: [Plot.barX(marks, Plot.groupY({ x: "sum" }, { x: "part", y: "what", fill: "operation" }))],
  });
}
