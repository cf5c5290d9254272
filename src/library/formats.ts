/**
 * Number formats: what is left of numbers that go through one.
 *
 * @module
 */
import { printable, show } from "../describe.ts";
import { roundAllToBf16 } from "../formats/bf16.ts";
import { ELEMENTS, quantize } from "../formats/elements.ts";
import { isMxFormat, mxElementOf, type ScaleRule, STORED_FORMATS, type WeightFormat } from "../formats/format.ts";
import { MX_INPUT } from "../formats/input.ts";
import { qdqQ8 } from "../formats/q8_0.ts";
import { qdqMx, quantizeFp8 } from "../formats/qdq.ts";
import { isScale, refuseDetached, wrongKind } from "./known.ts";

export type { ElementName } from "../formats/elements.ts";
export { STORED_FORMATS } from "../formats/format.ts";
export type {
  Dtype,
  FormatWith,
  KvFormat,
  MxElement,
  MxFormat,
  PlainFormat,
  ScaleRule,
  StoredFormat,
  WeightFormat,
  WeightScale,
} from "../formats/format.ts";
export type { InputFormat, MxInputElement } from "../formats/input.ts";

/** Formats that numbers can go through: those of stored numbers, and those that inputs alone are quantized to. */
export type QdqFormat = WeightFormat | "mxfp8" | "q8_0";

/**
 * Names of all formats that {@linkcode qdq} knows.
 *
 * @example
 * ```ts
 * import { FORMATS } from "@mxoss/mxoss/formats";
 * import { assert } from "@std/assert";
 *
 * assert(FORMATS.includes("mxfp4"));
 * ```
 */
export const FORMATS: readonly QdqFormat[] = [...Object.keys(STORED_FORMATS) as WeightFormat[], "mxfp8", "q8_0"];

/** What {@linkcode qdq} may be told besides the format. */
export interface QdqOptions {
  /** Numbers of a row; default: all numbers are one row. Blocks and scales per token begin anew with each row. */
  readonly columns?: number;
  /** MX formats: how a block's shared exponent follows from its largest magnitude; default `even`, MXFP8's `rceil`. */
  readonly rule?: ScaleRule;
  /**
   * FP8 formats: the scale, a positive number, which is rounded to float32; or `token` (default), which gives each row
   * its own, max|x| / 448 and at least 1 / (448 * 512). `fp8_e4m3fnuz` has no `token`.
   */
  readonly scale?: number | "token";
}

const OPTIONS: readonly string[] = ["columns", "rule", "scale"] satisfies readonly (keyof QdqOptions)[];
const RULES: readonly string[] = ["even", "floor", "rceil"] satisfies readonly ScaleRule[];

/**
 * Quantizes rows to a format and dequantizes them again (QDQ): the numbers that a model computes with whose weights or
 * activations are stored in that format.
 *
 * Arithmetic is float32, each operation correctly rounded; numbers are rounded to nearest, ties to even. Codes of MX
 * and FP8 saturate: what is larger becomes the largest; in `bf16` and `f16` it becomes infinite. A NaN makes its whole
 * MX block NaN, and a NaN or an infinity its whole row where FP8 has a scale for each token, or its block of Q8_0.
 *
 * @param values Float32 numbers, row after row; left as they are.
 * @param format One of {@linkcode FORMATS}.
 * @param options Length of a row, and how scales are chosen.
 * @returns A new array of the same length.
 * @throws {RangeError} if the format, the rule or an option is unknown, `values` is not whole rows, or a scale is not a
 *   positive number.
 * @throws {TypeError} if `values` is no Float32Array, or `options` no object.
 *
 * @example
 * ```ts
 * import { qdq } from "@mxoss/mxoss/formats";
 * import { assertEquals } from "@std/assert";
 *
 * // A block of MXFP4 has one scale, a power of two; its codes are 0, 0.5, 1, 1.5, 2, 3, 4 and 6, and their negatives.
 * assertEquals(qdq(Float32Array.of(1, 2.4, -5, 0.3), "mxfp4"), Float32Array.of(1, 2, -4, 0.5));
 * // FP8 with a scale for each token: the largest magnitude is exact.
 * assertEquals(qdq(Float32Array.of(3, -448), "fp8_e4m3"), Float32Array.of(3, -448));
 * ```
 */
export function qdq(values: Float32Array, format: QdqFormat, options: QdqOptions = {}): Float32Array {
  refuseOtherNumbers(values);
  if (!FORMATS.includes(format)) throw new RangeError(`format: expected ${FORMATS.join(", ")}, got ${told(format)}`);
  if (typeof options !== "object" || options === null) throw wrongKind("options", "an object", options);
  const { columns = values.length, rule, scale = "token" } = options;
  const other = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (other !== undefined) throw new RangeError(`options: expected ${OPTIONS.join(", ")}, got ${other}`);
  if (rule !== undefined && !RULES.includes(rule)) {
    throw new RangeError(`rule: expected ${RULES.join(", ")}, got ${told(rule)}`);
  }
  if (scale !== "token" && !isScale(scale)) {
    throw new RangeError(`scale: expected a positive float32 number or token, got ${show(scale)}`);
  }
  if (values.length === 0) return new Float32Array();
  if (!Number.isInteger(columns) || columns < 1 || values.length % columns !== 0) {
    throw new RangeError(`columns: expected a divisor of ${values.length}, the numbers given, got ${show(columns)}`);
  }
  const out = values.slice();
  for (let start = 0; start < out.length; start += columns) {
    qdqRow(out.subarray(start, start + columns), format, options);
  }
  return out;
}

/** A text as it is, anything else as messages show it. */
const told = (value: unknown): string => typeof value === "string" ? printable(value) : show(value);

/** @throws {TypeError} for numbers of another kind: what is computed would be rounded as they are. */
function refuseOtherNumbers(values: Float32Array): void {
  if (!(values instanceof Float32Array)) throw wrongKind("values", "a Float32Array", values);
  refuseDetached("values", "a Float32Array", values);
}

/** One row, in place. */
function qdqRow(row: Float32Array, format: QdqFormat, { rule, scale = "token" }: QdqOptions): void {
  if (format === "mxfp8" || isMxFormat(format)) {
    const element = format === "mxfp8" ? "e4m3fn" : mxElementOf(format);
    qdqMx(row, element, rule ?? MX_INPUT[element].rule);
  } else if (format === "q8_0") {
    qdqQ8(row);
  } else if (format === "bf16") {
    roundAllToBf16(row);
  } else if (format === "f16") {
    row.forEach((x, i) => row[i] = Math.f16round(x));
  } else if (format !== "f32") {
    qdqFp8(row, format, scale);
  }
}

function qdqFp8(row: Float32Array, format: "fp8_e4m3" | "fp8_e4m3fnuz", scale: number | "token"): void {
  if (scale === "token") {
    if (format !== "fp8_e4m3") throw new RangeError(`scale: expected a positive number for ${format}, got token`);
    const { values, scale: own } = quantizeFp8(row, { kind: "fp8_token" });
    values.forEach((value, i) => row[i] = value * own);
    return;
  }
  const factor = Math.fround(scale), element = ELEMENTS[STORED_FORMATS[format].element];
  row.forEach((x, i) => row[i] = quantize(element, Math.fround(x / factor)) * factor);
}
