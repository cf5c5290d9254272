/** Plots of comparisons: where the error comes from, and what it does to predictions. */
import { OPERATIONS } from "../../model/operations.ts";
import type { DivergenceResult } from "../results_schema.ts";
import type { Artist } from "./draw.ts";
import { type Arrangement, colourScale, panelChannels, panels } from "./arrangement.ts";
import { SERIES } from "./html.ts";
import { small } from "./numbers.ts";

/** One comparison and what it is called. */
export interface NamedDivergence {
  readonly label: string;
  readonly divergence: DivergenceResult;
}

/** Comparisons, and how they share plots. */
export interface Comparisons {
  readonly named: readonly NamedDivergence[];
  /** Of plots with lines: colours and panels. */
  readonly lines: Arrangement;
  /** Of plots with a row, or a panel, for each comparison. */
  readonly rows: Arrangement;
}

const WIDTH = 1000;

/** Upper ends of the steps that tiles are coloured by, and what stands before and behind them. */
const STEPS = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3] as const;
const STEP_NAMES = ["0", ...STEPS.map((step) => `< ${step < 1e-2 ? step.toExponential(0) : step}`), "≥ 0.3"];
/** Colours of the steps, with their legend. */
const STEP_SCALE = {
  type: "ordinal",
  domain: STEP_NAMES,
  range: STEP_NAMES.map((_, i) => `var(--d${i})`),
  legend: true,
} as const;

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
    height: 30 + 19 * OPERATIONS.length + 30,
    marginLeft: 150,
    x: {
      type: "band",
      domain: layers,
      label: "layer",
      tickFormat: (layer: number) => layer < 0 ? "before" : layer === last ? "behind" : String(layer),
      tickSize: 0,
      padding: 0.06,
    },
    y: { type: "band", domain: OPERATIONS.map(({ name }) => name), label: null, tickSize: 0, padding: 0.1 },
    color: STEP_SCALE,
    marks: [
      Plot.cell(tiles, { x: "layer", y: "operation", fill: "step", stroke: "var(--line)", title: "title", rx: 2 }),
    ],
  });
}

/** Error of the residual stream behind each layer, one line per comparison. */
export function residualPlot({ Plot, draw }: Artist, { named, lines }: Comparisons, alarm: number): string {
  const points = named.flatMap(({ label, divergence }) =>
    divergence.operations
      .filter((o) => o.operation === "mlpResidual" || o.operation === "attentionResidual")
      .filter((o) => (o.total.relative_error ?? 0) > 0)
      .map((o) => ({
        label,
        ...lines.place(label),
        depth: o.layer + (o.operation === "mlpResidual" ? 0.5 : 0),
        error: o.total.relative_error!,
      }))
  );
  if (points.length === 0) return EMPTY;
  const channels = panelChannels(lines), alone = Object.keys(channels).length === 0;
  return draw({
    width: WIDTH,
    height: 60 + (lines.rows.length > 1 ? 190 : 250) * lines.rows.length,
    marginLeft: 60,
    marginRight: lines.rows.length > 1 ? ROW_NAMES : 20,
    ...panels(lines),
    x: { label: "layer (attention, then experts)", ticks: layerTicks(named, lines), tickFormat: "d" },
    y: { type: "log", label: "relative error", grid: true, ...decades([alarm, ...points.map(({ error }) => error)]) },
    color: colourScale(lines, named),
    marks: [
      ...(alone ? [] : [Plot.frame({ stroke: "var(--line)" })]),
      Plot.ruleY([alarm], { stroke: "var(--bad)", strokeDasharray: "4 4" }),
      ...(alone
        ? [Plot.text([alarm], {
          y: (y: number) => y,
          text: () => "alarm line",
          frameAnchor: "right",
          textAnchor: "end",
          dy: -7,
          ...HALO,
        })]
        : []),
      Plot.lineY(points, { x: "depth", y: "error", z: "label", stroke: "colour", strokeWidth: 1.8, ...channels }),
      Plot.dot(points, {
        x: "depth",
        y: "error",
        fill: "colour",
        r: 2.6,
        title: (p) => `${p.label}: ${p.error.toPrecision(3)}`,
        ...channels,
      }),
    ],
  });
}

/**
 * Own error of the operations that have any, as tiles: one row per comparison, one panel per operation, layer by layer.
 */
