/**
 * A setting: a checkpoint and every choice about how it is computed. All commands go one road: a setting is made of
 * their options, planned, opened (see open.ts), and written down beside what it computed (see protocol.ts). Nothing
 * here prints.
 */
import { counted } from "../amounts.ts";
import { PROCESSOR_BACKENDS } from "../parallel/open_backend.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { refuseSizes } from "../checkpoint/shard.ts";
import type { ModelSource } from "../checkpoint/source.ts";
import { InputError } from "../errors.ts";
import type { Dtype } from "../formats/format.ts";
import { onGpus } from "../formats/input.ts";
import { planModel, type PlannedModel, planUncalibrated } from "../plan/planned.ts";
import type { Fp8Scales } from "../plan/static_scales.ts";
import { option, words } from "../words.ts";
import { chosenChunk, chosenDeviceChunk, DEFAULT_CHUNK } from "./chunk.ts";

/** The backends of GPUs, by the libraries that they call. */
const GPU_BACKENDS = ["hip", "cuda"] as const;
/** One of {@linkcode GPU_BACKENDS}. */
export type GpuBackendName = (typeof GPU_BACKENDS)[number];

/**
 * The backends, the default one first.
 *
 * @example
 * ```ts
 * import { BACKENDS } from "@mxoss/mxoss/session";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(BACKENDS[0], "emulate");
 * ```
 */
export const BACKENDS = [...PROCESSOR_BACKENDS, ...GPU_BACKENDS] as const;
/** One of {@linkcode BACKENDS}. */
export type BackendName = (typeof BACKENDS)[number];

/** Most worker threads; a mistyped number should not start a million of them. */
export const MAX_THREADS = 256;
/** Largest ordinal of a GPU. */
export const MAX_DEVICE = 255;

/** Scales of static FP8 inputs. */
export interface CalibratedScales {
  /** By module; see `PlanRequest.inputScales`. */
  readonly scales: ReadonlyMap<string, number>;
  /** What they were measured on, in words. */
  readonly from: string;
}

/** How a model is computed. */
export interface Setting {
  readonly checkpoint: Checkpoint;
  /** Name of a scheme whose formats replace the checkpoint's, see `PlanOptions`; null: as the checkpoint is. */
  readonly scheme: string | null;
  /** Number format of activations between operations. */
  readonly dtype: Dtype;
  /** `auto`: as the checkpoint says, else the dtype. */
  readonly kvCacheDtype: "auto" | "bf16" | "fp8";
  /** Which static scale an expert's input has. */
  readonly fp8Scales: Fp8Scales;
  /** Input scales that the checkpoint may lack. */
  readonly inputScales: CalibratedScales | null;
  readonly backend: BackendName;
  /** Ranks that share heads, vocabulary and expert columns. */
  readonly tp: number;
  /** Groups of ranks that share the experts. */
  readonly ep: number;
  /** Tokens computed in one pass during prefill; undefined: see `PlannedSetting`. */
  readonly chunk: number | undefined;
  /** `emulate`: worker threads, the calling one included; undefined: all cores. */
  readonly threads: number | undefined;
  /** `emulate`: map the weight files or read them; `auto` and undefined: map where FFI is permitted. */
  readonly weights: "auto" | "map" | "read" | undefined;
  /** `hip` and `cuda`: ordinals of the GPUs; undefined: as many as there are ranks, from 0. */
  readonly device: number | readonly number[] | undefined;
  /** `hip`: path of the library to load; undefined: it is looked for. */
  readonly hipLibrary: string | undefined;
  /** `hip` and `cuda`: path of the library by which several GPUs sum; undefined: it is looked for. */
  readonly collectivesLibrary: string | undefined;
}

/** A setting without its checkpoint. */
export type Choices = Omit<Setting, "checkpoint">;

/** The default choices. */
export const DEFAULTS: Choices = {
  scheme: null,
  dtype: "bf16",
  kvCacheDtype: "auto",
  fp8Scales: "merged",
  inputScales: null,
  backend: BACKENDS[0],
  tp: 1,
  ep: 1,
  chunk: undefined,
  threads: undefined,
  weights: undefined,
  device: undefined,
  hipLibrary: undefined,
  collectivesLibrary: undefined,
};

