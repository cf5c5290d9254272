/** Entry points that sum over ranks: what was gathered, and what ranks write into each other's memory. */
import { NORMED, NORMED_NOTES, rowTiles, signature } from "./signature.ts";

/** What launches that write into other ranks' memory have in common. */
export const AMONG = { stop: "i32*", rank: "i32", ranks: "i32" } as const;
export const AMONG_NOTES = {
  stop: "not 0: wait no longer",
  phase: "1: give the others what is theirs, 2: take what they gave; 3 on devices",
} as const;
const SUM = {
  stride: "i32",
  width: "i32",
  round: "flag",
  accumulate: "flag",
  n: "i32",
  phase: "i32",
} as const;

/** Where rows of many tokens go, and how they are counted. */
const ROWS = { turns: "i32*", most: "i32", room: "i64" } as const;
const ROWS_NOTES = {
  inboxes: "void *[ranks], each [2][ranks][room], 0 at first",
  turns: "[2][most], 0 at first",
  most: "rows, n at least",
  room: "bytes, n rows at least: lines of 128, each for 15 quads of bf16 or 7 of float32 numbers",
} as const;
/** The experts' rows that a rank weights and sums. */
const CHOICES = {
  yStride: "i32",
  ids: "const i32*",
  weights: "const f32*",
  firstExpert: "i32",
  count: "i32",
  topK: "i32",
} as const;
export const SECOND = { second: "u16*|0", secondStride: "i32", secondOrder: "order" } as const;
export const END = { width: "i32", round: "flag", n: "i32", phase: "i32" } as const;

/** What the kernels are given that sum rows over ranks and route them. */
const ROUTED = {
  h: "f32*",
  x: "const f32*",
  inboxes: "const void*",
  ...AMONG,
  turns: "i32*",
  stride: "i32",
  in: "MxInput",
  router: "MxLinear",
  topK: "i32",
  normed: "f32*|0",
  normedStride: "i32",
  first: "u16*|0",
  firstStride: "i32",
  firstOrder: "order",
  logits: "f32*",
  logitsStride: "i32",
  ids: "i32*",
  weights: "f32*",
  round: "flag",
  n: "i32",
  counters: "i32*",
  phase: "i32",
} as const;
const ROUTED_NOTES = {
  inboxes: "as of `exchange_ranks`, with which it shares them",
  turns: "the same",
  ...NORMED_NOTES,
  counters: "[n], 0 before and after",
  ...AMONG_NOTES,
} as const;

