/** Plots of comparisons: where the error comes from, and what it does to predictions. */
import { OPERATIONS } from "../../model/gpt_oss.ts";
import type { DivergenceResult } from "../results_schema.ts";
import type { Artist } from "./draw.ts";
import { SERIES } from "./html.ts";

/** One comparison and what it is called. */
export interface NamedDivergence {
  readonly label: string;
  /** Number of its colour, the same in all plots of a page. */
  readonly series: number;
  readonly divergence: DivergenceResult;
}

const WIDTH = 1000;

/** Upper ends of the steps that tiles are coloured by, and what stands before and behind them. */
const STEPS = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3] as const;
const STEP_NAMES = ["0", ...STEPS.map((step) => `< ${step < 1e-2 ? step.toExponential(0) : step}`), "≥ 0.3"];
const STEP_COLOURS = STEP_NAMES.map((_, i) => `var(--d${i})`);

function stepOf(error: number | null): string {
  if (error === 0) return STEP_NAMES[0]!;
  const index = STEPS.findIndex((step) => (error ?? Infinity) < step);
  return index < 0 ? STEP_NAMES.at(-1)! : STEP_NAMES[index + 1]!;
}

/** Error of every operation of every layer, as tiles; `kind` says which error. */
export function errorTiles({ Plot, draw }: Artist, { operations }: DivergenceResult, kind: "own" | "total"): string {
  const tiles = operations.flatMap((o) => {
    const error = kind === "own" ? o.own : o.total;
    if (error === null) return [];
    return [{
      layer: o.layer,
      operation: o.operation,
      step: stepOf(error.relative_error),
      title: `${o.operation}, layer ${o.layer}: ${error.relative_error?.toPrecision(3) ?? "not finite"}`,
    }];
  });
  const layers = [...new Set(operations.map((o) => o.layer))].sort((a, b) => a - b);
  const last = Math.max(...layers);
  return draw({
    width: Math.min(WIDTH, 190 + 62 * layers.length),
    height: 30 + 19 * (OPERATIONS.length + 1) + 30,
    marginLeft: 150,
    x: {
      type: "band",
      domain: layers,
      label: "layer",
      tickFormat: (layer: number) => layer < 0 ? "before" : layer === last ? "behind" : String(layer),
      tickSize: 0,
      padding: 0.06,
    },
    y: { type: "band", domain: [...OPERATIONS, "lm_head"], label: null, tickSize: 0, padding: 0.1 },
    color: { type: "ordinal", domain: STEP_NAMES, range: STEP_COLOURS, legend: true },
    marks: [
      Plot.cell(tiles, { x: "layer", y: "operation", fill: "step", stroke: "var(--line)", title: "title", rx: 2 }),
    ],
  });
}

/** Error of the residual stream behind each layer, one line per comparison. */
export function residualPlot({ Plot, draw }: Artist, comparisons: readonly NamedDivergence[], alarm: number): string {
  const points = comparisons.flatMap(({ label, divergence }) =>
    divergence.operations
      .filter((o) => o.operation === "mlpResidual" || o.operation === "attentionResidual")
      .filter((o) => (o.total.relative_error ?? 0) > 0)
      .map((o) => ({
        label,
        place: o.layer + (o.operation === "mlpResidual" ? 0.5 : 0),
        error: o.total.relative_error!,
      }))
  );
  if (points.length === 0) return EMPTY;
  return draw({
    width: WIDTH,
    height: 300,
    marginLeft: 60,
    x: { label: "layer (attention, then experts)", ticks: layersOf(comparisons), tickFormat: "d" },
    y: { type: "log", label: "relative error", grid: true, ...decades([alarm, ...points.map(({ error }) => error)]) },
    color: seriesOf(comparisons),
    marks: [
      Plot.ruleY([alarm], { stroke: "var(--bad)", strokeDasharray: "4 4" }),
      Plot.text([alarm], {
        y: (y: number) => y,
        text: () => "alarm line",
        frameAnchor: "right",
        textAnchor: "end",
        dy: -7,
        ...HALO,
      }),
      Plot.lineY(points, { x: "place", y: "error", stroke: "label", strokeWidth: 1.8 }),
      Plot.dot(points, {
        x: "place",
        y: "error",
        fill: "label",
        r: 2.6,
        title: (p) => `${p.label}: ${p.error.toPrecision(3)}`,
      }),
    ],
  });
}

