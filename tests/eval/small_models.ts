/** Small random models for tests of what compares weights. */
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { type Layout, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import type { WeightDivergence } from "../../src/eval/weight_errors.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import type { TemporaryDirectory } from "../checkpoint/container.ts";

export const SHAPE = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 96, experts: 3, topK: 2, vocab: 40 };
export const FORMATS = { dtype: "bf16", kvCacheDtype: "auto" } as const;

/** Writes one of {@linkcode SHAPE} and opens it. */
export function open(dir: TemporaryDirectory, layout: Layout, seed: number): Checkpoint {
  writeRandomCheckpoint(dir.path, { shape: SHAPE, layout, seed });
  return openCheckpoint(dir.path);
}

/** What was found of an operation, which was compared. */
export const find = (all: readonly WeightDivergence[], layer: number, operation: string): WeightDivergence =>
  all.find((one) => one.layer === layer && one.operation === operation)!;
