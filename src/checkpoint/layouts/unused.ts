/**
 * Tensors that no layout reads. A checkpoint with one whose part in the model is not known is refused: without it the
 * model might be another one. Known are a table that follows from the config, whose numbers are compared with it, and
 * heads of which the config says that they draft tokens.
 */
import { InputError } from "../../errors.ts";
import { firstOf, printable } from "../../describe.ts";
import type { StoredTensor } from "../files.ts";
import { inverseFrequencies } from "../frequencies.ts";
import type { ModelConfig } from "../model_config.ts";
import type { TensorSet } from "../tensor_set.ts";
import { ScaleReader } from "./values.ts";

/** The rotary embedding's table, which old files hold and which follows from the config. */
const TABLE = /(?:^|\.)rotary_emb\.(?:original_)?inv_freq$/;
/** Names of heads that predict tokens after the next one, of the last layer's output: no logits depend on them. */
const DRAFTS = /^(?:model\.)?mtp\./;
/** Quantization that no layout reads, wherever it stands. */
const OTHER_STAGE = /_zero_point(?:_2)?$|_scale_2$/;

/** How far stored angles may be from those of the config: rounding to their dtype, and sums in float32. */
const NEAR: Readonly<Record<string, number>> = { BF16: 2 ** -8, F16: 2 ** -10, F32: 1e-5, F64: 1e-5 };
/** Half of float16's smallest number above 0: angles of the slow pairs are about as small. */
const HALF_STEP = 2 ** -25;

/**
 * The warning about tensors that the layout did not read.
 *
 * @param hasDrafts Whether the config says that the model has heads that draft tokens; the name alone does not.
 * @returns One line, or null.
 * @throws {InputError} naming a tensor that changes the model's results, or may: of further layers or experts, of
 *   quantizations that are not supported, a table of other angles, or anything that is not known.
 */
export function checkUnused(tensors: TensorSet, config: ModelConfig, hasDrafts: boolean): string | null {
  const drafts: string[] = [];
  using reader = new ScaleReader(tensors);
  for (const name of tensors.unused()) {
    if (hasDrafts && DRAFTS.test(name)) {
      drafts.push(printable(name));
      continue;
    }
    const tensor = tensors.find(name)!;
    const subject = { file: tensors.pathOf(tensor), tensor: printable(name) };
    const layer = Number(/^(?:model\.layers|block)\.(\d+)\./.exec(name)?.[1] ?? -1);
    if (layer >= config.layers) {
      throw InputError.of("wrong_value", subject, `${config.layers} layers (num_hidden_layers)`, "another one");
    }
    const expert = Number(/\.mlp\.experts\.(\d+)\./.exec(name)?.[1] ?? -1);
    if (expert >= config.experts) {
      throw InputError.of("wrong_value", subject, `${config.experts} experts (num_local_experts)`, "another one");
    }
    if (OTHER_STAGE.test(name)) {
      const got = name.endsWith("_2") ? "a second stage" : "a zero point";
      throw InputError.of("wrong_value", subject, "symmetric quantization in one stage", got);
    }
    if (TABLE.test(name)) checkTable(tensors, tensor, reader, config);
    else {
      throw InputError.of("unsupported", subject, "none of that name", "one: what it does to the model is not known");
    }
  }
  if (drafts.length === 0) return null;
  const rest = "not read: they draft tokens after the next one, and no logits depend on them";
  return `${tensors.place}: ${firstOf(drafts)} ${rest}`;
}

/** Compares a table of the rotary embedding with the angles of the config. */
function checkTable(
  tensors: TensorSet,
  tensor: StoredTensor,
  reader: ScaleReader,
  { headDim, rope }: ModelConfig,
): void {
  const angles = inverseFrequencies(headDim, rope), stored = reader.numbers(tensor, [angles.length]);
  const near = NEAR[tensor.dtype]!, step = tensor.dtype === "F16" ? HALF_STEP : 0;
  // NaN is near nothing.
  const other = stored.findIndex((x, i) => !(Math.abs(x - angles[i]!) <= near * angles[i]! + step));
  if (other < 0) return;
  throw InputError.of(
    "contradiction",
    { file: tensors.pathOf(tensor), tensor: printable(tensor.name) },
    `${Math.fround(angles[other]!)} at element ${other}, which follows from the config`,
    stored[other]!,
  );
}
