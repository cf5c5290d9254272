/** Experts: few tokens by vector kernels, many sorted by expert and multiplied by GEMMs. */
import type { LaunchTraits } from "../manifest.ts";
import { OUT, rowTiles, signature } from "./signature.ts";
import type { ArgumentType } from "./types.ts";

const EXPERT_INPUT = { experts: "const MxLinear*", in: "MxInput", ids: "const i32*" } as const;
const LOCAL_EXPERTS = { first: "i32", count: "i32", topK: "i32" } as const;
const SHAPE = { rows: "i32", cols: "i32" } as const;
const SWIGLU = { swiglu: "flag", alpha: "f32", limit: "f32" } as const;
/** What blocks sum their part of a row over ranks by. */
const OVER_RANKS = { inboxes: "const void*|0", stop: "i32*|0", rank: "i32", ranks: "i32", turns: "i32*|0" } as const;
const OVER_RANKS_NOTES = {
  inboxes: "void *[ranks], each u64 [2][ranks][4096], 0 at first; null: no sum over ranks",
  stop: "not 0: wait no longer",
  turns: "[grid.x], 0 at first",
} as const;
/** Both linears of a token's experts. */
const MLP = {
  ...{ up: "const MxLinear*", down: "const MxLinear*", in: "MxInput", ids: "const i32*" } as const,
  weights: "const f32*",
  ...LOCAL_EXPERTS,
  out: "f32*",
  accumulate: "flag",
  ...{ alpha: "f32", limit: "f32", state: "i32*" } as const,
} as const;
const MLP_SHAPE = { rows: "i32", cols: "i32", inner: "i32" } as const;
const MLP_NOTES = {
  state: "[2][256] and u64 [top_k][inner/2], 0 at first, of this launch of a step alone",
  rows: "of the second linear",
  cols: "of the first linear",
  inner: "columns of the second linear",
} as const;
/** Down with the weighted sum of a token's experts. */
const DOWN_COMBINE = {
  ...EXPERT_INPUT,
  weights: "const f32*",
  ...LOCAL_EXPERTS,
  ...OUT,
  round: "flag",
  accumulate: "flag",
} as const;

const SORTED = {
  divisor: "i32",
  sorted: "const i32*",
  offsets: "const i32*",
  tiles: "const i32*",
  tileCount: "const i32*",
  ...OUT,
  round: "flag",
  ...SWIGLU,
  ...SHAPE,
} as const;

const expertGemm = <X extends ArgumentType>(x: X) =>
  ({ experts: "const MxLinear*", x, xStride: "i32", xScales: "const f32*|0", ...SORTED }) as const;

/** Largest number of tiles that `expert_sort` makes of so many slot rows. */
const mostTiles = (v: { readonly slotRows: number; readonly expertCount: number }, { tokensPerBlock }: LaunchTraits) =>
  Math.ceil(v.slotRows / tokensPerBlock) + v.expertCount;
/** Most choices of a token that the kernels for one token have room for. */
export const ONE_CHOICES = 4;
/** Most blocks of the kernel that computes both linears for one token (kernels/expert_mlp.hip). */
export const MLP_BLOCKS = 256;
/** What its blocks tell one another by, in words of 4 bytes; `inner`: columns of the second linear. */
export const mlpStateWords = (topK: number, inner: number): number => 2 * MLP_BLOCKS + topK * inner;
/** Columns that both linears' units take room like, where teams of warps have different units of the second one. */
export const mlpRanksCols = (cols: number, inner: number): number =>
  // Teams of three, six or twelve warps.
  Math.max(cols, inner * (inner > 1536 ? 1 : inner > 768 ? 2 : 4));
/** Most slot rows of a batch for the kernel whose blocks share out the rows of all chosen experts. */
export const WALK_SLOT_ROWS = 64;
/** Most teams of warps that share rows where these are short (kernels/common/teams.h, common/one_token.h). */
export function teamsOf(cols: number): number {
  return Math.max(1, Math.min(4, Math.floor(12 / Math.ceil(cols / 256))));
}
const EXPERT_GEMM_GRID = "(tiles(rows), ceil(slot_rows / tokensPerBlock) + expert_count)";

