/** Activation tensors of the reference backend, and the rounding that ends every operation. */
import { roundToBf16 } from "../../formats/bf16.ts";
import type { Dtype } from "../../formats/format.ts";
import type { Tensor } from "../../model/backend.ts";

/** A [rows, width] tensor of float32, row-major without gaps. */
export class ReferenceTensor implements Tensor {
  readonly values: Float32Array;

  constructor(readonly rows: number, readonly width: number) {
    this.values = new Float32Array(rows * width);
  }

  /** A view of row r. */
  row(r: number): Float32Array {
    return this.values.subarray(r * this.width, (r + 1) * this.width);
  }
}

/** Rounds a float64 result to what an activation can hold. */
export type Round = (value: number) => number;

/** To float32; for bf16 then to bfloat16, ties to even. */
export const rounding = (dtype: Dtype): Round => dtype === "bf16" ? roundToBf16 : Math.fround;
