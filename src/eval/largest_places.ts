/** Where in the pass the most is of what a comparison measures, and shares of all layers together. */
import type { LargestPlace, PooledShare } from "./comparison.ts";
import { type Groupings, positiveRatio, skewedRatio, TRUTH } from "./intervals.ts";
import { type Bound, type Candidate, largestOf } from "./largest_of.ts";
import { withoutEmpty } from "./observed_errors.ts";
import { type OperationSums, reroutedRatio } from "./operation_sums.ts";
import type { QuantizedChanges } from "./quantized_changes.ts";
import type { CountedShare, QuantizedCounter } from "./quantized_tensors.ts";
import { shareOfGroups } from "./shares.ts";
import { type Interval, TAIL } from "./statistics.ts";

/** A quantized tensor of either side. */
export interface CountedTensor {
  readonly name: string;
  readonly layer: number;
  readonly a: QuantizedCounter | null;
  readonly b: QuantizedCounter | null;
  readonly changes: QuantizedChanges | null;
}

/** Of errors, whose squares are what is compared. */
const error = (ratio: typeof skewedRatio): Bound => (groups, choices) => {
  const compared = withoutEmpty(groups);
  return {
    low: Math.sqrt(positiveRatio(compared, TRUTH, TAIL / choices).low),
    high: Math.sqrt(ratio(compared).high),
  };
};
const share: Bound = (groups, choices) => shareOfGroups(groups, TRUTH, choices);

/** What results call the operations of a layer, which are compared with one another. */
const layerName = (layer: number): string => `layer ${layer}`;

const INPUT = ".input";

/** Inputs of linears, by the name of the linear; where both sides quantize them, those of B. */
function inputsOf(tensors: readonly CountedTensor[], of: (counter: QuantizedCounter) => Groupings, sides: "b" | "any") {
  return tensors.flatMap(({ name, layer, a, b }): Candidate[] => {
    const counter = sides === "b" ? b : b ?? a;
    if (!name.endsWith(INPUT) || counter === null) return [];
    return [{ layer, operation: name.slice(0, -INPUT.length), groups: of(counter) }];
  });
}

/** Where the largest errors and shares are, of all operations and of the layers of each. */
export function largestPlaces(sums: readonly OperationSums[], tensors: readonly CountedTensor[]): LargestPlace[] {
  const found: LargestPlace[] = [];
  const candidates = (kind: "own" | "total"): Candidate[] =>
    sums.flatMap((one) => {
      const { layer, operation } = one, groups = one.observed()[kind];
      return groups === null ? [] : [{ layer, operation, groups }];
    });
  const add = (what: LargestPlace["what"], all: readonly Candidate[], bound: Bound, among: string | null = null) => {
    const largest = largestOf(all, bound);
    if (largest !== null) found.push({ what, among, ...largest });
  };
  const addEach = (what: LargestPlace["what"], all: readonly Candidate[], bound: Bound) => {
    for (const [operation, layers] of Map.groupBy(all, (candidate) => candidate.operation)) {
      if (layers.length > 1) add(what, layers, bound, operation);
    }
  };
  const addLayers = (what: LargestPlace["what"], all: readonly Candidate[], bound: Bound) => {
    for (const [layer, operations] of Map.groupBy(all, (candidate) => candidate.layer)) {
      add(what, operations, bound, layerName(layer));
    }
  };
  const own = candidates("own"), total = candidates("total");
  add("own_error", own, error(skewedRatio));
  addEach("own_error", own, error(skewedRatio));
  addLayers("own_error", own, error(skewedRatio));
  add("total_error", total, error(reroutedRatio));
  addLayers("total_error", total, error(reroutedRatio));
  add("input_error", inputsOf(tensors, (counter) => counter.errors(), "b"), error(skewedRatio));
  addEach("input_error", inputsOf(tensors, (counter) => counter.errors(), "any"), error(skewedRatio));
  add("input_to_zero", inputsOf(tensors, (counter) => counter.shares("flushed"), "b"), share);
  return found;
}

/** Shares of inputs in all layers together, linear by linear. */
export function pooledShares(tensors: readonly CountedTensor[]): PooledShare[] {
  const of = (name: CountedShare) => inputsOf(tensors, (counter) => counter.shares(name), "any");
  const all = [["to_zero", of("flushed")], ["at_max", of("atMax")]] as const;
  return all.flatMap(([what, shares]) =>
    [...Map.groupBy(shares, ({ operation }) => operation)].map(([operation, layers]): PooledShare => ({
      what,
      operation,
      ...pooled(layers.map(({ groups }) => groups)),
    }))
  );
}

/** The share in all of some, token by token: what tokens have in one layer they are likely to have in another. */
function pooled(layers: readonly Groupings[]): Interval & { readonly value: number } {
  const groups = layers[0]!.map((observations, i) =>
    observations.map((one, j) => ({
      ...one,
      sum: layers.reduce((sum, layer) => sum + layer[i]![j]!.sum, 0) / layers.length,
      weight: layers.reduce((sum, layer) => sum + layer[i]![j]!.weight, 0) / layers.length,
    }))
  );
  return shareOfGroups(groups);
}
