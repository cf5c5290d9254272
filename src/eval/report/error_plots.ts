/** Plots of errors of operations, layer by layer. */
import type { DivergenceResult } from "../divergence_schema.ts";
import type { Estimated } from "../predictions_schema.ts";
import { OPERATIONS } from "../../model/operations.ts";
import { colourScale, panelChannels, panels } from "./arrangement.ts";
import type { Artist } from "./draw.ts";
import { heatTable, type HeatValue } from "./heat.ts";
import { chosen, largestPlace } from "./places.ts";
import { errorEstimate, errorText } from "./prediction_tables.ts";
import { type Comparisons, decades, EMPTY, HALO, layerTicks, ROW_NAMES, WIDTH } from "./plot_parts.ts";

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
        text: errorText(o.total),
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
        title: (p) => `${p.label}: ${p.text}`,
        ...channels,
      }),
    ],
  });
}

/** Own errors below this are rounding of the comparison itself. */
const LEAST_ERROR = 1e-9;

type Operation = DivergenceResult["operations"][number];

/** The error that a table shows; undefined where there is none. */
function errorOf({ own, total }: Operation, kind: "own" | "total"): HeatValue {
  const error = kind === "total" ? total : own;
  return error === null ? undefined : errorEstimate(error);
}

/** Whether there is something to see of an error. */
const shows = (error: HeatValue) => error !== undefined && (error.value ?? Infinity) >= LEAST_ERROR;

/** In the order of the pass. */
const NAMES = ["embed", ...OPERATIONS.map(({ name }) => name).filter((name) => name !== "embed")];

/**
 * Error of every operation of every layer, a row for each operation that has any; `kind` says which error. The
 * embedding and the head stand before and after the layers.
 */
export function errorTiles({ operations }: DivergenceResult, kind: "own" | "total"): string {
  const known = operations.filter((o) => errorOf(o, kind) !== undefined);
  const names = NAMES.filter((name) => known.some((o) => o.operation === name && shows(errorOf(o, kind))));
  if (names.length === 0) return EMPTY;
  const shown = known.filter(({ operation }) => (names as string[]).includes(operation));
  const layers = [...new Set(shown.map(({ layer }) => layer))].sort((a, b) => a - b);
  const last = Math.max(...operations.map(({ layer }) => layer));
  return heatTable({
    what: "layer",
    columns: layers.map((layer) => layer < 0 ? "before" : layer === last ? "after" : `${layer}`),
    rows: names.map((name) => ({
      name,
      values: layers.map((layer) => {
        const found = shown.find((o) => o.operation === name && o.layer === layer);
        return found === undefined ? undefined : errorOf(found, kind);
      }),
    })),
  });
}

/** Own error of the operations that have any: a row for each setting, the largest of all layers. */
export function ownErrorTable({ named }: Pick<Comparisons, "named">): string {
  if (named.every(({ divergence: { operations } }) => operations.every(({ own }) => own === null))) {
    return `<p class="soft">Not known: each side runs on several ranks.</p>`;
  }
  const worst = (divergence: DivergenceResult, name: string): HeatValue => {
    const { operations } = divergence;
    const errors = operations.filter((o) => o.operation === name && o.own !== null).map((o) => errorEstimate(o.own!));
    const size = ({ value }: Estimated) => value ?? Infinity;
    const most = errors.reduce<HeatValue>(
      (most, error) => most === undefined || size(error) > size(most) ? error : most,
      undefined,
    );
    return most === undefined ? undefined : chosen(largestPlace(divergence, "own_error", name), most);
  };
  const names = NAMES.filter((name) => named.some(({ divergence }) => shows(worst(divergence, name))));
  if (names.length === 0) return EMPTY;
  return heatTable({
    what: "setting",
    columns: names,
    rows: named.map(({ label, divergence }) => ({ name: label, values: names.map((name) => worst(divergence, name)) })),
  });
}
