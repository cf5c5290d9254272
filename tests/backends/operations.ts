/**
 * The operation list: operation x weight format x input format x shape x tokens. A backend passes when
 * `compareBackends` finds it equal to `reference` on all of it: exactly where the operation is exact, by NMSE where it
 * sums.
 *
 * To add a weight format: a line of `STORAGES` and a case of `encodeRow` in random_model.ts. To add an input format: a
 * line of `INPUTS` in cases/common.ts.
 *
 * @example
 * ```ts ignore
 * testBackends("emulate", openReference, openEmulate, OPERATION_CASES);
 * ```
 */
import { ATTENTION_CASES } from "./cases/attention.ts";
import { ELEMENTWISE_CASES } from "./cases/elementwise.ts";
import { GEMM_CASES } from "./cases/gemm.ts";
import { RANK_CASES } from "./cases/rank.ts";
import { TABLE_CASES } from "./cases/table.ts";
import type { OperationCase } from "./compare.ts";

export { compareBackends, type Opener, testBackends } from "./compare.ts";

/** The list. */
export const OPERATION_CASES: readonly OperationCase[] = [
  ...TABLE_CASES,
  ...ELEMENTWISE_CASES,
  ...GEMM_CASES,
  ...ATTENTION_CASES,
  ...RANK_CASES,
];
