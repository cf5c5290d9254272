/** Tables of where a setting's error comes from: weights, inputs and outputs of its linears. */
import type { DivergenceResult } from "../divergence_schema.ts";
import { finite } from "../finite.ts";
import { operationName } from "../summary.ts";
import type { Estimated } from "../predictions_schema.ts";
import {
  brief,
  measured,
  measuredShare,
  measuredShareValue,
  measuredValue,
  roughPercent,
  sizeOf,
  small,
} from "./numbers.ts";
import { chosen, largestPlace, layersText, placesText } from "./places.ts";
import type { NamedDivergence } from "./plot_parts.ts";
import { errorEstimate, errorText } from "./prediction_tables.ts";
import { type Column, makeTable, type Medium, type Table } from "./table.ts";

type Projection = DivergenceResult["projections"][number];

type Input = NonNullable<Projection["input"]["a"]>;
type InputInterval = Input["flushed_interval"];

/** One linear of all layers. */
interface Linear {
  readonly operation: string;
  readonly layers: readonly Projection[];
  /** The largest own error, and its layers; null where none is known. */
  readonly worst: { readonly error: Estimated; readonly layers: string } | null;
  /** The largest error of quantizing inputs; null where none are quantized. */
  readonly inputs: Estimated | null;
  readonly toZero: string;
  readonly atMax: string;
}

/**
 * How a figure sums up the layers: the largest, or the mean of those that have the figure. Undefined is a figure that
 * there is not, null one that is not finite: larger than any.
 */
const largest = (layers: readonly Projection[], of: (p: Projection) => number | null | undefined) =>
  layers.reduce<number | undefined>((most, p) => {
    const value = of(p);
    return value === undefined ? most : Math.max(most ?? 0, value ?? Infinity);
  }, undefined);

function mean(layers: readonly Projection[], of: (p: Projection) => number | null): string {
  const values = layers.map(of).filter((value) => value !== null);
  return values.length === 0 ? "-" : share(values.reduce((sum, value) => sum + value, 0) / values.length);
}

const share = (value: number | null) =>
  value === null ? "-" : value === 0 ? "0" : value === 1 ? "100%" : roughPercent(value);

/** A share of elements with its interval, where there is one: earlier versions have none. */
function shareOf(value: number | null, interval: InputInterval): string {
  return value === null || interval == null ? share(value) : measuredShare({ value, ...interval });
}

/** The error of quantizing inputs as an estimate. */
function inputError({ relative_error: value, relative_error_interval: interval }: Input): Estimated {
  return { value, ...(interval ?? UNBOUNDED) };
}

const UNBOUNDED = { low: null, high: null };

/** The same in words: of earlier versions, which looked at the first rows only, two digits. */
function inputText(input: Input): string {
  const { relative_error: value, relative_error_interval: interval } = input;
  return interval !== undefined ? measured(inputError(input)) : value === null ? "-" : brief(value);
}

/** The side whose inputs are shown: B, or A where only that quantizes. */
const input = ({ input: { a, b } }: Projection) => b ?? a;

const LINEAR: readonly Column<Linear>[] = [
  { head: "linear", cell: ({ operation }) => operation },
  {
    head: "weight error",
    short: "weights",
    kind: "right",
    cell: ({ layers }) => small(finite(largest(layers, (p) => p.weights.relative_error)!)),
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
    cell: ({ inputs }) => inputs === null ? "-" : measuredValue(inputs),
  },
  { head: "to zero", kind: "right", cell: ({ toZero }) => toZero },
  {
    head: "at maximum",
    short: "at max",
    kind: "right",
    cell: ({ atMax }) => atMax,
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
    cell: ({ worst }) => worst === null ? "-" : measuredValue(worst.error),
  },
  {
    head: "in layer",
    kind: "right",
    cell: ({ layers, worst }) => worst === null || worst.error.value === 0 || layers.length === 1 ? "" : worst.layers,
  },
];

/** What must be known of the errors of inputs in files of earlier versions; nothing of others. */
export function inputNote(divergences: readonly Pick<DivergenceResult, "projections">[]): string[] {
  const sampled = divergences.some(({ projections }) =>
    projections.some(({ input: { a, b } }) => [a, b].some((one) => one !== null && !("relative_error_interval" in one)))
  );
  return sampled ? ["errors of inputs: on the first 64 rows, without intervals"] : [];
}

/** What must be known where several places are named for the largest. */
export const APART_NOTE =
  "or: places that a paired test does not tell from the largest; its interval allows for the choice";

