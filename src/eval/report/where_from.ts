/** Tables of where a setting's error comes from: weights, inputs and outputs of its linears. */
import type { DivergenceResult } from "../divergence_schema.ts";
import { operationName } from "../summary.ts";
import { brief, measuredShare, roughPercent, small } from "./numbers.ts";
import type { NamedDivergence } from "./plot_parts.ts";
import { errorDigits } from "./prediction_tables.ts";
import { type Column, makeTable, type Medium, type Table } from "./table.ts";

type Projection = DivergenceResult["projections"][number];

type InputInterval = NonNullable<Projection["input"]["a"]>["flushed_interval"];

/** One linear of all layers. */
interface Linear {
  readonly operation: string;
  readonly layers: readonly Projection[];
  /** The layer with the largest own error, and that error with its interval; null where none is known. */
  readonly worst: Pick<DivergenceResult["operations"][number], "layer" | "own"> | null;
}

/** How a figure sums up the layers: the largest, or the mean of those that have the figure. */
const largest = (layers: readonly Projection[], of: (p: Projection) => number | null) =>
  layers.reduce<number | null>((most, p) => {
    const value = of(p);
    return value === null ? most : Math.max(most ?? 0, value);
  }, null);

function mean(layers: readonly Projection[], of: (p: Projection) => number | null): string {
  const values = layers.map(of).filter((value) => value !== null);
  return values.length === 0 ? "-" : share(values.reduce((sum, value) => sum + value, 0) / values.length);
}

const share = (value: number | null) =>
  value === null ? "-" : value === 0 ? "0" : value === 1 ? "100%" : roughPercent(value);

/** A share of elements with its interval, where there is one: earlier versions have none. */
function shareOf(value: number, interval: InputInterval): string {
  return interval == null ? share(value) : measuredShare({ value, ...interval });
}

/** The error of quantizing inputs, which is known of the first rows only: two digits. */
const sampled = (value: number | null) => value === null ? "-" : brief(value);

/** The side whose inputs are shown: B, or A where only that quantizes. */
const input = ({ input: { a, b } }: Projection) => b ?? a;

const LINEAR: readonly Column<Linear>[] = [
  { head: "linear", cell: ({ operation }) => operation },
  {
    head: "weight error",
    short: "weights",
    kind: "right",
    cell: ({ layers }) => small(largest(layers, (p) => p.weights.relative_error)),
  },
  {
    head: "scales changed",
    short: "scales",
    kind: "right",
    cell: ({ layers }) => mean(layers, (p) => p.weights.scales_changed),
  },
  {
    head: "codes changed",
    short: "codes",
    kind: "right",
    cell: ({ layers }) => mean(layers, (p) => p.weights.codes_changed),
  },
  {
    head: "input error",
    short: "inputs",
    kind: "right",
    cell: ({ layers }) => sampled(largest(layers, (p) => input(p)?.relative_error ?? null)),
  },
  { head: "to zero", kind: "right", cell: ({ layers }) => mean(layers, (p) => input(p)?.flushed ?? null) },
  {
    head: "at maximum",
    short: "at max",
    kind: "right",
    cell: ({ layers }) => mean(layers, (p) => input(p)?.at_max ?? null),
  },
  {
    head: "loud channels",
    short: "loud",
    kind: "right",
    cell: ({ layers }) => `${largest(layers, (p) => p.input.outlier_channels)}`,
  },
  {
    head: "own error",
    short: "own",
    kind: "right",
    cell: ({ worst }) => errorDigits(worst?.own),
  },
  {
    head: "in layer",
    kind: "right",
    cell: ({ layers, worst }) =>
      worst === null || worst.own?.relative_error === 0 || layers.length === 1 ? "" : `${worst.layer}`,
  },
];

/** Of what the errors of inputs are known. */
export const INPUT_NOTE = "errors of inputs: on the first 64 rows, without intervals";

