/** Where the most of something is, in words: what cannot be told apart stands beside one another. */
import type { DivergenceResult } from "../divergence_schema.ts";
import type { Estimated } from "../predictions_schema.ts";
import { operationName, rivalsOf, worstOperation } from "../summary.ts";

type LargestPlace = NonNullable<DivergenceResult["largest"]>[number];
type Place = Pick<LargestPlace, "layer" | "operation">;

/** Where the largest is of something; undefined where there is none, and in files of earlier versions. */
export function largestPlace(
  { largest }: Pick<DivergenceResult, "largest">,
  what: LargestPlace["what"],
  among: string | null = null,
): LargestPlace | undefined {
  return largest?.find((place) => place.what === what && place.among === among);
}

/** The largest with the interval that allows for its choice; with its own where that is not known. */
export function chosen(place: LargestPlace | undefined, own: Estimated): Estimated {
  return place === undefined ? own : { value: own.value, low: place.low, high: place.high };
}

/** Layers that a cell spells out. */
const SPELLED = 3;

/** The places of the largest: `layer 3 o_proj`, `layer 3 or 1 o_proj`, `layer 3 o_proj, or 5 more`. */
export function placesText({ others, ...first }: Place & { readonly others: readonly Place[] }): string {
  if (others.length === 0) return operationName(first);
  const one = operationName(first), inLayers = one !== first.operation;
  if (!inLayers || others.length >= SPELLED || others.some(({ operation }) => operation !== first.operation)) {
    return `${one}, or ${others.length} more`;
  }
  return `layer ${layersText({ ...first, others })} ${first.operation}`;
}

/** Its layers alone: `3`, `3 or 1`, `3, 1 or 0`, `3 or 5 more`. */
export function layersText({ layer, others }: { readonly layer: number; readonly others: readonly Place[] }): string {
  if (others.length >= SPELLED) return `${layer} or ${others.length} more`;
  const [last, ...before] = [layer, ...others.map((other) => other.layer)].reverse();
  return before.length === 0 ? `${last}` : `${before.reverse().join(", ")} or ${last}`;
}

/** The operations of the largest of one layer alone: `o_proj`, `o_proj or 2 more`. */
export function operationsText({ operation, others }: LargestPlace): string {
  return others.length === 0 ? operation : `${operation} or ${others.length} more`;
}

/**
 * What "or 5 more" says of operations: intervals told them apart in files of earlier versions, and where an error that
 * is not finite leaves nothing to test.
 */
export function orMoreNote(divergences: readonly Pick<DivergenceResult, "largest" | "operations">[]): string {
  const named = divergences.filter((divergence) => worstOperation(divergence) !== undefined);
  const tested = named.filter((divergence) => largestPlace(divergence, "own_error") !== undefined).length;
  const by = tested === named.length ? "paired tests" : tested === 0 ? "intervals" : "paired tests or intervals";
  return `or more: operations whose own error may be the largest as well, by ${by}`;
}

/** The operation with the largest own error, and those that may have it as well; empty where there is none. */
export function worstText(divergence: DivergenceResult): string {
  const place = largestPlace(divergence, "own_error");
  if (place !== undefined) return placesText(place);
  const worst = worstOperation(divergence), others = rivalsOf(divergence);
  if (worst === undefined) return "";
  return others === 0 ? operationName(worst) : `${operationName(worst)}, or ${others} more`;
}
