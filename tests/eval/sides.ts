/** Opened settings for tests of comparisons. */
import type { Divergence, Side } from "../../src/eval/comparison.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { LinearSource } from "../../src/checkpoint/source.ts";
import type { InputFormat } from "../../src/formats/input.ts";
import { compareSides, type DivergenceOptions } from "../../src/eval/divergence.ts";
import { openSession, type SessionOptions } from "../session/open_session.ts";
import { planModel } from "../../src/plan/planned.ts";
import { integers, readGolden } from "../golden.ts";

/** Directory of the embedded model. */
export const TINY = new URL("../../models/tiny-gpt-oss", import.meta.url).pathname;

/** 210 tokens: two problems with their answers. */
export const TWO_TURNS: Int32Array = Int32Array.from(integers(readGolden("logits.safetensors"), "two_turns.ids"));

/** Opens a checkpoint as one side of a comparison; the caller closes its session. */
export async function openSide(
  checkpoint: Checkpoint = openCheckpoint(TINY),
  options: Partial<SessionOptions> = {},
): Promise<Side> {
  const all: SessionOptions = {
    backend: "emulate",
    dtype: "f32",
    kvCacheDtype: "auto",
    context: 256,
    slots: 2,
    maxTokens: 64,
    threads: 2,
    ...options,
  };
  // The source as it is: tests change the inputs of linears by hand.
  const planned = { ...planModel(checkpoint, all), source: checkpoint.source };
  return {
    session: await openSession(checkpoint, { ...all, planned }),
    config: checkpoint.config,
    source: checkpoint.source,
    dtype: all.dtype,
    kvFormat: all.kvCacheDtype === "auto" ? all.dtype : all.kvCacheDtype,
    engine: `${all.backend} ${all.tp ?? 1} ${all.ep ?? 1}`,
  };
}

/** The embedded model with quantized inputs of the expert GEMMs. */
export function quantized(input: (layer: number, gemm: 0 | 1) => InputFormat) {
  const checkpoint = openCheckpoint(TINY);
  const { tree } = checkpoint.source;
  const layers = tree.layers.map((layer, l) => {
    const all = (linears: readonly LinearSource[], gemm: 0 | 1) =>
      linears.map((linear) => ({ ...linear, input: input(l, gemm) }));
    return { ...layer, gateUp: all(layer.gateUp, 0), down: all(layer.down, 1) };
  });
  return { ...checkpoint, source: { ...checkpoint.source, tree: { ...tree, layers } } };
}

/** Compares two sides on {@linkcode TWO_TURNS} and closes them. */
export async function compared(
  a: Promise<Side>,
  b: Promise<Side>,
  sequences: readonly Int32Array[] = [TWO_TURNS],
  options: Partial<DivergenceOptions> = {},
  replyFrom: number | null = null,
): Promise<Divergence> {
  const sides = await Promise.all([a, b]);
  try {
    const all = sequences.map((tokens) => ({ tokens, replyFrom }));
    return await compareSides(...sides, all, { alarm: 1e-2, ...options });
  } finally {
    for (const { session } of sides) await session.close();
  }
}