/** What must be known to read {@linkcode linearTable}. */
export const LINEAR_NOTE: readonly string[] = [
  "errors: the largest of all layers; inputs: of B, or of A where only that quantizes them",
  "shares: the mean of all layers, without intervals; those of each layer's inputs are in results.json",
  "loud: channels of the input with four times its RMS; own: of the product on equal inputs",
  INPUT_NOTE,
];

/** One row for each linear, over all layers. */
export function linearTable({ projections, operations }: DivergenceResult, medium: Medium): Table {
  const groups = Map.groupBy(projections, ({ operation }) => operation);
  const worstOf = (operation: string, layers: readonly Projection[]) => {
    const most = largest(layers, ({ output }) => output.own), at = layers.find(({ output }) => output.own === most);
    if (most === null || at === undefined) return null;
    return operations.find((o) => o.operation === operation && o.layer === at.layer) ?? null;
  };
  const rows = [...groups].map(([operation, layers]): Linear => ({
    operation,
    layers,
    worst: worstOf(operation, layers),
  }));
  return makeTable(LINEAR, rows, medium);
}

/** One row for each linear of each layer. */
export function projectionTable({ projections, operations }: DivergenceResult, medium: Medium): Table {
  const operationOf = ({ layer, operation }: Projection) =>
    operations.find((o) => o.layer === layer && o.operation === operation);
  const side = (name: "a" | "b"): Column<Projection>[] => {
    if (projections.every((p) => p.input[name] === null)) return [];
    const of = (text: (counts: NonNullable<Projection["input"]["a"]>) => string) => (p: Projection) =>
      p.input[name] === null ? "-" : text(p.input[name]);
    const who = name.toUpperCase();
    return [
      { head: `${who}: input error`, kind: "right", cell: of((c) => sampled(c.relative_error)) },
      { head: `${who}: to zero`, kind: "right", cell: of((c) => shareOf(c.flushed, c.flushed_interval)) },
      { head: `${who}: at max`, kind: "right", cell: of((c) => shareOf(c.at_max, c.at_max_interval)) },
    ];
  };
  return makeTable<Projection>(
    [
      { head: "linear", cell: operationName },
      { head: "weight error", kind: "right", cell: ({ weights }) => small(weights.relative_error) },
      { head: "scales changed", kind: "right", cell: ({ weights }) => share(weights.scales_changed) },
      { head: "codes changed", kind: "right", cell: ({ weights }) => share(weights.codes_changed) },
      ...side("a"),
      ...side("b"),
      { head: "input scales", kind: "right", cell: (p) => share(p.input.scales_changed) },
      { head: "input codes", kind: "right", cell: (p) => share(p.input.codes_changed) },
      {
        head: "loud channels",
        kind: "right",
        cell: ({ input: { outlier_channels: count, loudest } }) =>
          count === 0 ? "0" : `${count} (${loudest.toFixed(1)} x)`,
      },
      { head: "own error", kind: "right", cell: (p) => errorDigits(operationOf(p)?.own) },
      { head: "total error", kind: "right", cell: (p) => errorDigits(operationOf(p)?.total) },
    ],
    projections,
    medium,
  );
}

/** One row for each setting: where most is lost. */
export function sourceTable(named: readonly NamedDivergence[], medium: Medium): Table {
  const worst = (
    { divergence: { projections } }: NamedDivergence,
    of: (p: Projection) => number | null,
    text: (value: number, at: Projection) => string,
  ) => {
    const most = largest(projections, of);
    if (most === null || most === 0) return most === null ? "-" : "0";
    const at = projections.find((p) => of(p) === most)!;
    return `${text(most, at)} in ${operationName(at)}`;
  };
  return makeTable<NamedDivergence>(
    [
      { head: "setting", cell: ({ label }) => label },
      { head: "largest error of weights", cell: (d) => worst(d, (p) => p.weights.relative_error, small) },
      { head: "of inputs", cell: (d) => worst(d, (p) => p.input.b?.relative_error ?? null, sampled) },
      {
        head: "most inputs to zero",
        cell: (d) =>
          worst(d, (p) => p.input.b?.flushed ?? null, (value, p) => shareOf(value, p.input.b?.flushed_interval)),
      },
    ],
    named,
    medium,
  );
}
