/** The GPU backend's handles, which are opaque types in the contract. */
import { type InputFormat, sameInput } from "../../formats/input.ts";
import type { NumberFormat } from "../../../kernels/abi/types.ts";
import type { DeviceRange } from "../../../ffi/runtime.ts";
import type { ModelTree } from "../../checkpoint/source.ts";
import { STORED_FORMATS, type WeightFormat } from "../../formats/format.ts";
import type { Linear, Matrix, Tensor, Vector } from "../../model/backend.ts";

/** float32 activations [rows, width] in device memory. */
export interface GpuTensor extends Tensor {
  readonly name: string;
  readonly rowsPerToken: number;
  /** Elements from one row to the next; a multiple of 32. */
  readonly stride: number;
  readonly range: DeviceRange;
}

/** An embedding table. */
export interface GpuMatrix extends Matrix {
  readonly range: DeviceRange;
  /** Bytes. */
  readonly rowStride: number;
  readonly format: NumberFormat;
}

/** A vector. */
export interface GpuVector extends Vector {
  readonly range: DeviceRange;
  readonly format: NumberFormat;
}

/** A linear: the fields of `MxLinear` in kernels/ABI.md, and the QDQ of its input. */
export interface GpuLinear extends Linear {
  /** Null where this rank has no row or column of it. */
  readonly weight: DeviceRange | null;
  readonly scale: DeviceRange | null;
  readonly bias: DeviceRange | null;
  /** Bytes. */
  readonly rowStride: number;
  readonly scaleStride: number;
  readonly tensorScale: number;
  readonly biasFormat: NumberFormat;
  readonly flags: number;
  readonly format: WeightFormat;
  /** What entry points of its format end in: "mxfp4", "bf16_t", ... */
  readonly suffix: string;
  readonly input: InputFormat;
  /** See `LinearSource.multipliesCodes`. */
  readonly multipliesCodes: boolean;
}

/** The weights of a GPU model. */
export type GpuTree = ModelTree<GpuMatrix, GpuLinear, GpuVector>;

/** The linears of a layer's experts as the kernels see them: an array of `MxLinear` in device memory. */
export interface ExpertTable {
  readonly records: DeviceRange;
  readonly count: number;
  /** One of them; all have its shape, format and input. */
  readonly first: GpuLinear;
}

/** What entry points for a weight format end in. */
export function suffixOf(format: WeightFormat, transposed: boolean): string {
  const { gpu } = STORED_FORMATS[format];
  return transposed ? `${gpu}_t` : gpu;
}

/** Whether two linears read their input prepared in the same way. */
export function samePreparation(a: GpuLinear, b: GpuLinear): boolean {
  return a.multipliesCodes === b.multipliesCodes && sameInput(a.input, b.input);
}
