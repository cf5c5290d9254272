/** The type of a signature of the GPU kernels' entry points; kernels/abi/signatures.ts lists them all. */
import type { LaunchTraits } from "../manifest.ts";
import type { ArgumentType, ValuesOf } from "./types.ts";

/** Arguments by name, in order. */
export type Arguments = Readonly<Record<string, ArgumentType>>;

/** Blocks of a launch. */
export type Grid = readonly [x: number, y: number, z: number];

/** Tables of kernels/ABI.md. */
export type Section = "rows" | "linears" | "experts" | "prefill" | "batches" | "scaled" | "attention" | "picking";

/**
 * One signature. Each function of the values is also written as text, for kernels/ABI.md; a test compares the two.
 */
export interface Signature<A extends Arguments = Arguments, S extends string = string> {
  readonly section: Section;
  /** Entry points with this signature; `F` stands for the name of a weight format. */
  readonly names: readonly string[];
  readonly arguments: A;
  /** Unit or meaning of an argument, where its name does not tell. */
  readonly notes?: { readonly [K in keyof A]?: string };
  /** Sizes that the grid depends on and that are not passed to the kernel. */
  readonly sizes?: readonly S[];
  /** The grid as kernels/ABI.md writes it. */
  readonly grid: string;
  readonly blocks: (v: LaunchValues<A, S, unknown>, traits: LaunchTraits) => Grid;
  /** Width of the rows in dynamic shared memory, and how many of them, where there are any. */
  readonly staged?: (v: LaunchValues<A, S, unknown>) => { readonly cols: number; readonly rows: number };
  /** Threads of a block, where a launch may have fewer than its kernel's traits say. */
  readonly threads?: (v: LaunchValues<A, S, unknown>) => number;
  /** Whether the blocks along x are a cluster; see `LaunchShape.cluster`. */
  readonly cluster?: true;
  /** What the entry computes, where a line is enough. */
  readonly meaning?: string;
}

/** What a launch is given: every argument, and the sizes that only the grid needs. */
export type LaunchValues<A, S extends string, P> = ValuesOf<A, P> & Readonly<Record<S, number>>;

/** Gives a signature the types of its own arguments. */
export function signature<const A extends Arguments, const S extends string = never>(
  s: Signature<A, S>,
): Signature<A, S> {
  return s;
}

/** Tiles of `rows` rows of weights. */
export function rowTiles(rows: number, { rowsPerBlock }: LaunchTraits): number {
  return Math.ceil(rows / rowsPerBlock);
}

/** Tiles of all linears of a group. */
export function groupTiles(
  { linear }: { readonly linear: readonly { readonly rows: number }[] },
  traits: LaunchTraits,
): number {
  return linear.reduce((sum, { rows }) => sum + rowTiles(rows, traits), 0);
}

/** Arguments that say where the output goes. */
export const OUT = { out: "f32*", outStride: "i32" } as const;
/** Arguments that say where in the caches a token is. */
export const PLACE = { slots: "const i32*", positions: "const i32*" } as const;
/** The norm of a sum, as those read it that come after. */
export const NORMED = {
  in: "MxInput",
  normed: "f32*|0",
  normedStride: "i32",
  first: "u16*|0",
  firstStride: "i32",
  firstOrder: "order",
} as const;
export const NORMED_NOTES = { first: "as `qdq` writes bf16; of rows whose columns are a multiple of 64" } as const;
