/** Tables of a comparison's quantized tensors and layers. */
import type { DivergenceResult } from "../divergence_schema.ts";
import type { Estimated } from "../predictions_schema.ts";
import { operationName } from "../summary.ts";
import { brief, measured, measuredShare, measuredShareValue, measuredValue, percent, small } from "./numbers.ts";
import { chosen, largestPlace, operationsText } from "./places.ts";
import { errorDigits, errorEstimate, layerFlips } from "./prediction_tables.ts";
import { type Column, makeTable, PAGE, type Table, TERMINAL } from "./table.ts";

type Tensor = DivergenceResult["tensors"][number];
type Counts = Tensor["a"];

const nameOf = ({ layer, name }: Tensor) => operationName({ layer, operation: name });

/** A share of elements, with its interval where there is one: earlier versions have none. */
function shareOf(value: number, interval: NonNullable<Counts>["clipped_interval"]): string {
  return interval == null ? percent(value, 3) : measuredShare({ value, ...interval });
}

/** What quantization clips and flushes, tensor by tensor, in words. */
export function tensorLines(tensors: readonly Tensor[]): Table {
  const words = (counts: Counts) =>
    counts === null ? "-" : `${counts.clipped} clipped, ${counts.at_max} at the maximum, ` +
      `${counts.flushed} to zero of ${counts.elements} (${counts.format})`;
  return makeTable<Tensor>(
    [
      { head: "quantized tensor", cell: nameOf },
      { head: "A", cell: ({ a }) => words(a) },
      { head: "B", cell: ({ b }) => words(b) },
    ],
    tensors,
    TERMINAL,
  );
}

const COUNTS: readonly Column<NonNullable<Counts>>[] = [
  { head: "format", cell: ({ format }) => format },
  { head: "scale", kind: "right", cell: ({ scale }) => scale === null ? "" : small(scale) },
  { head: "clipped", kind: "right", cell: (c) => shareOf(c.clipped / c.elements, c.clipped_interval) },
  { head: "at maximum", kind: "right", cell: (c) => shareOf(c.at_max / c.elements, c.at_max_interval) },
  { head: "flushed to 0", kind: "right", cell: (c) => shareOf(c.flushed / c.elements, c.flushed_interval) },
  {
    head: "error",
    kind: "right",
    cell: ({ error, error_interval: interval }) =>
      interval === undefined
        ? (error === null ? "-" : brief(error))
        : measured({ value: error, ...(interval ?? { low: null, high: null }) }),
  },
];

/** The same in columns, for the sides that quantize anything. */
export function tensorTable(tensors: readonly Tensor[]): Table {
  const sides = (["a", "b"] as const).filter((side) => tensors.some((tensor) => tensor[side] !== null));
  const columns = sides.flatMap((side) =>
    COUNTS.map(({ head, cell, ...column }, i): Column<Tensor> => ({
      ...column,
      head: sides.length > 1 ? `${side.toUpperCase()}: ${head}` : head,
      cell: ({ [side]: counts }) => counts !== null ? cell(counts) : i === 0 ? "-" : "",
    }))
  );
  return makeTable([{ head: "tensor", cell: nameOf }, ...columns], tensors, PAGE);
}

type Operation = DivergenceResult["operations"][number];

/** One layer of a comparison; the embedding and the head are layers of their own, before and after. */
interface Layer {
  readonly name: string;
  readonly operations: readonly Operation[];
  /** The largest errors, with intervals that allow for their choice where these are known. */
  readonly worstTotal: Estimated;
  readonly worstOwn: Estimated;
  /** Which operations may have the largest own error. */
  readonly worst: string;
  /** Null before and after the layers. */
  readonly inside: { readonly flips: Estimated; readonly clipped: number } | null;
}

const ofResidual = (name: string) => ({ inside, operations }: Layer) =>
  inside === null ? "" : errorDigits(operations.find((o) => o.operation === name)?.total);
const ownKnown = ({ operations }: Layer) => operations.some((o) => o.own !== null);

const LAYER: readonly Column<Layer>[] = [
  { head: "layer", cell: ({ name }) => name },
  { head: "after attention", kind: "right", cell: ofResidual("attentionResidual") },
  { head: "after experts", kind: "right", cell: ofResidual("mlpResidual") },
  { head: "largest total", kind: "right", cell: ({ worstTotal }) => measuredValue(worstTotal) },
  {
    head: "largest own",
    kind: "right",
    cell: (layer) => ownKnown(layer) ? measuredValue(layer.worstOwn) : "-",
  },
  {
    head: "of",
    cell: (layer) => ownKnown(layer) && layer.worstOwn.value !== 0 ? layer.worst : "",
  },
  {
    head: "flips",
    kind: "right",
    cell: ({ inside }) => inside === null ? "" : inside.flips.value === 0 ? "0" : measuredShareValue(inside.flips),
  },
  { head: "clipped", kind: "right", cell: ({ inside }) => inside === null ? "" : `${inside.clipped}` },
];

/** One row for each layer: the residual stream after attention and after experts, and the largest own error. */
export function layerTable(divergence: DivergenceResult): Table {
  const { operations, router, tensors } = divergence;
  const layers = [...new Set(operations.map((o) => o.layer))].sort((x, y) => x - y);
  const rows = layers.map((layer): Layer => {
    const own = operations.filter((o) => o.layer === layer);
    const flips = router.per_layer[layer] === undefined ? undefined : layerFlips(router, layer);
    const clipped = tensors.filter((t) => t.layer === layer)
      .reduce((sum, { a, b }) => sum + Math.max(a?.clipped ?? 0, b?.clipped ?? 0), 0);
    const total = largest(own, (o) => o.total.relative_error),
      worst = largest(own, (o) => o.own === null ? 0 : o.own.relative_error);
    const place = (what: "own_error" | "total_error") => largestPlace(divergence, what, `layer ${layer}`);
    const ownPlace = place("own_error");
    return {
      name: flips !== undefined ? `${layer}` : layer < 0 ? "before" : "after",
      operations: own,
      worstTotal: chosen(place("total_error"), errorEstimate(total.total)),
      worstOwn: worst.own === null ? UNKNOWN : chosen(ownPlace, errorEstimate(worst.own)),
      worst: ownPlace === undefined ? worst.operation : operationsText(ownPlace),
      inside: flips === undefined ? null : { flips, clipped },
    };
  });
  return makeTable(LAYER, rows, TERMINAL);
}

const UNKNOWN: Estimated = { value: null, low: null, high: null };

function largest(operations: readonly Operation[], error: (o: Operation) => number | null): Operation {
  return operations.reduce((worst, o) => (error(o) ?? Infinity) > (error(worst) ?? Infinity) ? o : worst);
}