export function ownErrorPlot({ Plot, draw }: Artist, { named }: Comparisons): string {
  const tiles = named.flatMap(({ label, divergence }) =>
    divergence.operations.filter((o) => o.own !== null)
      .map(({ layer, operation, own }) => ({ label, layer, operation, error: own!.relative_error }))
  );
  if (tiles.length === 0) return `<p class="soft">Not known: each side runs on several ranks.</p>`;
  const operations = [...OPERATIONS, "lm_head"].filter((name) =>
    tiles.some(({ operation, error }) => operation === name && !(error !== null && error < LEAST_ERROR))
  );
  if (operations.length === 0) return EMPTY;
  const shown = tiles.filter(({ operation }) => operations.includes(operation));
  const labels = named.map(({ label }) => label);
  const layers = [...new Set(shown.map(({ layer }) => layer))].sort((a, b) => a - b);
  const inside = layersOf(named);
  return draw({
    width: WIDTH,
    height: 80 + 18 * labels.length,
    marginLeft: labelRoom(labels),
    marginTop: 40,
    fx: { domain: operations, label: null, padding: 0.06 },
    // The embedding and the head stand before and behind the layers, without a number.
    x: { type: "band", domain: layers, label: "layer", tickSize: 0, padding: 0.04, ticks: spread(inside, 4) },
    y: { type: "band", domain: labels, label: null, tickSize: 0, padding: 0.12 },
    color: STEP_SCALE,
    marks: [
      Plot.cell(shown, {
        x: "layer",
        y: "label",
        fx: "operation",
        fill: (t) => stepOf(t.error),
        stroke: "var(--line)",
        title: (t) => `${t.label}: ${t.operation}, layer ${t.layer}: ${t.error?.toPrecision(3) ?? BROKEN}`,
      }),
    ],
  });
}

/** Mean and largest KL of every comparison. */
export function distancePlot({ Plot, draw }: Artist, { named, rows }: Comparisons): string {
  const MEAN = "mean over all positions", LARGEST = "largest";
  const pairs = named.map(({ label, divergence: { logits } }) => ({
    label,
    ...rows.place(label),
    mean: logits.mean_kl === null ? null : Math.max(LEAST_KL, logits.mean_kl),
    largest: logits.max_kl === null ? null : Math.max(LEAST_KL, logits.max_kl),
  }));
  const dots = pairs.flatMap(({ mean, largest, ...pair }) => [
    ...(mean === null ? [] : [{ ...pair, kind: MEAN, kl: mean }]),
    ...(largest === null ? [] : [{ ...pair, kind: LARGEST, kl: largest }]),
  ]);
  const names = rows.rows.filter((row) => pairs.some((pair) => pair.row === row));
  const across = rows.columns.length > 1, channels = across ? { fx: "column" } : {};
  return draw({
    width: WIDTH,
    height: 74 + 26 * names.length,
    marginLeft: labelRoom(names),
    marginRight: 30,
    ...panels({ columns: rows.columns, rows: [] }),
    x: {
      type: "log",
      label: "KL from the first setting, nats",
      grid: true,
      ...decades(dots.length === 0 ? [LEAST_KL, 1] : dots.map(({ kl }) => kl), across ? 2 : 1),
      ...(across ? { inset: 8 } : {}),
    },
    y: { type: "band", domain: names, label: null, tickSize: 0 },
    color: { domain: [MEAN, LARGEST], range: [SERIES[0]!, SERIES[6]!], legend: true },
    marks: [
      ...(across ? [Plot.frame({ stroke: "var(--line)" })] : []),
      Plot.ruleY(pairs.filter(({ mean, largest }) => mean !== null && largest !== null), {
        x1: "mean",
        x2: "largest",
        y: "row",
        stroke: "var(--line)",
        strokeWidth: 2,
        ...channels,
      }),
      Plot.dot(dots, {
        x: "kl",
        y: "row",
        fill: "kind",
        r: 4.5,
        title: (d) => `${d.label}: ${d.kind} ${small(d.kl)}`,
        ...channels,
      }),
      Plot.text(pairs.filter(({ mean }) => mean === null), {
        y: "row",
        text: () => BROKEN,
        frameAnchor: "middle",
        ...HALO,
        ...channels,
      }),
    ],
  });
}

/** Own errors below this are rounding of the comparison itself. */
const LEAST_ERROR = 1e-9;
/** Smallest KL that is drawn: below it there is nothing to see. */
const LEAST_KL = 1e-10;
/** Most dots of one comparison, and of all: longer texts are thinned to the largest KL of neighbours. */
const MOST_DOTS = 1000, MOST_DOTS_OF_ALL = 10_000;

/** Positions that one dot of {@linkcode klPlot} stands for. */
export function positionsPerDot(named: readonly NamedDivergence[]): number {
  const most = Math.min(MOST_DOTS, Math.ceil(MOST_DOTS_OF_ALL / named.length));
  return Math.max(1, ...named.map(({ divergence: { logits } }) => Math.ceil(logits.kl.length / most)));
}

const SAME = "same likeliest token", OTHER = "another likeliest token", BROKEN = "not finite";

