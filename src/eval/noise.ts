/**
 * The error that a number format is known to bring into a tensor, so that what lies far above it can be called a
 * defect.
 */
import { type InputFormat, MX_INPUT, Q8_NOISE } from "../formats/input.ts";
import { type Dtype, type KvFormat, STORED_FORMATS, type WeightFormat } from "../formats/format.ts";

/** Relative error of a GEMM's input after its QDQ. */
export function inputNoise(input: InputFormat): number {
  switch (input.kind) {
    case "none":
      return 0;
    case "mx":
      return MX_INPUT[input.element].noise;
    case "fp8_static":
    case "fp8_token":
      return STORED_FORMATS.fp8_e4m3.noise;
    case "q8_0":
      return Q8_NOISE;
  }
}

/** Relative error of weights in this format, taking it that they were made from finer ones. */
export function weightNoise(format: WeightFormat): number {
  return STORED_FORMATS[format].noise;
}

/** Relative error of cached keys and values. */
export function cacheNoise(format: KvFormat): number {
  return STORED_FORMATS[format === "fp8" ? "fp8_e4m3" : format].noise;
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
