/** Plots of errors of operations, layer by layer. */
import { OPERATIONS } from "../../model/operations.ts";
import type { DivergenceResult } from "../results_schema.ts";
import { colourScale, panelChannels, panels } from "./arrangement.ts";
import type { Artist } from "./draw.ts";
import { errorText, exponent } from "./numbers.ts";
import {
  type Comparisons,
  decades,
  EMPTY,
  HALO,
  labelRoom,
  layersOf,
  layerTicks,
  ROW_NAMES,
  spread,
  WIDTH,
} from "./plot_parts.ts";

/** Upper ends of the steps that tiles are coloured by, and the names of the steps. */
const STEPS = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3] as const;
const STEP_NAMES = ["0", ...STEPS.map((step) => `< ${step < 1e-2 ? exponent(step) : step}`), "≥ 0.3"];
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

/** Own errors below this are rounding of the comparison itself. */
const LEAST_ERROR = 1e-9;

/** Error of every operation of every layer, as tiles; `kind` says which error. */
export function errorTiles({ Plot, draw }: Artist, { operations }: DivergenceResult, kind: "own" | "total"): string {
  const tiles = operations.flatMap((o) => {
    const error = kind === "own" ? o.own : o.total;
    if (error === null) return [];
    return [{
      layer: o.layer,
      operation: o.operation,
      step: stepOf(error.relative_error),
      title: `${o.operation}, layer ${o.layer}: ${errorText(error.relative_error)}`,
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
      tickFormat: (layer: number) => layer < 0 ? "before" : layer === last ? "after" : String(layer),
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

/** Error of the residual stream after each layer, one line per comparison. */
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
        title: (p) => `${p.label}: ${errorText(p.error)}`,
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
    // The embedding and the head stand before and after the layers, without a number.
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
        title: (t) => `${t.label}: ${t.operation}, layer ${t.layer}: ${errorText(t.error)}`,
      }),
    ],
  });
}