/** KL of every position, one panel per comparison. */
export function klPlot({ Plot, draw }: Artist, { named, rows }: Comparisons): string {
  const step = positionsPerDot(named);
  const dots = named.flatMap(({ label, divergence: { logits } }) =>
    Array.from({ length: Math.ceil(logits.kl.length / step) }, (_, i) => {
      const part = logits.kl.slice(i * step, (i + 1) * step);
      const finite = part.filter((kl) => kl !== null);
      const agrees = !logits.agrees.slice(i * step, (i + 1) * step).includes("0");
      const kind = finite.length < part.length ? BROKEN : agrees ? SAME : OTHER;
      return { ...rows.place(label), position: i * step, kl: Math.max(LEAST_KL, ...finite), kind };
    })
  );
  // What is not finite stands above everything else.
  const top = Math.max(1, ...dots.map(({ kl }) => kl));
  for (const dot of dots) if (dot.kind === BROKEN) dot.kl = top;
  const kinds = dots.some(({ kind }) => kind === BROKEN) ? [SAME, OTHER, BROKEN] : [SAME, OTHER];
  const means = named.map(({ label, divergence }) => ({
    ...rows.place(label),
    label,
    kl: divergence.logits.mean_kl ?? 0,
  })).filter(({ kl }) => kl > LEAST_KL);
  const names = rows.rows.filter((row) => named.some(({ label }) => rows.place(label).row === row));
  const across = rows.columns.length > 1;
  const channels = { fy: "row", ...(across ? { fx: "column" } : {}) };
  return draw({
    width: WIDTH,
    height: 60 + (across ? 112 : 140) * names.length,
    marginLeft: 60,
    marginRight: across ? labelRoom(names) : 20,
    x: { label: "position (sequences one after the other)", ...(across ? { ticks: 3 } : {}) },
    y: { type: "log", label: "KL, nats", grid: true, ...decades(dots.map(({ kl }) => kl), across ? 3 : 2) },
    ...panels({ columns: rows.columns, rows: [] }),
    fy: { axis: across ? "right" : null, domain: names, label: null, padding: 0.12 },
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
        fill: "kind",
        r: across ? 1.4 : 1.8,
        ...channels,
        // A title for each of tens of thousands of dots would make the page slow.
        ...(across ? {} : { title: (d) => `position ${d.position}: ${d.kl.toExponential(2)}` }),
      }),
      Plot.ruleY(means, { y: "kl", stroke: "currentColor", strokeDasharray: "5 4", ...channels }),
      Plot.text(means, {
        y: "kl",
        text: (m) => `mean ${m.kl.toExponential(1)}`,
        frameAnchor: "right",
        textAnchor: "end",
        dy: -7,
        dx: -4,
        ...HALO,
        ...channels,
      }),
      ...(named.length > 1 && !across
        ? [Plot.text(named.map(({ label }) => rows.place(label)), {
          text: "row",
          frameAnchor: "top-left",
          dx: 6,
          dy: 5,
          fontWeight: 600,
          ...HALO,
          ...channels,
        })]
        : []),
    ],
  });
}

/** Share of tokens that went to other experts, by layer. */
export function routerPlot({ Plot, draw }: Artist, { named, lines }: Comparisons): string {
  const shares = named.flatMap(({ label, divergence }) =>
    divergence.router.per_layer.map((share, layer) => ({ label, ...lines.place(label), layer, share }))
  );
  if (shares.every(({ share }) => share === 0)) return EMPTY;
  const channels = panelChannels(lines);
  return draw({
    width: WIDTH,
    height: 60 + 180 * lines.rows.length,
    marginLeft: 60,
    marginRight: lines.rows.length > 1 ? ROW_NAMES : 20,
    ...panels(lines),
    x: { label: "layer", ticks: layerTicks(named, lines), tickFormat: "d", inset: 20 },
    y: { label: "tokens with other experts", grid: true, tickFormat: "~%", zero: true },
    color: colourScale(lines, named),
    marks: [
      ...(Object.keys(channels).length === 0 ? [] : [Plot.frame({ stroke: "var(--line)" })]),
      Plot.lineY(shares, { x: "layer", y: "share", z: "label", stroke: "colour", strokeWidth: 1.6, ...channels }),
      Plot.dot(shares, {
        x: "layer",
        y: "share",
        fill: "colour",
        r: 3,
        title: (b) => `${b.label}, layer ${b.layer}: ${(100 * b.share).toFixed(2)}%`,
        ...channels,
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

function layersOf(named: readonly NamedDivergence[]): number[] {
  const layers = named.flatMap(({ divergence }) => divergence.router.per_layer.map((_, layer) => layer));
  return [...new Set(layers)];
}

/** Ticks of an axis of layers; panels side by side have room for few. */
function layerTicks(named: readonly NamedDivergence[], { columns }: Arrangement): number[] {
  return spread(layersOf(named), columns.length > 1 ? 6 : 40);
}

/** At most `count` of the values, evenly apart. */
function spread(values: readonly number[], count: number): number[] {
  const step = Math.ceil(values.length / count);
  return values.filter((_, i) => i % step === 0);
}

/** Room for names of rows at the right edge, in pixels. */
const ROW_NAMES = 150;

/** Room for labels at the left edge, in pixels. */
export function labelRoom(labels: readonly string[]): number {
  return 20 + 6.8 * Math.max(0, ...labels.map((label) => label.length));
}