/** Experts. */
export const EXPERTS = {
  expertUp: signature({
    section: "experts",
    names: ["expert_up_F", "expert_up_F_mma"],
    arguments: { ...EXPERT_INPUT, ...LOCAL_EXPERTS, ...OUT, round: "flag", ...SWIGLU, ...SHAPE, n: "i32" },
    grid: "(tiles(rows), n*top_k)",
    blocks: ({ rows, n, topK }, traits) => [rowTiles(rows, traits), n * topK, 1],
    staged: ({ cols }) => ({ cols, rows: 1 }),
  }),
  expertDown: signature({
    section: "experts",
    names: ["expert_down_F"],
    arguments: { ...EXPERT_INPUT, ...LOCAL_EXPERTS, ...OUT, ...SHAPE, n: "i32" },
    grid: "(tiles(rows), n*top_k)",
    blocks: ({ rows, n, topK }, traits) => [rowTiles(rows, traits), n * topK, 1],
    staged: ({ cols }) => ({ cols, rows: 1 }),
  }),
  expertDownCombine: signature({
    section: "experts",
    names: ["expert_down_combine_F", "expert_down_combine_F_mma"],
    arguments: { ...DOWN_COMBINE, ...SHAPE, n: "i32" },
    grid: "(tiles(rows), n)",
    blocks: ({ rows, n }, traits) => [rowTiles(rows, traits), n, 1],
    staged: ({ cols, topK }) => ({ cols, rows: topK }),
  }),
  expertUpOne: signature({
    section: "experts",
    names: ["expert_up_F_one"],
    arguments: { ...EXPERT_INPUT, ...LOCAL_EXPERTS, ...OUT, round: "flag", ...SWIGLU, ...SHAPE },
    sizes: ["multiprocessors"],
    grid: "(multiprocessors)",
    blocks: ({ multiprocessors }) => [multiprocessors, 1, 1],
    staged: ({ cols }) => ({ cols, rows: 1 }),
  }),
  expertDownCombineOne: signature({
    section: "experts",
    names: ["expert_down_combine_F_one"],
    arguments: {
      ...DOWN_COMBINE,
      ...OVER_RANKS,
      ...SHAPE,
    },
    notes: OVER_RANKS_NOTES,
    sizes: ["multiprocessors"],
    grid: "(multiprocessors)",
    blocks: ({ multiprocessors }) => [multiprocessors, 1, 1],
    staged: ({ cols }) => ({ cols, rows: teamsOf(cols) }),
  }),
  expertMlpOne: signature({
    section: "experts",
    names: ["expert_mlp_F_one"],
    arguments: { ...MLP, ...MLP_SHAPE },
    notes: MLP_NOTES,
    sizes: ["multiprocessors"],
    grid: "(multiprocessors)",
    blocks: ({ multiprocessors }) => [multiprocessors, 1, 1],
    staged: ({ cols, inner }) => ({ cols: Math.max(cols, inner), rows: 1 }),
    meaning: "both linears, SwiGLU and the weighted sum; results are rounded to bf16",
  }),
  expertMlpRanks: signature({
    section: "experts",
    names: ["expert_mlp_ranks_F_one"],
    arguments: { ...MLP, ...OVER_RANKS, ...MLP_SHAPE },
    notes: { ...MLP_NOTES, ...OVER_RANKS_NOTES },
    sizes: ["multiprocessors"],
    grid: "(multiprocessors)",
    blocks: ({ multiprocessors }) => [multiprocessors, 1, 1],
    staged: ({ cols, inner }) => ({ cols: mlpRanksCols(cols, inner), rows: 1 }),
    meaning: "the same for one of several ranks, with the sum over them",
  }),
  expertSort: signature({
    section: "prefill",
    names: ["expert_sort"],
    arguments: {
      ids: "const i32*",
      slotRows: "i32",
      first: "i32",
      count: "i32",
      tileRows: "i32",
      sorted: "i32*",
      offsets: "i32*",
      tiles: "i32*",
      tileCount: "i32*",
    },
    notes: { slotRows: "n*top_k" },
    grid: "(1)",
    blocks: () => [1, 1, 1],
  }),
  expertGemm: signature({
    section: "prefill",
    names: ["expert_gemm_F"],
    arguments: expertGemm("const f32*"),
    sizes: ["slotRows", "expertCount"],
    grid: EXPERT_GEMM_GRID,
    blocks: (v, traits) => [rowTiles(v.rows, traits), mostTiles(v, traits), 1],
    staged: ({ cols }) => ({ cols, rows: 1 }),
  }),
  expertGemmMma: signature({
    section: "prefill",
    names: ["expert_gemm_F_mma", "expert_gemm_F_wgmma"],
    arguments: expertGemm("const u16*"),
    notes: { x: "bf16" },
    sizes: ["slotRows", "expertCount"],
    grid: EXPERT_GEMM_GRID,
    blocks: (v, traits) => [rowTiles(v.rows, traits), mostTiles(v, traits), 1],
    staged: ({ cols }) => ({ cols, rows: 1 }),
  }),
  expertBatch: signature({
    section: "batches",
    names: ["expert_batch_F_x16", "expert_batch_F_x32"],
    arguments: expertGemm("const u16*"),
    notes: { x: "bf16" },
    sizes: ["slotRows", "expertCount"],
    grid: EXPERT_GEMM_GRID,
    blocks: (v, traits) => [rowTiles(v.rows, traits), mostTiles(v, traits), 1],
    staged: ({ cols }) => ({ cols, rows: 1 }),
  }),
  expertWalk: signature({
    section: "batches",
    names: ["expert_batch_F_x8"],
    arguments: {
      experts: "const MxLinear*",
      x: "const f32*|0",
      xBf16: "const u16*|0",
      xStride: "i32",
      xScales: "const f32*|0",
      divisor: "i32",
      ids: "const i32*",
      slotRows: "i32",
      first: "i32",
      count: "i32",
      early: "flag",
      ...OUT,
      round: "flag",
      ...SWIGLU,
      ...SHAPE,
    },
    notes: { xBf16: "instead of x", slotRows: "up to 64", early: "reads ids before the launch ahead has ended" },
    sizes: ["multiprocessors"],
    grid: "(multiprocessors)",
    blocks: ({ multiprocessors }) => [multiprocessors, 1, 1],
    staged: ({ cols }) => ({ cols, rows: teamsOf(cols) }),
  }),
  expertGemmScaled: signature({
    section: "scaled",
    names: ["expert_gemm_mxfp4_e2m1_mma", "expert_gemm_mxfp4_fp8_mma"],
    arguments: {
      experts: "const MxLinear*",
      x: "const u8*",
      xStride: "i32",
      xBlocks: "const u8*|0",
      xBlockStride: "i32",
      xScales: "const f32*|0",
      ...SORTED,
    },
    notes: { x: "codes", xStride: "bytes", xBlocks: "scales", xBlockStride: "bytes" },
    sizes: ["slotRows", "expertCount"],
    grid: EXPERT_GEMM_GRID,
    blocks: (v, traits) => [rowTiles(v.rows, traits), mostTiles(v, traits), 1],
    staged: ({ cols }) => ({ cols, rows: 1 }),
  }),
} as const;
