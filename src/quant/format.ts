/** Names of the number formats that weights, GEMM inputs and the KV cache can have. */

/** Elements of an OCP-MX block: FP4 e2m1, FP6 e3m2, FP6 e2m3. */
export type MxElement = "e2m1" | "e3m2" | "e2m3";

/**
 * How a stored matrix encodes its numbers.
 *
 * - `bf16`, `f32`, `f16`: plain numbers.
 * - `mxfp4`: two e2m1 codes a byte, even column in the low nibble; one e8m0 scale byte per 32 columns.
 * - `mxfp6_e3m2`, `mxfp6_e2m3`: four codes in three bytes, little-endian; one e8m0 scale byte per 32 columns.
 * - `fp8_e4m3`, `fp8_e4m3fnuz`: one byte a number; a scale per tensor or per row.
 */
export type WeightFormat =
  | "bf16"
  | "f32"
  | "f16"
  | "mxfp4"
  | "mxfp6_e3m2"
  | "mxfp6_e2m3"
  | "fp8_e4m3"
  | "fp8_e4m3fnuz";

/** How the shared exponent of a block follows from the block's largest magnitude (spec: `even` everywhere but on request). */
export type ScaleRule = "even" | "floor";

/** What happens to the input of a linear before its GEMM: quantize, then dequantize (QDQ). */
export type InputFormat =
  | { readonly kind: "none" }
  | { readonly kind: "mx"; readonly element: MxElement; readonly rule: ScaleRule }
  /** FP8 e4m3 with one calibrated scale (float32, > 0) for the whole tensor. */
  | { readonly kind: "fp8_static"; readonly scale: number }
  /** FP8 e4m3 with one scale per token, max|x|/448, computed on the fly ("ptpc"). */
  | { readonly kind: "fp8_token" };

/** The input stays as it is. */
export const NO_QDQ: InputFormat = { kind: "none" };

/** Number format of cached keys and values. */
export type KvFormat = "f32" | "bf16" | "fp8";

/** Number format of activations between operations. */
export type Dtype = "bf16" | "f32";
