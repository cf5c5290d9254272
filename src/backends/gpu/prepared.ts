/** Rows that are prepared for a GEMM before it runs: after QDQ as float32 or bf16 numbers, or as codes. */
import { COLUMN_ORDER, type ColumnOrder } from "../../../kernels/abi/types.ts";
import type { DeviceRange } from "../../../ffi/runtime.ts";
import type { Input, Rows } from "./abi.ts";
import type { Calls } from "./calls.ts";
import type { GpuLinear } from "./tensors.ts";
import { strideOf } from "./layout.ts";

/** Rows that `qdq` prepared. */
export interface Prepared extends Rows {
  readonly bf16: boolean;
  /** Of bf16 rows; natural unless said otherwise. */
  readonly order?: ColumnOrder;
  /** Factors of the epilogue, or null. */
  readonly scales: DeviceRange | null;
}

/** Rows that `quantize` made for the scaled matrix instructions: codes, and for MX a scale byte per block of 32. */
export interface Codes {
  readonly codes: DeviceRange;
  /** Bytes. */
  readonly stride: number;
  readonly blocks: DeviceRange | null;
  readonly blockStride: number;
  /** Factors of the epilogue, or null. */
  readonly scales: DeviceRange | null;
}

/** Prepares `n` rows; `out` has `out.stride` elements a row. */
export function launchQdq(calls: Calls, out: Prepared, input: Input, width: number, n: number): void {
  calls.launch("qdq", {
    out: out.bf16 ? null : out.range,
    outStride: out.bf16 ? 0 : out.stride,
    outBf16: out.bf16 ? out.range : null,
    bf16Stride: out.bf16 ? out.stride : 0,
    order: out.order ?? COLUMN_ORDER.natural,
    rowScales: out.scales,
    in: input,
    width,
    n,
  });
}

/** Makes codes of `n` rows. */
export function launchQuantize(calls: Calls, out: Codes, input: Input, width: number, n: number): void {
  calls.launch("quantize", {
    codes: out.codes,
    codeStride: out.stride,
    blockScales: out.blocks,
    scaleStride: out.blockStride,
    rowScales: out.scales,
    in: input,
    width,
    n,
  });
}

/** Places codes of rows, and after them the blocks' scales, in a range. */
export function codesIn(
  range: DeviceRange,
  rows: number,
  width: number,
  { input }: GpuLinear,
  scales: DeviceRange,
): Codes {
  const { buffer, offset } = range, padded = strideOf(width);
  if (input.kind !== "mx") return { codes: range, stride: padded, blocks: null, blockStride: 0, scales };
  const stride = padded / 2, blockStride = padded / 32;
  const blocks = buffer.range(offset + Math.ceil(rows * stride / 256) * 256, rows * blockStride);
  return { codes: range, stride, blocks, blockStride, scales: null };
}