/** The choices that only some backends have a use for, and which those are. */
export const USED_BY = {
  threads: ["emulate"],
  weights: ["emulate"],
  device: GPU_BACKENDS,
  hipLibrary: ["hip"],
  collectivesLibrary: GPU_BACKENDS,
} as const satisfies Partial<Record<keyof Choices, readonly BackendName[]>>;
/** A choice that only some backends have a use for. */
export type BackendChoice = keyof typeof USED_BY;

/** Whether a backend has a use for a choice. */
export function uses(backend: BackendName, choice: BackendChoice): boolean {
  return (USED_BY[choice] as readonly BackendName[]).includes(backend);
}

/** Whether a backend is one of GPUs. */
export function isGpu(backend: BackendName): backend is GpuBackendName {
  return (GPU_BACKENDS as readonly BackendName[]).includes(backend);
}

/** A setting whose number formats are decided: only what loading finds can still be refused. */
export interface PlannedSetting extends Setting {
  /** Tokens computed in one pass during prefill, those of several sequences together. */
  readonly chunk: number;
  /** The same where there is one sequence, whose tokens nobody else waits for. */
  readonly promptChunk: number;
  readonly planned: PlannedModel;
}

/**
 * Decides every number format of a setting, before anything is loaded.
 *
 * @param onWarning Called with each of the plan's warnings, one line each.
 * @throws {InputError} where checkpoint and choices do not make a model that can be computed.
 */
export function planSetting(setting: Setting, onWarning?: (line: string) => void): PlannedSetting {
  const { checkpoint, scheme, inputScales, kvCacheDtype, dtype, fp8Scales } = setting;
  const planned = planModel(checkpoint, {
    kvCacheDtype,
    dtype,
    fp8Scales,
    ...(scheme === null ? {} : { scheme }),
    ...(inputScales === null ? {} : { inputScales: inputScales.scales }),
  });
  for (const line of planned.plan.warnings) onWarning?.(line);
  const { threads = 0 } = setting, cores = navigator.hardwareConcurrency;
  if (threads > MANY_THREADS * cores) {
    onWarning?.(
      `${counted(threads, "thread")} on ${counted(cores, "core")}: they take turns, and none computes faster`,
    );
  }
  const converted = planned.plan.linears.find(({ storedAs }) => storedAs !== null);
  if (converted !== undefined && setting.weights === "map") {
    throw InputError.of(
      "contradiction",
      { option: "weights" },
      words`${option("weights")} read, or none: nobody wrote the bytes of converted weights`,
      `map, with ${converted.storedAs!.format} converted to ${converted.weight}`,
    );
  }
  const { backend, tp, ep } = setting;
  if (isGpu(backend) && planned.plan.linears.some(({ input }) => !onGpus(input.kind))) {
    throw InputError.of(
      "contradiction",
      { option: "scheme", value: scheme ?? planned.plan.scheme },
      words`${option("backend")} ${PROCESSOR_BACKENDS.join(" or ")}`,
      words`${option("backend")} ${backend}`,
    );
  }
  refuseSizes(checkpoint.config, setting);
  const chosen = (shared: boolean) =>
    setting.chunk ?? chunkOf(backend, checkpoint.config, planned.source, tp * ep, shared);
  return { ...setting, chunk: chosen(true), promptChunk: chosen(false), planned };
}

/** Tokens in one pass, where nobody chose: of one sequence, or of several that share it. */
function chunkOf(
  backend: BackendName,
  config: ModelConfig,
  source: ModelSource,
  ranks: number,
  shared: boolean,
): number {
  if (isGpu(backend)) return chosenDeviceChunk(config, source, ranks, shared);
  return shared || backend === "reference" ? DEFAULT_CHUNK : chosenChunk(config, source, ranks);
}

/** So many threads for each core are a mistake rather than a choice. */
const MANY_THREADS = 4;

/** Tokens that calibration computes in one pass: every observed result of so many is held at once. */
const CALIBRATION_CHUNK = 64;

/**
 * The setting that calibration looks at: inputs of linears, keys and values as they are, whatever scheme and cache, on
 * one rank.
 *
 * @throws {InputError} as `planUncalibrated`.
 */
export function planForCalibration(setting: Setting): PlannedSetting {
  const planned = planUncalibrated(setting.checkpoint, setting);
  const chunk = CALIBRATION_CHUNK;
  return { ...setting, scheme: null, inputScales: null, tp: 1, ep: 1, chunk, promptChunk: chunk, planned };
}
