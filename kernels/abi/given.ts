/** Entry points by which a matrix kernel gives its rows to a sum over ranks itself. */
import { AMONG, AMONG_NOTES, END, SECOND } from "./ranks.ts";
import { groupTiles, NORMED, NORMED_NOTES, signature } from "./signature.ts";

/** Where tiles go that matrix kernels give, and how they are counted. */
const GIVEN = { room: "i64", tiles: "i32" } as const;
const GIVEN_NOTES = {
  inboxes: "void *[ranks], each [2][ranks][room]",
  marks: "i32 *[ranks], each [ranks][tiles], 0 at first",
  room: "bytes, n rows at least: of bf16 numbers, each row whole lines of 128 bytes",
  tiles: "of 128 rows and columns, as many as n rows have at least",
} as const;
/** Rows that are given, and their sum. */
export const GIVEN_ROWS = {
  gemmGive: signature({
    section: "prefill",
    names: ["gemm_F_wgmma_give"],
    arguments: {
      group: "MxGroup",
      x: "const u16*",
      xStride: "i32",
      xScales: "const f32*|0",
      n: "i32",
      inboxes: "const void*",
      marks: "const void*",
      rank: "i32",
      ranks: "i32",
      ...GIVEN,
    },
    notes: { group: "of one linear, whose out is not written", x: "bf16", ...GIVEN_NOTES },
    grid: "(tiles(group), ceil(n / tokensPerBlock))",
    blocks: ({ group, n }, traits) => [groupTiles(group, traits), Math.ceil(n / traits.tokensPerBlock), 1],
    staged: ({ group }) => ({ cols: group.linear[0]!.cols, rows: 1 }),
    meaning: "rounded products, given to all ranks for `exchange_given`, which comes next",
  }),
  exchangeGiven: signature({
    section: "rows",
    names: ["exchange_given"],
    arguments: {
      h: "f32*",
      marks: "const void*",
      inboxes: "const void*",
      ...AMONG,
      turns: "i32*",
      ...GIVEN,
      stride: "i32",
      ...NORMED,
      ...SECOND,
      ...END,
    },
    notes: {
      ...GIVEN_NOTES,
      turns: "[n, and what whole tiles have besides], 0 at first",
      ...NORMED_NOTES,
      ...AMONG_NOTES,
    },
    grid: "(n)",
    blocks: ({ n }) => [n, 1, 1],
    meaning: "`exchange_rows`, added to h, of what the ranks' `gemm_F_wgmma_give` gave",
  }),
} as const;
