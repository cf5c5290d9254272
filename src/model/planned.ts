/** A checkpoint with every number format decided: what sessions are opened from. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { ModelSource } from "../checkpoint/source.ts";
import type { Dtype } from "../quant/format.ts";
import { makePlan, type Plan } from "../quant/plan.ts";
import { storedLinears, withPlan } from "../quant/plan_source.ts";

/** The choices that formats depend on. */
export interface PlanOptions {
  readonly dtype: Dtype;
  /** `auto`: as the checkpoint says, else the dtype. */
  readonly kvCacheDtype: "auto" | "bf16" | "fp8";
  /** A scheme whose input formats replace the checkpoint's. */
  readonly scheme?: string;
  /** Calibrated input scales by module; see `PlanRequest.inputScales`. */
  readonly inputScales?: ReadonlyMap<string, number>;
}

/** The plan, and the checkpoint's file ranges with what happens to the inputs of linears. */
export interface PlannedModel {
  readonly plan: Plan;
  readonly source: ModelSource;
}

/**
 * Decides every number format, before anything is loaded.
 *
 * @throws {InputError} where the checkpoint and the choices do not make a model that can be computed.
 */
export function planModel(checkpoint: Checkpoint, options: PlanOptions): PlannedModel {
  const { dtype, kvCacheDtype, scheme, inputScales } = options;
  const plan = makePlan({
    linears: storedLinears(checkpoint.source),
    quantization: checkpoint.quantization,
    configPath: checkpoint.files.config,
    dtype,
    kvCacheDtype,
    kvScales: { layers: checkpoint.source.kvScales.length, stored: checkpoint.source.storedKvScales ?? 0 },
    ...(scheme === undefined ? {} : { scheme }),
    ...(inputScales === undefined ? {} : { inputScales }),
  });
  return { plan, source: withPlan(checkpoint.source, plan) };
}
