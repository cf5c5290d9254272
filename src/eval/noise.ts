/**
 * The error that a number format is known to bring into a tensor, so that what lies far above it can be called a
 * defect.
 */
import type { InputFormat } from "../formats/input.ts";
import { type Dtype, type KvFormat, STORED_FORMATS, type WeightFormat } from "../formats/format.ts";

/**
 * Relative RMS error of well-scaled, normally distributed numbers after quantization; `tests/eval/noise_test.ts`
 * measures it with `qdqRow` and the MX encoder.
 */
export const FORMAT_NOISE = {
  e2m1: 0.115,
  e3m2: 0.053,
  e2m3: 0.029,
  e4m3: 0.027,
  bf16: 0.0017,
  f32: 0,
} as const;

/** Relative error of a GEMM's input after its QDQ. */
export function inputNoise(input: InputFormat): number {
  switch (input.kind) {
    case "none":
      return 0;
    case "mx":
      return FORMAT_NOISE[input.element];
    case "fp8_static":
    case "fp8_token":
      return FORMAT_NOISE.e4m3;
  }
}

/** Relative error of weights in this format, taking it that they were made from finer ones. */
export function weightNoise(format: WeightFormat): number {
  const { element } = STORED_FORMATS[format];
  if (element === null) return format === "f32" ? 0 : FORMAT_NOISE.bf16;
  return element === "e4m3fn" || element === "e4m3fnuz" ? FORMAT_NOISE.e4m3 : FORMAT_NOISE[element];
}

/** Relative error of cached keys and values. */
export function cacheNoise(format: KvFormat): number {
  return format === "fp8" ? FORMAT_NOISE.e4m3 : FORMAT_NOISE[format];
}

/** How a side computes, as far as it decides whether equal inputs give equal bits. */
export interface Numerics {
  readonly dtype: Dtype;
  /** Backend and numbers of ranks: sums run in the same order where these are the same. */
  readonly engine: string;
}

/**
 * Relative error that an operation may show on equal inputs where no number format differs: none at all where both
 * sides compute in the same order, else what rounding of its result and sums in another order bring.
 */
export function roundingFloor(a: Numerics, b: Numerics): number {
  if (a.dtype === b.dtype && a.engine === b.engine) return 0;
  return a.dtype === "f32" && b.dtype === "f32" ? 1e-4 : 4e-3;
}
