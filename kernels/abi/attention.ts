/** Attention over the caches, and what follows the logits: picking tokens, and the next step. */
import { OUT, PLACE, signature } from "./signature.ts";

const ATTENTION = {
  ...OUT,
  q: "const f32*",
  qStride: "i32",
  cache: "MxCache",
  ...PLACE,
  sinks: "const void*",
  sinksFormat: "format",
  round: "flag",
  n: "i32",
} as const;

/** Attention. */
export const ATTENTIONS = {
  attention: signature({
    section: "attention",
    names: ["attention"],
    arguments: ATTENTION,
    grid: "(heads, n)",
    blocks: ({ cache, n }) => [cache.heads, n, 1],
  }),
  attentionBatch: signature({
    section: "attention",
    names: ["attention_batch"],
    arguments: {
      ...ATTENTION,
      out: "f32*|0",
      parts: "i32",
      partial: "f32*|0",
      counters: "i32*|0",
      newK: "const f32*|0",
      newKStride: "i32",
      newV: "const f32*|0",
      newVStride: "i32",
      cos: "const f32*|0",
      sin: "const f32*|0",
      outBf16: "u16*|0",
      bf16Stride: "i32",
      order: "order",
    },
    notes: { counters: "[n * kv_heads], 0 before and after", outBf16: "as `qdq` writes bf16" },
    grid: "(kv_heads, n, parts)",
    blocks: ({ cache, n, parts }) => [cache.kvHeads, n, parts],
  }),
  attentionSplit: signature({
    section: "attention",
    names: ["attention_split"],
    arguments: {
      partial: "f32*",
      q: "const f32*",
      qStride: "i32",
      cache: "MxCache",
      ...PLACE,
      splits: "i32",
      n: "i32",
    },
    // A block serves eight query heads of a kv head.
    grid: "(splits, kv_heads * ceil(heads / kv_heads / 8), n)",
    blocks: ({ splits, cache, n }) => [splits, cache.kvHeads * Math.ceil(cache.heads / cache.kvHeads / 8), n],
  }),
  attentionStep: signature({
    section: "attention",
    names: ["attention_step"],
    arguments: {
      ...OUT,
      partial: "f32*",
      q: "const f32*",
      qStride: "i32",
      k: "const f32*",
      kStride: "i32",
      v: "const f32*",
      vStride: "i32",
      cos: "const f32*",
      sin: "const f32*",
      cache: "MxCache",
      ...PLACE,
      sinks: "const void*",
      sinksFormat: "format",
      splits: "i32",
      round: "flag",
      n: "i32",
      counters: "i32*",
    },
    notes: { counters: "[n * grid.y], 0 before and after" },
    grid: "(splits, kv_heads * ceil(heads / kv_heads / 8), n)",
    blocks: ({ splits, cache, n }) => [splits, cache.kvHeads * Math.ceil(cache.heads / cache.kvHeads / 8), n],
  }),
  attentionReduce: signature({
    section: "attention",
    names: ["attention_reduce"],
    arguments: {
      ...OUT,
      partial: "const f32*",
      sinks: "const void*",
      sinksFormat: "format",
      heads: "i32",
      headDim: "i32",
      splits: "i32",
      round: "flag",
      n: "i32",
    },
    grid: "(heads, n)",
    blocks: ({ heads, n }) => [heads, n, 1],
  }),
  attentionTile: signature({
    section: "attention",
    names: ["attention_tile", "attention_tile_mma"],
    arguments: { ...ATTENTION, tiles: "const i32*", tileCount: "i32" },
    grid: "(tile_count, kv_heads)",
    blocks: ({ tileCount, cache }) => [tileCount, cache.kvHeads, 1],
  }),
} as const;

/** Blocks that share the logits of a row, where several do. */
export const PICK_BLOCKS = 32;
/** Launches of `sample_split` that pick a row's token, and what a row needs between them, in words of 4 bytes. */
export const SAMPLE_STAGES = 4;
export const SAMPLE_STATE_WORDS = 21_548;

const SAMPLE = {
  logits: "const f32*",
  stride: "i64",
  vocab: "i32",
  params: "const f32*",
  uniforms: "const f32*",
  uniformStride: "i32",
  positions: "const i32*",
  picked: "i32*",
} as const;

/** Picking of tokens, and the step to the next ones. */
export const PICKING = {
  argmax: signature({
    section: "picking",
    names: ["argmax"],
    arguments: { logits: "const f32*", stride: "i64", vocab: "i32", picked: "i32*", sums: "f32*|0", rows: "i32" },
    notes: { sums: "of e^(logit - largest)" },
    grid: "(rows)",
    blocks: ({ rows }) => [rows, 1, 1],
  }),
  argmaxSplit: signature({
    section: "picking",
    names: ["argmax_split"],
    arguments: {
      logits: "const f32*",
      stride: "i64",
      vocab: "i32",
      picked: "i32*",
      partial: "i32*",
      counters: "i32*",
      rows: "i32",
    },
    notes: { partial: `[rows * ${PICK_BLOCKS}]`, counters: "[rows], 0 before and after" },
    grid: `(${PICK_BLOCKS}, rows)`,
    blocks: ({ rows }) => [PICK_BLOCKS, rows, 1],
  }),
  sample: signature({
    section: "picking",
    names: ["sample"],
    arguments: { ...SAMPLE, rows: "i32" },
    grid: "(rows)",
    blocks: ({ rows }) => [rows, 1, 1],
  }),
  sampleSplit: signature({
    section: "picking",
    names: ["sample_split"],
    arguments: { ...SAMPLE, states: "i32*", stage: "i32", rows: "i32" },
    notes: { states: `[rows * ${SAMPLE_STATE_WORDS}], 0 before the first launch`, stage: "0 to 3, a launch each" },
    grid: `(${PICK_BLOCKS}, rows)`,
    blocks: ({ rows }) => [PICK_BLOCKS, rows, 1],
  }),
  advance: signature({
    section: "picking",
    names: ["advance"],
    arguments: {
      ids: "i32*",
      positions: "i32*",
      picked: "const i32*",
      history: "i32*",
      step: "i32*",
      historyCapacity: "i32",
      n: "i32",
    },
    grid: "(1)",
    blocks: () => [1, 1, 1],
  }),
} as const;
