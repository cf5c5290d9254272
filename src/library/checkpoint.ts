/**
 * Opens GPT-OSS checkpoints, and decides which number format each of their linears is computed in.
 *
 * @module
 */
import { type LayoutName, openCheckpoint as open } from "../checkpoint/checkpoint.ts";
import { findModel } from "../checkpoint/hub/find.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { Plan } from "../plan/plan.ts";
import { refuseOtherThanText } from "./known.ts";
import { behind, remember } from "./opened.ts";
import { plannedSetting, type PlanOptions } from "./setting.ts";

export type { LayoutName } from "../checkpoint/checkpoint.ts";
export type { ModelConfig, RopeConfig } from "../checkpoint/model_config.ts";
export type { Plan, PlannedLinear } from "../plan/plan.ts";
export { SCHEME_NAMES, type SchemeName } from "../plan/scheme.ts";
export { FP8_SCALES, type Fp8Scales } from "../plan/static_scales.ts";
export type { PlanOptions } from "./setting.ts";

/** An opened checkpoint: config and places of tensors were validated, no weights are held, and no file stays open. */
export interface Checkpoint {
  /** The directory as it was given, without a slash at its end. */
  readonly directory: string;
  /** How its tensors are named and packed, which is found out by looking. */
  readonly layout: LayoutName;
  /** Hyperparameters of the model. */
  readonly config: ModelConfig;
  /** One line for each oddity that does not change the model. */
  readonly warnings: readonly string[];
}

/**
 * Opens a checkpoint directory of GPT-OSS in any layout: Hugging Face's MXFP4 or bf16, OpenAI's own, AMD Quark's.
 * Headers, config, scales and routers are read and checked; weights are not loaded.
 *
 * @param model A directory with config.json and safetensors files, or the name `org/name[@revision]` of one in the
 *   Hugging Face cache, whose place is asked of the environment.
 * @returns The checkpoint, for {@linkcode plan} and for `openSession()` of `@mxoss/mxoss/session`.
 * @throws {InputError} in one line, if it is no checkpoint of GPT-OSS, is incomplete or contradicts itself.
 * @throws {TypeError} if `model` is no string.
 *
 * @example
 * ```ts
 * import { openCheckpoint } from "@mxoss/mxoss/checkpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const { layout, config } = openCheckpoint("models/tiny-gpt-oss");
 * assertEquals([layout, config.layers, config.experts], ["hf_mxfp4", 4, 16]);
 * ```
 */
export function openCheckpoint(model: string): Checkpoint {
  refuseOtherThanText("model", model);
  const opened = open(findModel(model));
  const { dir, layout, config, warnings } = opened;
  // Copies: what a caller changes in them is not what is computed.
  return remember({ directory: dir, layout, config: structuredClone(config), warnings: [...warnings] }, opened);
}

/**
 * Decides the number format of every linear's weight and input, and of the cache, from what the tensors are, what
 * `quantization_config` says and what is chosen. Nothing is loaded.
 *
 * @param checkpoint What {@linkcode openCheckpoint} returned.
 * @param options The choices.
 * @returns The format of every linear, what decided it, and warnings, one line each.
 * @throws {InputError} if checkpoint and choices do not make a model that can be computed.
 * @throws {TypeError} if `checkpoint` is not of {@linkcode openCheckpoint}.
 *
 * @example
 * ```ts
 * import { openCheckpoint, plan } from "@mxoss/mxoss/checkpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const { linears } = plan(openCheckpoint("models/tiny-gpt-oss"), { scheme: "w_mxfp4_a_mxfp4" });
 * const down = linears.find(({ module }) => module.endsWith("down_proj"))!;
 * assertEquals([down.weight, down.input], ["mxfp4", { kind: "mx", element: "e2m1", rule: "even" }]);
 * ```
 */
export function plan(checkpoint: Checkpoint, options: PlanOptions = {}): Plan {
  return plannedSetting(behind(checkpoint), options).planned.plan;
}
