/** The formats in which weights, activations and cached keys and values are stored: every fact about each, once. */
import type { ElementName } from "./elements.ts";

/** Facts of a stored number format. */
export interface StoredFormat {
  /** Bits of one number, scales apart. */
  readonly bits: number;
  /** The small floating-point format of its codes; null for plain numbers. */
  readonly element: ElementName | null;
  /** Whether blocks of 32 columns share an e8m0 scale; other scales are of the whole tensor or of a row. */
  readonly mx: boolean;
  /** Number in wasm/ABI.md. */
  readonly wasm: number;
  /** Of MX formats: number of their quantization of inputs (QDQ kind) in wasm/ABI.md and kernels/ABI.md. */
  readonly qdq?: number;
  /** What GPU entry points for it end in. */
  readonly gpu: string;
  /** Of MX formats: what AMD Quark's configs call the element. */
  readonly quark?: string;
  /**
   * Relative RMS error that it brings into well-scaled, normally distributed numbers; `tests/eval/noise_test.ts`
   * measures it. float16 counts as bfloat16, whose error it has where numbers are small.
   */
  readonly noise: number;
}

/**
 * How a stored matrix encodes its numbers.
 *
 * - `bf16`, `f32`, `f16`: plain numbers.
 * - `mxfp4`: two e2m1 codes a byte, even column in the low nibble; one e8m0 scale byte per 32 columns.
 * - `mxfp6_e3m2`, `mxfp6_e2m3`: four codes in three bytes, little-endian; one e8m0 scale byte per 32 columns.
 * - `fp8_e4m3`, `fp8_e4m3fnuz`: one byte a number; a scale per tensor or per row.
 *
 * @example
 * ```ts
 * import { STORED_FORMATS } from "@mxoss/mxoss/formats";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(STORED_FORMATS.mxfp4.bits, 4);
 * ```
 */
export const STORED_FORMATS = {
  bf16: { bits: 16, element: null, mx: false, wasm: 0, gpu: "bf16", noise: 0.0017 },
  f32: { bits: 32, element: null, mx: false, wasm: 1, gpu: "f32", noise: 0 },
  f16: { bits: 16, element: null, mx: false, wasm: 2, gpu: "f16", noise: 0.0017 },
  mxfp4: { bits: 4, element: "e2m1", mx: true, wasm: 3, qdq: 1, gpu: "mxfp4", quark: "fp4", noise: 0.115 },
  mxfp6_e3m2: {
    bits: 6,
    element: "e3m2",
    mx: true,
    wasm: 4,
    qdq: 2,
    gpu: "mxfp6_e3m2",
    quark: "fp6_e3m2",
    noise: 0.053,
  },
  mxfp6_e2m3: {
    bits: 6,
    element: "e2m3",
    mx: true,
    wasm: 5,
    qdq: 3,
    gpu: "mxfp6_e2m3",
    quark: "fp6_e2m3",
    noise: 0.029,
  },
  fp8_e4m3: { bits: 8, element: "e4m3fn", mx: false, wasm: 6, gpu: "fp8", noise: 0.027 },
  fp8_e4m3fnuz: { bits: 8, element: "e4m3fnuz", mx: false, wasm: 7, gpu: "fp8", noise: 0.027 },
} as const satisfies Readonly<Record<string, StoredFormat>>;

/** One of {@linkcode STORED_FORMATS}. */
export type WeightFormat = keyof typeof STORED_FORMATS;

/** Formats whose facts have a value in a field. */
export type FormatWith<K extends keyof StoredFormat, V> = {
  [F in WeightFormat]: (typeof STORED_FORMATS)[F] extends Readonly<Record<K, V>> ? F : never;
}[WeightFormat];

/** Formats of plain numbers: bf16, f32, f16. */
export type PlainFormat = FormatWith<"element", null>;

/** Numbers that share one scale in every MX format, along the input axis. */
export const BLOCK = 32;

/** Formats of OCP-MX blocks. */
export type MxFormat = FormatWith<"mx", true>;

/** Elements of an OCP-MX block: FP4 e2m1, FP6 e3m2, FP6 e2m3. */
export type MxElement = (typeof STORED_FORMATS)[MxFormat]["element"];

/** All formats of OCP-MX blocks. */
export const MX_FORMATS: readonly MxFormat[] = (Object.keys(STORED_FORMATS) as WeightFormat[]).filter(isMxFormat);

/** The format of blocks of an element. */
export const MX_FORMAT: Readonly<Record<MxElement, MxFormat>> = Object.fromEntries(
  MX_FORMATS.map((format) => [mxElementOf(format), format]),
) as Record<MxElement, MxFormat>;

/** Whether a format is one of MX blocks. */
export function isMxFormat(format: string): format is MxFormat {
  return Object.hasOwn(STORED_FORMATS, format) && STORED_FORMATS[format as WeightFormat].mx;
}

/** The element of a format of MX blocks. */
export function mxElementOf(format: MxFormat): MxElement {
  return STORED_FORMATS[format].element;
}

/** Whether a format stores plain numbers. */
export function isPlain(format: WeightFormat): format is PlainFormat {
  return STORED_FORMATS[format].element === null;
}

/** Bytes of `count` stored numbers that lie together, scales apart. */
export function bytesOf(format: WeightFormat, count: number): number {
  return Math.ceil(STORED_FORMATS[format].bits * count / 8);
}

/** Blocks of {@linkcode BLOCK} numbers, the last of which may be shorter; one scale byte each. */
export function blocksOf(count: number): number {
  return Math.ceil(count / BLOCK);
}

/** How weights of a format are scaled: not, by e8m0 bytes per block, by one float32, or by one float32 per row. */
export type WeightScale = "none" | "e8m0" | "tensor" | "row";

/** Numbers of the kinds of scales in wasm/ABI.md. */
export const SCALE_NUMBER: Readonly<Record<WeightScale, number>> = { none: 0, e8m0: 1, tensor: 2, row: 3 };

/**
 * How the scale of an MX block follows from the block's largest magnitude m; emax is the power of two of the element
 * format's largest number.
 *
 * - `floor`: 2^(floor(log2(m)) - emax), as OCP's Microscaling Formats v1.0, section 6.3.
 * - `even`: the same of m with half of the element's last mantissa bit added to it, so that a largest number that would
 *   round up to the next power of two gets the larger scale: AMD Quark's `scale_calculation_mode` of that name. It is
 *   the rule of MXFP4 and MXFP6 but on request.
 * - `rceil`: the smallest power of two by which the element format's largest number is at least m, so that nothing
 *   saturates: torchao's name of what FlashInfer, vLLM and TensorRT-LLM do to MXFP8 inputs, whose rule it is here.
 */
export type ScaleRule = "even" | "floor" | "rceil";

/** Number format of cached keys and values. */
export type KvFormat = "f32" | "bf16" | "fp8";

/** Number format of activations between operations. */
export type Dtype = "bf16" | "f32";
