/** Comparisons in words and few numbers: what tables and pages say alike. */
import { small } from "./report/numbers.ts";
import type { DivergenceResult } from "./results_schema.ts";

/** An operation with its layer: `layer 3 experts.down_proj`; those before and behind the layers stand alone. */
export function operationName({ layer, operation }: { readonly layer: number; readonly operation: string }): string {
  return operation === "embed" || operation === "finalNorm" || operation === "lm_head"
    ? operation
    : `layer ${layer} ${operation}`;
}

/** The operation with the largest own error; undefined where there is none. */
export function worstOperation({ operations }: DivergenceResult): DivergenceResult["operations"][number] | undefined {
  let worst: DivergenceResult["operations"][number] | undefined;
  for (const o of operations) {
    if (o.own === null || o.own.relative_error === 0) continue;
    if (worst === undefined || (o.own.relative_error ?? Infinity) > (worst.own!.relative_error ?? Infinity)) worst = o;
  }
  return worst;
}

/** Relative error of what leaves the last layer. */
export function residualError({ operations }: DivergenceResult): number | null {
  return operations.findLast((o) => o.operation === "mlpResidual")?.total.relative_error ?? null;
}

/** Why an operation is suspect, in words. */
export function suspectText({ error, explained, evidence, hints }: DivergenceResult["suspects"][number]): string {
  const kind = evidence === "own" ? "own error" : "error";
  return [
    `${kind} ${error === null ? "is not finite" : small(error)}, of which the settings explain ${small(explained)}`,
    ...hints,
  ].join("; ");
}
