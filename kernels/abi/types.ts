/**
 * Types of the GPU kernels' binary interface: numbers, pointers and by-value structs, with their C layout and the
 * TypeScript values that a launch gives for them. kernels/abi/signatures.ts lists the entry points.
 *
 * Names are written as TypeScript has them ("outStride"); C has them with underscores ("out_stride"), see {@linkcode
 * cName}.
 */

/** Number formats of vectors, tables and caches (`format` arguments). */
export const NUMBER_FORMAT = { bf16: 0, f32: 1, f16: 2, fp8: 3 } as const;
/** One of {@linkcode NUMBER_FORMAT}. */
export type NumberFormat = (typeof NUMBER_FORMAT)[keyof typeof NUMBER_FORMAT];

/**
 * What happens to an input row before it is multiplied (`MxInput.kind`). 6 and 7 leave codes as they are: FP8 W8A8; 8
 * is MXFP8.
 */
export const QDQ_KIND = {
  none: 0,
  e2m1: 1,
  e3m2: 2,
  e2m3: 3,
  fp8Static: 4,
  fp8Token: 5,
  fp8StaticCodes: 6,
  fp8TokenCodes: 7,
  e4m3fn: 8,
} as const;
/** One of {@linkcode QDQ_KIND}. */
export type QdqKind = (typeof QDQ_KIND)[keyof typeof QDQ_KIND];

/**
 * Order of the columns of rows that `qdq` writes as bf16 (`order` arguments): as they are; of every eight
 * 0 4 1 5 2 6 3 7, in which `batch_mxfp4_*` and `expert_batch_mxfp4_*` decode their weights; or that in which
 * `gemm_mxfp4_wgmma` and `expert_gemm_mxfp4_wgmma` decode every 64.
 */
export const COLUMN_ORDER = { natural: 0, mxfp4: 1, wgmma: 2 } as const;
/** One of {@linkcode COLUMN_ORDER}. */
export type ColumnOrder = (typeof COLUMN_ORDER)[keyof typeof COLUMN_ORDER];

/** How the scale of an MX block is rounded (`MxInput.rule`). */
export const SCALE_RULE = { even: 0, floor: 1, rceil: 2 } as const;
/** One of {@linkcode SCALE_RULE}. */
export type ScaleRuleNumber = (typeof SCALE_RULE)[keyof typeof SCALE_RULE];

/**
 * Number types. `flag` is an i32 that is 0 or 1; `format`, `kind`, `rule` and `order` are i32 of the tables above;
 * `reserved` is an i32 0.
 */
export const NUMBERS = {
  i32: { c: "i32", bytes: 4 },
  i64: { c: "i64", bytes: 8 },
  f32: { c: "f32", bytes: 4 },
  flag: { c: "i32", bytes: 4 },
  format: { c: "i32", bytes: 4 },
  kind: { c: "i32", bytes: 4 },
  rule: { c: "i32", bytes: 4 },
  order: { c: "i32", bytes: 4 },
  reserved: { c: "i32", bytes: 4 },
} as const;
/** Name of a number type. */
export type NumberType = keyof typeof NUMBERS;

/** A pointer into device memory; `|0`: it may be null. */
export type PointerType = `${"" | "const "}${"f32" | "i32" | "u8" | "u16" | "void" | "MxLinear"}*${"" | "|0"}`;

/** Members of a by-value struct in order of memory; `[4]` is an array. */
export type MemberType = NumberType | PointerType | "MxLinear[4]" | "f32*|0[4]" | "i32[4]" | "reserved[3]";