/** Sums over ranks, and columns of all of them. */
export const RANKS = {
  sumRanks: signature({
    section: "rows",
    names: ["sum_ranks"],
    arguments: {
      out: "f32*",
      parts: "const f32*",
      rankStride: "i64",
      ranks: "i32",
      stride: "i32",
      width: "i32",
      round: "flag",
      accumulate: "flag",
      n: "i32",
    },
    notes: { rankStride: "elements from one rank's rows to the next one's" },
    grid: "(ceil(n * width / 1024))",
    blocks: ({ n, width }) => [Math.ceil(n * width / 1024), 1, 1],
    meaning: "s = parts_0 + parts_1 + .. in order of ranks; out = round(s), or with accumulate out = round(out + " +
      "round(s)). `stride` is that of all rows, a multiple of 4",
  }),
  exchangeRanks: signature({
    section: "rows",
    names: ["exchange_ranks"],
    arguments: {
      out: "f32*",
      x: "const f32*",
      inboxes: "const void*",
      ...AMONG,
      turns: "i32*",
      ...SUM,
    },
    notes: {
      inboxes: "u32 *[ranks], each [128][2][ranks][2][512][4], 0 at first",
      turns: "[128], 0 at first",
      ...AMONG_NOTES,
    },
    grid: "(min(ceil(n * ceil(width / 4) / 256), 128))",
    blocks: ({ n, width }) => [Math.min(Math.ceil(n * Math.ceil(width / 4) / 256), 128), 1, 1],
    meaning: "the same of x of every rank, which may be out; with `round` x are bf16 numbers. At most 65,536 pieces " +
      "of four numbers",
  }),
  exchangeRows: signature({
    section: "rows",
    names: ["exchange_rows"],
    arguments: {
      out: "f32*",
      x: "const f32*",
      inboxes: "const void*",
      ...AMONG,
      ...ROWS,
      stride: "i32",
      xStride: "i32",
      ...NORMED,
      ...SECOND,
      width: "i32",
      round: "flag",
      accumulate: "flag",
      n: "i32",
      phase: "i32",
    },
    notes: { ...ROWS_NOTES, ...NORMED_NOTES, ...AMONG_NOTES },
    grid: "(2 * n)",
    blocks: ({ n }) => [2 * n, 1, 1],
    meaning:
      "`exchange_ranks` of any number of rows, then the norm of the result, which `in` names, unless `in` has none; " +
      "a norm of at most 3,072 columns",
  }),
  exchangeCombine: signature({
    section: "rows",
    names: ["exchange_combine"],
    arguments: {
      h: "f32*",
      y: "const f32*",
      inboxes: "const void*",
      ...AMONG,
      ...ROWS,
      stride: "i32",
      ...CHOICES,
      ...NORMED,
      ...SECOND,
      ...END,
    },
    notes: { ...ROWS_NOTES, ...NORMED_NOTES, ...AMONG_NOTES },
    grid: "(2 * n)",
    blocks: ({ n }) => [2 * n, 1, 1],
    meaning: "the same, added to h, of what `combine` gives of the rows of experts first_expert .. first_expert + " +
      "count - 1",
  }),
  exchangeCombineFew: signature({
    section: "rows",
    names: ["exchange_combine_few"],
    arguments: {
      h: "f32*",
      y: "const f32*",
      inboxes: "const void*",
      ...AMONG,
      turns: "i32*",
      stride: "i32",
      ...CHOICES,
      ...NORMED,
      ...END,
    },
    notes: {
      inboxes: "as of `exchange_ranks`, with which it shares them",
      turns: "the same",
      ...NORMED_NOTES,
      ...AMONG_NOTES,
    },
    grid: "(n)",
    blocks: ({ n }) => [n, 1, 1],
    meaning: "`exchange_combine` of at most 64 rows of 4,096 columns",
  }),
  exchangeColumns: signature({
    section: "rows",
    names: ["exchange_columns"],
    arguments: {
      x: "const f32*",
      stride: "i32",
      wholes: "const void*",
      ...AMONG,
      marks: "const void*",
      n: "i32",
      phase: "i32",
    },
    notes: {
      stride: "also columns of x",
      wholes: "f32 *[ranks], each [n][ranks][stride]",
      marks: "i32 *[ranks], each [ranks][256], 0 at first",
      ...AMONG_NOTES,
    },
    grid: "(min(ceil(n * stride / 2048), 128))",
    blocks: ({ n, stride }) => [Math.min(Math.ceil(n * stride / 2048), 128), 1, 1],
    meaning: "wholes_q[i][rank] = x[i] for every rank q",
  }),
  exchangeArgmax: signature({
    section: "rows",
    names: ["exchange_argmax"],
    arguments: {
      logits: "const f32*",
      stride: "i64",
      inboxes: "const void*",
      ...AMONG,
      turns: "i32*",
      columns: "i32",
      first: "i32",
      picked: "i32*",
      rows: "i32",
      phase: "i32",
    },
    notes: {
      first: "id of the rank's first column",
      inboxes: "as of `exchange_ranks`, with which it shares them",
      turns: "the same",
      ...AMONG_NOTES,
    },
    grid: "(rows)",
    blocks: ({ rows }) => [rows, 1, 1],
    meaning: "what `argmax` picks of all ranks' columns; at most 128 rows",
  }),
  exchangeNormRoute: signature({
    section: "rows",
    names: ["exchange_norm_route_F"],
    arguments: ROUTED,
    notes: ROUTED_NOTES,
    grid: "(tiles(router.rows), n)",
    blocks: ({ router, n }, traits) => [rowTiles(router.rows, traits), n, 1],
    staged: ({ router }) => ({ cols: router.cols, rows: 1 }),
    meaning:
      "`exchange_ranks` of x, added to h, then `norm_route_F_split` of h, which `in` names; at most 64 rows of 4,096",
  }),
  exchangeNormRouteCluster: signature({
    section: "rows",
    names: ["exchange_norm_route_F_cluster"],
    arguments: ROUTED,
    notes: { ...ROUTED_NOTES, counters: "not used" },
    grid: "(tiles(router.rows), n)",
    blocks: ({ router, n }, traits) => [rowTiles(router.rows, traits), n, 1],
    staged: ({ router }) => ({ cols: router.cols, rows: 1 }),
    cluster: true,
    meaning: "the same of rows of at most 3,072 by up to eight blocks a token, which are a cluster",
  }),
} as const;