/** Own error of the operations that have any, layer by layer, one panel per operation. */
export function ownErrorPlot({ Plot, draw }: Artist, comparisons: readonly NamedDivergence[]): string {
  const points = comparisons.flatMap(({ label, divergence }) =>
    divergence.operations
      .filter((o) => (o.own?.relative_error ?? 0) > 1e-9)
      .map((o) => ({ label, layer: o.layer, operation: o.operation, error: o.own!.relative_error! }))
  );
  if (points.length === 0) return EMPTY;
  const operations = [...OPERATIONS, "lm_head"].filter((name) => points.some((p) => p.operation === name));
  return draw({
    width: WIDTH,
    height: 60 + 60 * operations.length,
    marginLeft: 60,
    marginRight: 150,
    x: { label: "layer", ticks: layersOf(comparisons), tickFormat: "d", inset: 10 },
    y: {
      type: "log",
      label: "own relative error",
      grid: true,
      ...decades(points.map(({ error }) => error)),
      insetTop: 6,
      insetBottom: 6,
    },
    fy: { domain: operations, label: null },
    color: seriesOf(comparisons),
    marks: [
      Plot.frame({ stroke: "var(--line)" }),
      Plot.lineY(points, { x: "layer", y: "error", fy: "operation", stroke: "label", strokeWidth: 1.4 }),
      Plot.dot(points, {
        x: "layer",
        y: "error",
        fy: "operation",
        fill: "label",
        r: 3,
        title: (p) => `${p.label}, layer ${p.layer}: ${p.error.toPrecision(3)}`,
      }),
    ],
  });
}

/** Smallest KL that is drawn: below it there is nothing to see. */
const LEAST_KL = 1e-10;
/** Most dots of one comparison; longer texts are thinned to the largest KL of neighbours. */
const MOST_DOTS = 1000;

const SAME = "same likeliest token", OTHER = "another likeliest token", BROKEN = "not finite";

/** KL of every position, one panel per comparison. */
export function klPlot({ Plot, draw }: Artist, comparisons: readonly NamedDivergence[]): string {
  const dots = comparisons.flatMap(({ label, divergence: { logits } }) => {
    const step = Math.ceil(logits.kl.length / MOST_DOTS);
    return Array.from({ length: Math.ceil(logits.kl.length / step) }, (_, i) => {
      const part = logits.kl.slice(i * step, (i + 1) * step);
      const finite = part.filter((kl) => kl !== null);
      const agrees = !logits.agrees.slice(i * step, (i + 1) * step).includes("0");
      const kind = finite.length < part.length ? BROKEN : agrees ? SAME : OTHER;
      return { label, position: i * step, kl: Math.max(LEAST_KL, ...finite), kind };
    });
  });
  // What is not finite stands above everything else.
  const top = Math.max(1, ...dots.map(({ kl }) => kl));
  for (const dot of dots) if (dot.kind === BROKEN) dot.kl = top;
  const kinds = dots.some(({ kind }) => kind === BROKEN) ? [SAME, OTHER, BROKEN] : [SAME, OTHER];
  const means = comparisons.map(({ label, divergence }) => ({ label, kl: divergence.logits.mean_kl ?? 0 }))
    .filter(({ kl }) => kl > LEAST_KL);
  return draw({
    width: WIDTH,
    height: 60 + 130 * comparisons.length,
    marginLeft: 60,
    marginRight: 20,
    x: { label: "position (sequences one after the other)" },
    y: { type: "log", label: "KL, nats", grid: true, ...decades(dots.map(({ kl }) => kl), 2) },
    fy: { axis: null, domain: comparisons.map(({ label }) => label) },
    color: {
      domain: kinds,
      range: ["var(--s0)", "var(--bad)", "var(--s3)"].slice(0, kinds.length),
      legend: true,
    },
    marks: [
      Plot.frame({ stroke: "var(--line)" }),
      Plot.dot(dots, {
        x: "position",
        y: "kl",
        fy: "label",
        fill: "kind",
        r: 1.8,
        title: (d) => `position ${d.position}: ${d.kl.toExponential(2)}`,
      }),
      Plot.ruleY(means, { y: "kl", fy: "label", stroke: "currentColor", strokeDasharray: "5 4" }),
      Plot.text(means, {
        y: "kl",
        fy: "label",
        text: (m) => `mean ${m.kl.toExponential(1)}`,
        frameAnchor: "right",
        textAnchor: "end",
        dy: -7,
        dx: -4,
        ...HALO,
      }),
      ...(comparisons.length > 1
        ? [Plot.text(comparisons, {
          fy: "label",
          text: "label",
          frameAnchor: "top-left",
          dx: 6,
          dy: 5,
          fontWeight: 600,
          ...HALO,
        })]
        : []),
    ],
  });
}

