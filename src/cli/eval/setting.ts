/** One setting of an evaluation or comparison: from its options to an opened model. */
import type { Side } from "../../eval/comparison.ts";
import { createHash } from "node:crypto";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { refuseChanged } from "../../checkpoint/identity.ts";
import { InputError } from "../../errors.ts";
import type { SettingProtocol } from "../../eval/results_schema.ts";
import { weightsSha256 } from "../../checkpoint/weights_hash.ts";
import { type BackendName, openSession } from "../../session/open.ts";
import { planModel, type PlannedModel } from "../../plan/planned.ts";
import type { Dtype } from "../../formats/format.ts";
import type { Fp8Scales } from "../../plan/static_scales.ts";
import { ProgressBar } from "../progress.ts";
import { note } from "../terminal.ts";

/** How a model is computed. */
export interface Setting {
  readonly checkpoint: Checkpoint;
  /** Name of a scheme; null: as the checkpoint is. */
  readonly scheme: string | null;
  readonly backend: BackendName;
  readonly dtype: Dtype;
  readonly kvCacheDtype: "auto" | "bf16" | "fp8";
  /** Which static scale an expert's input has. */
  readonly fp8Scales: Fp8Scales;
  readonly tp: number;
  readonly ep: number;
  readonly threads: number | undefined;
  readonly weights: "auto" | "map" | "read";
  /** Input scales that the checkpoint may lack. */
  readonly inputScales: CalibratedScales | null;
}

/** Scales of static FP8 inputs. */
export interface CalibratedScales {
  /** By module; see `PlanRequest.inputScales`. */
  readonly scales: ReadonlyMap<string, number>;
  /** What they were measured on, in words. */
  readonly from: string;
}

/** What the session has room for. */
export interface SettingRoom {
  readonly slots: number;
  readonly context: number;
  /** Tokens of one batch. */
  readonly chunk: number;
}

/** A setting whose formats are decided: nothing about it is left to be refused but what loading finds. */
export interface PlannedSetting extends Setting {
  readonly planned: PlannedModel;
}

/**
 * Decides every number format of a setting; the plan's warnings go to stderr, each once.
 *
 * @throws {InputError} where checkpoint and scheme do not make a model that can be computed.
 */
export function planSetting(setting: Setting): PlannedSetting {
  const { checkpoint, scheme, inputScales, kvCacheDtype, dtype, fp8Scales } = setting;
  try {
    const planned = planModel(checkpoint, {
      kvCacheDtype,
      dtype,
      fp8Scales,
      ...(scheme === null ? {} : { scheme }),
      ...(inputScales === null ? {} : { inputScales: inputScales.scales }),
    });
    planned.plan.warnings.forEach(warn);
    return { ...setting, planned };
  } catch (thrown) {
    if (inputScales !== null || !(thrown instanceof InputError) || !/calibrated scale/.test(thrown.message)) {
      throw thrown;
    }
    throw new InputError(`${thrown.message}, or --calibrate F measures them here`);
  }
}

/** Loads a setting, with a progress bar where that takes long; the caller closes the session. */
export async function openSetting(setting: PlannedSetting, room: SettingRoom): Promise<Side> {
  const { checkpoint, planned, backend, dtype, kvCacheDtype, tp, ep, weights, threads } = setting;
  using bar = new ProgressBar("loading");
  const session = await openSession(checkpoint, {
    planned,
    backend,
    dtype,
    kvCacheDtype,
    tp,
    ep,
    weights,
    context: room.context,
    slots: room.slots,
    maxTokens: room.chunk,
    ...(threads === undefined ? {} : { threads }),
    onProgress: (done, total) => bar.update(done, total),
  });
  return {
    session,
    config: checkpoint.config,
    source: planned.source,
    dtype,
    kvFormat: planned.plan.kvFormat,
    engine: `${backend}, tp ${tp}, ep ${ep}`,
  };
}

/**
 * A store that keeps nothing that was computed with other weights than the protocol names.
 *
 * @throws {InputError} from `append`, if a file of the setting's checkpoint is no longer as it was opened.
 */
export function guarded<T>(
  { checkpoint }: Setting,
  store: { readonly entries: ReadonlyMap<number, T>; append(entry: T): void },
): { readonly entries: ReadonlyMap<number, T>; append(entry: T): void } {
  return {
    get entries() {
      return store.entries;
    },
    append: (entry) => {
      refuseChanged(checkpoint.identity);
      store.append(entry);
    },
  };
}

/** Lines about plans that were said already: settings of the same checkpoint have the same. */
const said = new Set<string>();

function warn(line: string): void {
  if (!said.has(line)) note(`warning: ${line}`);
  said.add(line);
}

/** Hashes of weight files by what identifies them: computed once, however many settings share them. */
const hashes = new Map<string, string>();

/** What goes with every number of a setting. */
export async function settingProtocol(setting: PlannedSetting): Promise<SettingProtocol> {
  const { checkpoint, planned: { plan }, inputScales } = setting;
  const { files } = checkpoint.source;
  const key = JSON.stringify(checkpoint.identity);
  if (!hashes.has(key)) {
    using bar = new ProgressBar("hashing weights");
    hashes.set(key, weightsSha256(files, (done, total) => bar.update(done, total)));
  }
  refuseChanged(checkpoint.identity);
  const formats = plan.linears.map(({ module, weight, weightScale, input }) => [module, weight, weightScale, input]);
  return {
    model: checkpoint.dir,
    layout: checkpoint.layout,
    fingerprint: await checkpoint.fingerprint(),
    weights_sha256: hashes.get(key)!,
    scheme: plan.scheme,
    scale_rule: plan.scaleRule,
    formats_sha256: createHash("sha256").update(JSON.stringify(formats)).digest("hex"),
    calibrated_on: plan.linears.some((l) => l.inputScaleFrom === "calibration") ? inputScales!.from : null,
    backend: setting.backend,
    dtype: setting.dtype,
    kv_cache_dtype: plan.kvFormat,
    tp: setting.tp,
    ep: setting.ep,
    threads: setting.threads ?? navigator.hardwareConcurrency,
  };
}
