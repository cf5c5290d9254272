/** A small model of random weights on the test library. */
import { openHip } from "../../../ffi/hip.ts";
import { GpuEngine } from "../../../src/backends/gpu/engine.ts";
import { type GpuOptions, openGpu } from "../../../src/backends/gpu/open.ts";
import type { Batch, OpenRequest } from "../../../src/model/backend.ts";
import { type TensorName, workspace } from "../../../src/model/gpt_oss.ts";
import type { RandomModel } from "../random_model.ts";

/** What a backend is opened with, unless said otherwise. */
export function requestFor({ config, source }: RandomModel, more: Partial<OpenRequest> = {}): OpenRequest<TensorName> {
  return {
    source,
    config,
    dtype: "f32",
    kvFormat: "f32",
    maxTokens: 32,
    slots: 3,
    context: 64,
    ...more,
    tensors: workspace(config, source),
  };
}

/** Opens a model on the test library at `library`. */
export async function openEngine(
  library: string,
  model: RandomModel,
  options: GpuOptions,
  more: Partial<OpenRequest> = {},
): Promise<GpuEngine> {
  return new GpuEngine(await openGpu(requestFor(model, more), openHip(library), options), model.config);
}

/** One token each of several sequences. */
export function batchOf(...tokens: readonly (readonly [slot: number, position: number, id: number])[]): Batch {
  return {
    ids: Int32Array.from(tokens, ([, , id]) => id),
    slots: Int32Array.from(tokens, ([slot]) => slot),
    positions: Int32Array.from(tokens, ([, position]) => position),
  };
}

/** `count` tokens of a slot. */
export function sequence(slot: number, count: number, vocab: number, from = 0): Batch {
  return batchOf(...Array.from({ length: count }, (_, i) => [slot, from + i, (11 * (from + i) + 5) % vocab] as const));
}

/** Logits of all rows asked for, copied. */
export async function logitsOf(engine: GpuEngine, batch: Batch, rows: readonly number[]): Promise<Float32Array[]> {
  const seen: Float32Array[] = [];
  await engine.compute(batch, Int32Array.from(rows), (_row, logits) => seen.push(logits.slice()));
  return seen;
}

/** Index of the largest number. */
export const largest = (values: Float32Array): number => values.reduce((best, x, i) => x > values[best]! ? i : best, 0);