/** Share of tokens that went to other experts, by layer. */
export function routerPlot({ Plot, draw }: Artist, comparisons: readonly NamedDivergence[]): string {
  const bars = comparisons.flatMap(({ label, divergence }) =>
    divergence.router.per_layer.map((share, layer) => ({ label, layer, share }))
  );
  if (bars.every(({ share }) => share === 0)) return EMPTY;
  return draw({
    width: WIDTH,
    height: 240,
    marginLeft: 60,
    x: { label: "layer", ticks: layersOf(comparisons), tickFormat: "d", inset: 20 },
    y: { label: "tokens with other experts", grid: true, tickFormat: "~%", zero: true },
    color: seriesOf(comparisons),
    marks: [
      Plot.lineY(bars, { x: "layer", y: "share", stroke: "label", strokeWidth: 1.6 }),
      Plot.dot(bars, {
        x: "layer",
        y: "share",
        fill: "label",
        r: 3,
        title: (b) => `${b.label}, layer ${b.layer}: ${(100 * b.share).toFixed(2)}%`,
      }),
      Plot.ruleY([0], { stroke: "var(--line)" }),
    ],
  });
}

/** What stands where there is nothing to draw. */
const EMPTY = `<p class="soft">Nothing to draw: there is no such error.</p>`;

/** Keeps text legible over dots. */
const HALO = { fill: "currentColor", stroke: "var(--card)", strokeWidth: 4 } as const;

/** A logarithmic axis with ticks at whole decades, every `step`-th of them, that holds all values. */
function decades(values: readonly number[], step = 1) {
  const low = Math.floor(Math.log10(Math.min(...values))), high = Math.ceil(Math.log10(Math.max(...values)));
  const count = Math.floor(Math.max(1, high - low) / step) + 1;
  const ticks = Array.from({ length: count }, (_, i) => 10 ** (low + i * step));
  return {
    domain: [10 ** low, 10 ** Math.max(high, low + 1)],
    ticks,
    tickFormat: (tick: number) => tick.toExponential(0),
  };
}

function layersOf(comparisons: readonly NamedDivergence[]): number[] {
  const layers = comparisons.flatMap(({ divergence }) => divergence.router.per_layer.map((_, layer) => layer));
  return [...new Set(layers)];
}

function seriesOf(comparisons: readonly NamedDivergence[]) {
  const domain = comparisons.map(({ label }) => label);
  return { domain, range: comparisons.map(({ series }) => SERIES[series % SERIES.length]!), legend: domain.length > 1 };
}
