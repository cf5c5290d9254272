/** Linears: few tokens by vector kernels, many by GEMMs. */
import type { LaunchTraits } from "../manifest.ts";
import { groupTiles, signature } from "./signature.ts";
import type { ArgumentType } from "./types.ts";

const tokenTiles = (n: number, { tokensPerBlock }: LaunchTraits) => Math.ceil(n / tokensPerBlock);

const gemm = <X extends ArgumentType>(x: X) =>
  ({
    group: "MxGroup",
    x,
    xStride: "i32",
    xScales: "const f32*|0",
    round: "flag",
    accumulate: "flag",
    n: "i32",
  }) as const;

/** Linears. */
export const LINEARS = {
  linear: signature({
    section: "linears",
    names: ["linear_F", "linear_F_x4"],
    arguments: { group: "MxGroup", in: "MxInput", round: "flag", accumulate: "flag", n: "i32" },
    grid: "(tiles(group), ceil(n / tokensPerBlock))",
    blocks: ({ group, n }, traits) => [groupTiles(group, traits), tokenTiles(n, traits), 1],
    staged: ({ group }) => ({ cols: group.linear[0]!.cols, rows: 1 }),
  }),
  gemm: signature({
    section: "prefill",
    names: ["gemm_F"],
    arguments: gemm("const f32*"),
    grid: "(tiles(group), ceil(n / tokensPerBlock))",
    blocks: ({ group, n }, traits) => [groupTiles(group, traits), tokenTiles(n, traits), 1],
    staged: ({ group }) => ({ cols: group.linear[0]!.cols, rows: 1 }),
  }),
  gemmMma: signature({
    section: "prefill",
    names: ["gemm_F_mma", "gemm_F_wgmma"],
    arguments: gemm("const u16*"),
    notes: { x: "bf16" },
    grid: "(tiles(group), ceil(n / tokensPerBlock))",
    blocks: ({ group, n }, traits) => [groupTiles(group, traits), tokenTiles(n, traits), 1],
    staged: ({ group }) => ({ cols: group.linear[0]!.cols, rows: 1 }),
  }),
  gemmBatch: signature({
    section: "batches",
    names: ["batch_F_x16", "batch_F_x64"],
    arguments: { ...gemm("const u16*"), parts: "i32", partial: "f32*|0", counters: "i32*|0" },
    notes: { x: "bf16", parts: "of the columns", counters: "0 before and after" },
    // Tiles with the same weights lie side by side.
    grid: "(ceil(n / tokensPerBlock), tiles(group), parts)",
    blocks: ({ group, n, parts }, traits) => [tokenTiles(n, traits), groupTiles(group, traits), parts],
    staged: ({ group }) => ({ cols: group.linear[0]!.cols, rows: 1 }),
  }),
  gemmFew: signature({
    section: "batches",
    names: ["batch_bf16_x8", "batch_bf16_x8_rows"],
    arguments: { ...gemm("const u16*"), parts: "i32" },
    notes: { x: "bf16", parts: "of the columns, at most 8: a warp of a block each" },
    grid: "(tiles(group), ceil(n / tokensPerBlock))",
    // A warp a part of sixteen rows, or eight warps with sixteen rows each.
    blocks: ({ group, n, parts }, traits) => [
      parts > 1 ? groupTiles(group, traits) : Math.ceil(groupTiles(group, traits) / 8),
      tokenTiles(n, traits),
      1,
    ],
    threads: ({ parts }) => parts > 1 ? 32 * parts : 256,
    meaning: "blocks of 32 * parts threads; with one part of 256, the grid's x being an eighth",
  }),
} as const;
