import { gemm, prepareRow, type RowPair } from "./linear.ts";
import type { ReferenceTensor, Round } from "./tensor.ts";
import type { WeightFiles } from "./weight_files.ts";
import type { ReferenceLinear } from "./weights.ts";

/** Which experts the slot rows go to. */
export interface ExpertRows {
  /** Expert of each slot row among all of the model, [slot rows]. */
  readonly ids: Int32Array;
  /** Number of the first expert that is here. */
  readonly expertStart: number;
  /** Slot rows that read the same row of x: topK before the experts, 1 inside them. */
  readonly rowsPerInput: number;
}

/**
 * Slot row s of out = QDQ(x[s / rowsPerInput]) W_e^T + b_e, with e the slot row's expert; zeros where that expert is
 * another rank's.
 *
 * A row of x is quantized with the input format of each expert that reads it.
 */
export function experts(
  out: ReferenceTensor,
  x: ReferenceTensor,
  { ids, expertStart, rowsPerInput }: ExpertRows,
  linears: readonly ReferenceLinear[],
  files: WeightFiles,
  toBf16: boolean,
  round: Round,
): void {
  out.values.fill(0, 0, ids.length * out.width);
  linears.forEach((linear, local) => {
    const pairs: RowPair[] = [];
    ids.forEach((id, s) => {
      if (id !== expertStart + local) return;
      const row = x.row(Math.floor(s / rowsPerInput));
      pairs.push({ from: prepareRow(row, linear, toBf16), to: s });
    });
    if (pairs.length > 0) gemm(out, pairs, linear, files, round);
  });
}
