/** Where the error of a setting comes from: for each linear of each layer its weights, its inputs and its outputs. */
import type { DivergenceResult } from "./divergence_schema.ts";
import { finite } from "./finite.ts";
import type { WeightDivergence } from "./weight_errors.ts";
import { inputOperation, operation } from "../model/operations.ts";

type Projection = DivergenceResult["projections"][number];
type Counts = NonNullable<DivergenceResult["tensors"][number]["a"]>;

/** One entry for each linear of each layer, the head last. */
export function projectionsOf(
  d: Omit<DivergenceResult, "projections">,
  weights: readonly WeightDivergence[],
): Projection[] {
  const at = <T extends { layer: number }>(all: readonly T[], name: (one: T) => string) =>
    new Map(all.map((one) => [`${one.layer} ${name(one)}`, one]));
  const operations = at(d.operations, (o) => o.operation), tensors = at(d.tensors, (t) => t.name);
  return weights.map((w): Projection => {
    const output = operations.get(`${w.layer} ${w.operation}`), tensor = tensors.get(`${w.layer} ${w.operation}.input`);
    const read = operations.get(`${w.layer} ${inputOperation(operation(w.operation).linear!)}`);
    // Others are among them for their part of the error.
    const loud = (read?.outliers ?? []).map(({ magnitude }) => magnitude ?? 0).filter((times) => times >= LOUD);
    return {
      layer: w.layer,
      operation: w.operation,
      weights: {
        format_a: w.formatA,
        format_b: w.formatB,
        relative_error: finite(w.relativeError),
        scales_changed: w.scalesChanged,
        codes_changed: w.codesChanged,
        flushed: w.flushed / w.elements,
        at_max: w.atMax === null ? null : w.atMax / w.elements,
      },
      input: {
        a: shares(tensor?.a ?? null),
        b: shares(tensor?.b ?? null),
        scales_changed: tensor?.scales_changed ?? null,
        codes_changed: tensor?.codes_changed ?? null,
        ...(tensor?.scales_changed_interval === undefined
          ? {}
          : { scales_changed_interval: tensor.scales_changed_interval }),
        ...(tensor?.codes_changed_interval === undefined
          ? {}
          : { codes_changed_interval: tensor.codes_changed_interval }),
        outlier_channels: loud.length,
        loudest: Math.max(0, ...loud),
      },
      output: {
        own: output?.own?.relative_error ?? null,
        total: output?.total.relative_error ?? null,
      },
    };
  });
}

/** RMS of a channel over that of its tensor from which it counts as loud. */
const LOUD = 4;

function shares(counts: Counts | null): Projection["input"]["a"] {
  if (counts === null) return null;
  const { format, elements, flushed, clipped, at_max: atMax, error, ...others } = counts;
  const { flushed_interval, at_max_interval, clipped_interval, error_interval } = others;
  return {
    format,
    relative_error: error,
    ...(error_interval === undefined ? {} : { relative_error_interval: error_interval }),
    flushed: flushed / elements,
    at_max: atMax / elements,
    clipped: clipped / elements,
    ...(flushed_interval === undefined ? {} : { flushed_interval }),
    ...(at_max_interval === undefined ? {} : { at_max_interval }),
    ...(clipped_interval === undefined ? {} : { clipped_interval }),
  };
}
