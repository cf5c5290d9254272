/** A checkpoint with every number format decided: what sessions are opened from. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { allLinears, type ModelSource } from "../checkpoint/source.ts";
import type { Dtype } from "../formats/format.ts";
import { NEVER_QUANTIZED } from "../checkpoint/quark/module_names.ts";
import { makePlan, type Plan } from "./plan.ts";
import { storedLinears, withPlan } from "./plan_source.ts";
import { refuseRotated } from "./rotation.ts";
import type { Fp8Scales } from "./static_scales.ts";

/** The choices that formats depend on. */
export interface PlanOptions {
  readonly dtype: Dtype;
  /** `auto`: as the checkpoint says, else the dtype. */
  readonly kvCacheDtype: "auto" | "bf16" | "fp8";
  /**
   * A scheme whose input formats replace the checkpoint's; experts in other formats than its weights are converted
   * while they are loaded.
   */
  readonly scheme?: string;
  /** Calibrated input scales by module; see `PlanRequest.inputScales`. */
  readonly inputScales?: ReadonlyMap<string, number>;
  /** Which static scale an expert's input has; default `merged`. */
  readonly fp8Scales?: Fp8Scales;
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
  const { dtype, kvCacheDtype, scheme, inputScales, fp8Scales } = options;
  const plan = makePlan({
    linears: storedLinears(checkpoint.source),
    quantization: checkpoint.quantization,
    conversions: checkpoint.conversions,
    hasQuarkNames: checkpoint.layout === "quark",
    configPath: checkpoint.files.config,
    dtype,
    kvCacheDtype,
    kvScales: { layers: checkpoint.source.kvScales.length, stored: checkpoint.source.storedKvScales ?? 0 },
    ...(checkpoint.source.attentionScales ? { attentionScales: checkpoint.source.attentionScales } : {}),
    ...(scheme === undefined ? {} : { scheme }),
    ...(inputScales === undefined ? {} : { inputScales }),
    ...(fp8Scales === undefined ? {} : { fp8Scales }),
  });
  return { plan, source: withPlan(checkpoint.source, plan) };
}

/**
 * The input scales of a plan that is made before calibration: linears whose scale the checkpoint lacks have one from
 * `measured`, or 1 for the time being; but not routers and the head, which are not measured.
 */
export function missingScales(
  { source }: Pick<Checkpoint, "source">,
  measured: ReadonlyMap<string, number> | null = null,
): ReadonlyMap<string, number> {
  const missing = storedLinears(source).filter(({ inputScale, module }) =>
    inputScale === null && !NEVER_QUANTIZED.test(module)
  );
  return new Map(missing.map(({ module }) => [module, measured?.get(module) ?? 1]));
}

/** Of the input scales that were measured, by module, those that the checkpoint lacks. */
export function lackedScales(
  checkpoint: Pick<Checkpoint, "source">,
  measured: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const lacking = missingScales(checkpoint);
  return new Map([...measured].filter(([module]) => lacking.has(module)));
}

/**
 * The model with inputs, keys and values as they are, whatever the checkpoint's own scheme and whatever cache is asked
 * for: what calibration looks at, so that settings which differ in their caches have the same scales.
 *
 * @throws {InputError} as {@linkcode planModel}, but for static inputs that lack their scales; and for inputs that are
 *   rotated before they are quantized, of which an observer of operations sees nothing.
 */
export function planUncalibrated(
  checkpoint: Checkpoint,
  { dtype }: Pick<PlanOptions, "dtype">,
): PlannedModel {
  refuseRotation(checkpoint.source, "calibration");
  const { plan } = planModel(checkpoint, { dtype, kvCacheDtype: "bf16", inputScales: missingScales(checkpoint) });
  return { plan: { ...plan, kvFormat: dtype }, source: checkpoint.source };
}

/**
 * Refuses a model whose inputs are rotated online.
 *
 * @param what What cannot be done with it: `calibration`, `quantize`.
 * @throws {InputError} naming the linear.
 */
export function refuseRotation(source: ModelSource, what: string): void {
  const rotated = allLinears(source.tree).find(({ rotation }) => rotation !== undefined);
  if (rotated === undefined) return;
  refuseRotated(rotated.module!, rotated.rotation!.size, what);
}
