/** The by-value structs of kernels/ABI.md, written independently of the backend that uses them. */
import { type DeviceBuffer, StructWriter } from "./job.ts";

/** MxLinear. */
export interface LinearFields {
  readonly weight: DeviceBuffer | null;
  readonly scale: DeviceBuffer | null;
  readonly bias: DeviceBuffer | null;
  readonly rowStride: number;
  readonly scaleStride: number;
  readonly rows: number;
  readonly cols: number;
  readonly tensorScale: number;
  readonly biasFormat: number;
  readonly fnuz: boolean;
}

export function linearStruct(l: LinearFields): StructWriter {
  return new StructWriter(64).pointer(l.weight).pointer(l.scale).pointer(l.bias).i64(l.rowStride).i64(l.scaleStride)
    .i32(l.rows, l.cols).f32(l.tensorScale).i32(l.biasFormat, l.fnuz ? 1 : 0, 0);
}

/** MxGroup of linears and where each one's output goes. */
export function groupStruct(
  linears: readonly LinearFields[],
  outs: readonly { readonly to: DeviceBuffer; readonly stride: number }[],
): StructWriter {
  const w = new StructWriter(320);
  for (let i = 0; i < 4; i++) {
    const l = linears[i];
    w.struct(l ? linearStruct(l) : new StructWriter(64).i64(0).i64(0).i64(0).i64(0).i64(0).i64(0).i64(0).i64(0));
  }
  for (let i = 0; i < 4; i++) w.pointer(outs[i]?.to ?? null);
  for (let i = 0; i < 4; i++) w.i32(outs[i]?.stride ?? 0);
  return w.i32(linears.length, 0, 0, 0);
}

/** MxInput; what is left out is absent. */
export interface InputFields {
  readonly x: DeviceBuffer;
  readonly stride: number;
  readonly rows?: DeviceBuffer;
  readonly norm?: DeviceBuffer;
  readonly normFormat?: number;
  readonly eps?: number;
  readonly kind?: number;
  readonly rule?: number;
  readonly scale?: number;
  readonly round?: number;
}

export function inputStruct(i: InputFields): StructWriter {
  return new StructWriter(56).pointer(i.x).pointer(i.rows ?? null).pointer(i.norm ?? null)
    .i32(i.stride, i.normFormat ?? 0).f32(i.eps ?? 0).i32(i.kind ?? 0, i.rule ?? 0).f32(i.scale ?? 1).i32(
      i.round ?? 0,
      0,
    );
}

/** MxCache. */
export interface CacheFields {
  readonly k: DeviceBuffer;
  readonly v: DeviceBuffer;
  readonly pages: DeviceBuffer;
  readonly headStride: number;
  readonly format: number;
  readonly tableStride: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly window: number;
  readonly kScale: number;
  readonly vScale: number;
}

export function cacheStruct(c: CacheFields): StructWriter {
  return new StructWriter(72).pointer(c.k).pointer(c.v).pointer(c.pages).i64(c.headStride)
    .i32(c.format, c.tableStride, c.heads, c.kvHeads, c.headDim, c.window).f32(c.kScale).f32(c.vScale)
    .f32(1 / Math.sqrt(c.headDim)).i32(0);
}
