/**
 * Writes the by-value structs of kernels/ABI.md. Field by field in the order of that page; C layout comes from the
 * writer.
 */
import { isFp8, kindNumber, ruleNumber } from "../../formats/input.ts";
import type { ArgumentWriter, DeviceRange } from "../../../ffi/runtime.ts";
import type { GpuLinear, GpuVector } from "./tensors.ts";

/** Bytes of one `MxLinear`. */
export const LINEAR_BYTES = 64;
/** Linears of one `MxGroup`. */
export const GROUP_LINEARS = 4;

/** Where the input of a kernel comes from and what happens to it first: `MxInput`. */
export interface Input {
  readonly x: DeviceRange;
  /** Elements. */
  readonly stride: number;
  /** i32 row numbers, or null for row i. */
  readonly rows: DeviceRange | null;
  /** RMSNorm that is applied first. */
  readonly norm: GpuVector | null;
  readonly eps: number;
  /** QDQ kind and its parameters. */
  readonly quantize: Quantize;
  readonly round: number;
}

/** A QDQ kind of kernels/ABI.md with its parameters. */
export interface Quantize {
  readonly kind: number;
  readonly rule: number;
  readonly scale: number;
}

/** The input stays as it is. */
export const NO_QUANTIZE: Quantize = { kind: 0, rule: 0, scale: 0 };

/**
 * Added to the number of an FP8 kind: the row holds codes' values, and the scale is left to whoever multiplies them.
 */
const CODES = 2;

/** The QDQ that a linear wants of its input. */
export function quantizeFor({ input, multipliesCodes }: Pick<GpuLinear, "input" | "multipliesCodes">): Quantize {
  return {
    kind: kindNumber(input) + (multipliesCodes && isFp8(input) ? CODES : 0),
    rule: input.kind === "mx" ? ruleNumber(input.rule) : 0,
    scale: input.kind === "fp8_static" ? input.scale : 0,
  };
}

/** Members of `MxLinear`, inside a struct or an array of records. */
function linearMembers(w: ArgumentWriter, l: GpuLinear): void {
  w.pointer(l.weight).pointer(l.scale).pointer(l.bias).i64(l.rowStride).i64(l.scaleStride)
    .i32(l.rows).i32(l.cols).f32(l.tensorScale).i32(l.biasFormat).i32(l.flags).i32(0);
}

/** One `MxLinear`. */
export function writeLinear(w: ArgumentWriter, linear: GpuLinear): void {
  w.struct();
  linearMembers(w, linear);
  w.end();
}

/** One `MxGroup`: up to four linears of one format that read the same input, and their outputs. */
export function writeGroup(
  w: ArgumentWriter,
  linears: readonly GpuLinear[],
  outs: readonly { readonly range: DeviceRange; readonly stride: number }[],
): void {
  w.struct();
  for (let i = 0; i < GROUP_LINEARS; i++) {
    if (i < linears.length) linearMembers(w, linears[i]!);
    else for (let word = 0; word < LINEAR_BYTES / 8; word++) w.i64(0);
  }
  for (let i = 0; i < GROUP_LINEARS; i++) w.pointer(outs[i]?.range ?? null);
  for (let i = 0; i < GROUP_LINEARS; i++) w.i32(outs[i]?.stride ?? 0);
  w.i32(linears.length).i32(0).i32(0).i32(0).end();
}

/** One `MxInput`. */
export function writeInput(w: ArgumentWriter, input: Input): void {
  const { norm, quantize: { kind, rule, scale } } = input;
  w.struct().pointer(input.x).pointer(input.rows).pointer(norm?.range ?? null).i32(input.stride)
    .i32(norm?.format ?? 0).f32(input.eps).i32(kind).i32(rule).f32(scale).i32(input.round).i32(0).end();
}

/** The KV cache of a layer: `MxCache`. */
export interface Cache {
  readonly keys: DeviceRange;
  readonly values: DeviceRange;
  /** Bytes. */
  readonly slotStride: number;
  readonly headStride: number;
  /** See NUMBER_FORMAT. */
  readonly format: number;
  readonly elementBytes: number;
  readonly capacity: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** 0: all keys. */
  readonly window: number;
  readonly keyScale: number;
  readonly valueScale: number;
}

/** One `MxCache`. */
export function writeCache(w: ArgumentWriter, c: Cache): void {
  w.struct().pointer(c.keys).pointer(c.values).i64(c.slotStride).i64(c.headStride).i32(c.format).i32(c.capacity)
    .i32(c.heads).i32(c.kvHeads).i32(c.headDim).i32(c.window).f32(c.keyScale).f32(c.valueScale)
    .f32(1 / Math.sqrt(c.headDim)).i32(0).end();
}
