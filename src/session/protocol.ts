/** What made a result: the block that goes with every reported number. */
import { createHash } from "../node_crypto.ts";
import { conversionsText } from "../checkpoint/conversions.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import { snapshotName } from "../checkpoint/hub/repository.ts";
import { printableLine } from "../printable.ts";
import type { Session } from "./session.ts";
import type { PlannedSetting, Setting } from "./setting.ts";

/** What a numerical result depends on. */
export interface Protocol {
  /** Directory of the checkpoint, as it was given. */
  readonly model: string;
  /** `org/name@commit` where the directory is a snapshot in a Hugging Face cache; absent elsewhere. */
  readonly snapshot?: string;
  readonly layout: string;
  /** See `FINGERPRINT_COVERS`. */
  readonly fingerprint: string;
  /** What the experts have: one scheme, or several joined by " + ". */
  readonly scheme: string;
  /** Rule of the scales of MX inputs: see `Plan.scaleRule`. */
  readonly scale_rule: string | null;
  readonly backend: string;
  readonly dtype: string;
  readonly kv_cache_dtype: string;
  readonly tp: number;
  readonly ep: number;
}

/** A protocol that also proves the weights and every number format: that of results which are kept and compared. */
export interface FullProtocol extends Protocol {
  /** SHA-256 of the weight files, one after the other. */
  readonly weights_sha256: string;
  /** Formats that experts are stored in, where they are converted while they are loaded; joined by " + ". */
  readonly converted_from: string | null;
  /** Conversions of the stored weights that config.json names, in words; absent where it names none. */
  readonly converted_before?: string;
  /** SHA-256 of the list of all linears with their weight and input formats. */
  readonly formats_sha256: string;
  /** What static input scales were measured on, where the checkpoint has none. */
  readonly calibrated_on: string | null;
  readonly threads: number;
}

/** How a result was computed, without any bearing on it. */
export interface Machinery {
  readonly threads: number;
  readonly chunk: number;
  /** The backend's own words, for instance "wasm simd128, 2 threads, weights mapped". */
  readonly engine: string;
}

/** The protocol of what a setting computes. */
export async function protocolOf({ checkpoint, planned: { plan }, ...setting }: PlannedSetting): Promise<Protocol> {
  const snapshot = snapshotName(checkpoint.dir);
  return {
    model: checkpoint.dir,
    ...(snapshot === null ? {} : { snapshot }),
    layout: checkpoint.layout,
    fingerprint: await checkpoint.fingerprint(),
    scheme: plan.scheme,
    scale_rule: plan.scaleRule,
    backend: setting.backend,
    dtype: setting.dtype,
    kv_cache_dtype: plan.kvFormat,
    tp: setting.tp,
    ep: setting.ep,
  };
}

/**
 * The protocol with hashes of all weights, which are read once for a checkpoint, and of all formats.
 *
 * @param onProgress Called with the weights' bytes that are hashed, and all of them.
 * @throws {InputError} if a file of the checkpoint is no longer as it was opened.
 */
export async function fullProtocolOf(
  setting: PlannedSetting,
  onProgress?: (done: number, total: number) => void,
): Promise<FullProtocol> {
  const { checkpoint } = setting, weights = checkpoint.weightsSha256(onProgress);
  refuseChanged(checkpoint.identity);
  return await protocolWith(weights, setting);
}

/** {@linkcode fullProtocolOf} of an estimate, which hashes no weights: their hash is empty. */
export async function unhashedProtocolOf(setting: PlannedSetting): Promise<FullProtocol> {
  return await protocolWith("", setting);
}

async function protocolWith(weights: string, setting: PlannedSetting): Promise<FullProtocol> {
  const { checkpoint: { conversions }, planned: { plan }, inputScales } = setting;
  const storedFormats = new Set(plan.linears.flatMap(({ storedAs }) => storedAs === null ? [] : [storedAs.format]));
  const formats = plan.linears.map(({ module, weight, weightScale, input }) => [module, weight, weightScale, input]);
  const { model, snapshot, layout, fingerprint, scheme, scale_rule, ...computed } = await protocolOf(setting);
  return {
    ...{
      model,
      ...(snapshot === undefined ? {} : { snapshot }),
      layout,
      fingerprint,
      weights_sha256: weights,
      scheme,
      scale_rule,
    },
    converted_from: storedFormats.size === 0 ? null : [...storedFormats].join(" + "),
    ...(conversions.length === 0 ? {} : { converted_before: printableLine(conversionsText(conversions)) }),
    formats_sha256: createHash("sha256").update(JSON.stringify(formats)).digest("hex"),
    calibrated_on: plan.linears.some((l) => l.inputScaleFrom === "calibration") ? inputScales!.from : null,
    ...computed,
    threads: threadsOf(setting),
  };
}

/** How a session of one sequence computes. */
export function machineryOf(setting: PlannedSetting, session: Session): Machinery {
  return { threads: threadsOf(setting), chunk: setting.promptChunk, engine: session.engine.info.description };
}

function threadsOf({ threads }: Setting): number {
  return threads ?? navigator.hardwareConcurrency;
}