/** What must be known to read {@linkcode linearTable}. */
export function linearNote(divergence: DivergenceResult): string[] {
  return [
    "errors: the largest of all layers, with the digits that are sure",
    "3 or 1: layers that a paired test does not tell from the one with the largest own error",
    "shares: of all layers together; inputs: of B, or of A where only that quantizes them",
    "loud: channels of the input with four times its RMS on these tokens; own: of the product on equal inputs",
    ...inputNote([divergence]),
  ];
}

/** One row for each linear, over all layers. */
export function linearTable(divergence: DivergenceResult, medium: Medium): Table {
  const { projections, operations, pooled = [] } = divergence;
  const groups = Map.groupBy(projections, ({ operation }) => operation);
  const worstOf = (operation: string, layers: readonly Projection[]): Linear["worst"] => {
    const ownOf = ({ layer }: Projection) =>
      operations.find((o) => o.operation === operation && o.layer === layer)?.own;
    const size = (p: Projection) => ownOf(p)?.relative_error;
    const most = largest(layers, size), at = layers.find((p) => (size(p) === null ? Infinity : size(p)) === most);
    const own = at && ownOf(at);
    if (most === undefined || at === undefined || own === null || own === undefined) return null;
    const place = largestPlace(divergence, "own_error", operation);
    return { error: chosen(place, errorEstimate(own)), layers: layersText(place ?? { layer: at.layer, others: [] }) };
  };
  const inputsOf = (operation: string, layers: readonly Projection[]): Estimated | null => {
    const most = largest(layers, (p) => input(p)?.relative_error);
    const found = layers.map(input).find((one) => one !== null && (one.relative_error ?? Infinity) === most);
    return found == null ? null : chosen(largestPlace(divergence, "input_error", operation), inputError(found));
  };
  const pooledText = (what: "to_zero" | "at_max", operation: string, layers: readonly Projection[]) => {
    const found = pooled.find((one) => one.what === what && one.operation === operation);
    const of = what === "to_zero" ? "flushed" : "at_max";
    return found === undefined ? mean(layers, (p) => input(p)?.[of] ?? null) : measuredShareValue(found);
  };
  const rows = [...groups].map(([operation, layers]): Linear => ({
    operation,
    layers,
    worst: worstOf(operation, layers),
    inputs: inputsOf(operation, layers),
    toZero: pooledText("to_zero", operation, layers),
    atMax: pooledText("at_max", operation, layers),
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
      { head: `${who}: input error`, kind: "right", cell: of(inputText) },
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
      {
        head: "input scales",
        kind: "right",
        cell: ({ input }) => shareOf(input.scales_changed, input.scales_changed_interval),
      },
      {
        head: "input codes",
        kind: "right",
        cell: ({ input }) => shareOf(input.codes_changed, input.codes_changed_interval),
      },
      {
        head: "loud channels",
        kind: "right",
        cell: ({ input: { outlier_channels: count, loudest } }) =>
          count === 0 ? "0" : `${count} (${sizeOf(loudest)} x)`,
      },
      { head: "own error", kind: "right", cell: (p) => errorText(operationOf(p)?.own ?? undefined) },
      { head: "total error", kind: "right", cell: (p) => errorText(operationOf(p)?.total) },
    ],
    projections,
    medium,
  );
}

/** One row for each setting: where most is lost. */
export function sourceTable(named: readonly NamedDivergence[], medium: Medium): Table {
  const worst = (
    { divergence }: NamedDivergence,
    of: (p: Projection) => number | null | undefined,
    text: (value: number | null, at: Projection) => string,
    what?: "input_error" | "input_to_zero",
  ) => {
    const { projections } = divergence, most = largest(projections, of);
    if (most === undefined || most === 0) return most === undefined ? "-" : "0";
    const at = projections.find((p) => (of(p) === null ? Infinity : of(p)) === most)!;
    const place = what === undefined ? undefined : largestPlace(divergence, what);
    if (place === undefined) return `${text(finite(most), at)} in ${operationName(at)}`;
    const estimate = chosen(place, { value: most, ...UNBOUNDED });
    return `${what === "input_error" ? measured(estimate) : measuredShare(estimate)} in ${placesText(place)}`;
  };
  return makeTable<NamedDivergence>(
    [
      { head: "setting", cell: ({ label }) => label },
      { head: "largest error of weights", cell: (d) => worst(d, (p) => p.weights.relative_error, small) },
      {
        head: "of inputs",
        cell: (d) => worst(d, (p) => p.input.b?.relative_error, (_, p) => inputText(p.input.b!), "input_error"),
      },
      {
        head: "most inputs to zero",
        cell: (d) =>
          worst(
            d,
            (p) => p.input.b?.flushed,
            (value, p) => shareOf(value, p.input.b?.flushed_interval),
            "input_to_zero",
          ),
      },
    ],
    named,
    medium,
  );
}