/** The by-value structs. */
export const STRUCTS = {
  MxLinear: {
    weight: "const void*|0",
    scale: "const void*|0",
    bias: "const void*|0",
    rowStride: "i64",
    scaleStride: "i64",
    rows: "i32",
    cols: "i32",
    tensorScale: "f32",
    biasFormat: "format",
    flags: "i32",
    reserved: "reserved",
  },
  MxGroup: {
    linear: "MxLinear[4]",
    out: "f32*|0[4]",
    outStride: "i32[4]",
    count: "i32",
    reserved: "reserved[3]",
  },
  MxInput: {
    x: "const f32*",
    xRows: "const i32*|0",
    norm: "const void*|0",
    xStride: "i32",
    normFormat: "format",
    eps: "f32",
    kind: "kind",
    rule: "rule",
    scale: "f32",
    round: "flag",
    reserved: "reserved",
  },
  MxCache: {
    k: "void*",
    v: "void*",
    pages: "const i32*",
    headStride: "i64",
    format: "format",
    tableStride: "i32",
    heads: "i32",
    kvHeads: "i32",
    headDim: "i32",
    window: "i32",
    kScale: "f32",
    vScale: "f32",
    softmaxScale: "f32",
    reserved: "reserved",
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, MemberType>>>>;
/** Name of a struct. */
export type StructType = keyof typeof STRUCTS;

/** Type of an argument of an entry point. */
export type ArgumentType = NumberType | PointerType | StructType;

/** The value of one argument or member, where `P` stands for a place in device memory. */
export type ValueOf<T, P> = T extends `${infer E}[${number}]` ? readonly ValueOf<E, P>[]
  : T extends `${string}*|0` ? P | null
  : T extends `${string}*` ? P
  : T extends "flag" ? boolean
  : T extends "format" ? NumberFormat
  : T extends "kind" ? QdqKind
  : T extends "rule" ? ScaleRuleNumber
  : T extends "order" ? ColumnOrder
  : T extends StructType ? StructValue<T, P>
  : number;

/** The value of a struct: its members by name, without those that are reserved. */
export type StructValue<S extends StructType, P> = ValuesOf<(typeof STRUCTS)[S], P>;

/** Values by name for a list of arguments or members. */
export type ValuesOf<A, P> = { readonly [K in Exclude<keyof A, "reserved">]: ValueOf<A[K], P> };

/** "out_stride" of "outStride". */
export function cName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The element and the length of a type, which is 1 for what is not an array. */
export function elementOf(type: string): { readonly element: string; readonly length: number } {
  const [, element, length] = /^(.*?)(?:\[(\d+)\])?$/.exec(type)!;
  return { element: element!, length: Number(length ?? 1) };
}

/** Size and alignment in C, in bytes. */
export function sizeOf(type: string): { readonly bytes: number; readonly alignment: number } {
  const { element, length } = elementOf(type);
  if (length !== 1) {
    const one = sizeOf(element);
    return { bytes: length * one.bytes, alignment: one.alignment };
  }
  if (element in STRUCTS) {
    const placed = layoutOf(STRUCTS[element as StructType]);
    return { bytes: placed.bytes, alignment: placed.alignment };
  }
  const bytes = element.includes("*") ? 8 : NUMBERS[element as NumberType].bytes;
  return { bytes, alignment: bytes };
}

/** Where the members of a struct, or the arguments in a kernel's argument segment, lie. */
export interface Layout {
  readonly offsets: Readonly<Record<string, number>>;
  /** Of the whole, padded to its alignment. */
  readonly bytes: number;
  readonly alignment: number;
}

/** C layout of types in order: each at the next multiple of its alignment. */
export function layoutOf(fields: Readonly<Record<string, string>>): Layout {
  const offsets: Record<string, number> = {};
  let end = 0, widest = 1;
  for (const [name, type] of Object.entries(fields)) {
    const { bytes, alignment } = sizeOf(type);
    offsets[name] = Math.ceil(end / alignment) * alignment;
    end = offsets[name] + bytes;
    widest = Math.max(widest, alignment);
  }
  return { offsets, bytes: Math.ceil(end / widest) * widest, alignment: widest };
}

/**
 * A declaration as C has it: "const f32 *x", "i32 out_stride[4]". A pointer that may be null ends in "|0" where
 * `nulls` asks for it.
 */
export function declaration(name: string, type: string, nulls = false): string {
  const { element, length } = elementOf(type);
  const pointer = /^(.*)\*(\|0)?$/.exec(element);
  const c = pointer ? `${pointer[1]} *` : `${element in NUMBERS ? NUMBERS[element as NumberType].c : element} `;
  return c + cName(name) + (length === 1 ? "" : `[${length}]`) + (nulls ? pointer?.[2] ?? "" : "");
}
