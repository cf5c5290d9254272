/** The choices that the library takes, and the setting that they make. */
import type { Checkpoint as Opened } from "../checkpoint/checkpoint.ts";
import { projectionName } from "../checkpoint/quark/module_names.ts";
import { firstOf, printable, show, showOrNumber } from "../describe.ts";
import { InputError } from "../errors.ts";
import {
  isMap,
  isScale,
  type Names,
  refuseOtherCount,
  refuseOtherType,
  refuseOtherWord,
  refuseUnknown,
} from "./known.ts";
import type { Dtype } from "../formats/format.ts";
import type { Plan } from "../plan/plan.ts";
import type { SchemeName } from "../plan/scheme.ts";
import { FP8_SCALES, type Fp8Scales } from "../plan/static_scales.ts";
import {
  type BackendChoice,
  type BackendName,
  BACKENDS,
  type Choices,
  DEFAULTS,
  MAX_DEVICE,
  MAX_THREADS,
  type PlannedSetting,
  planSetting,
  USED_BY,
  uses,
} from "../session/setting.ts";

/** The choices that number formats depend on. */
export interface PlanOptions {
  /**
   * A scheme whose input formats replace the checkpoint's; experts that are stored in other formats are converted
   * while they are loaded.
   */
  readonly scheme?: SchemeName;
  /** Number format of activations: `bf16` (default) rounds every operation's output, `f32` rounds nothing. */
  readonly dtype?: Dtype;
  /** Number format of cached keys and values; default `auto`: as the checkpoint says, else the dtype. */
  readonly kvCacheDtype?: "auto" | "bf16" | "fp8";
  /** Which static FP8 scale an expert's input has: the largest of its layer (`merged`, default) or its `own`. */
  readonly fp8Scales?: Fp8Scales;
  /**
   * Calibrated scales of static FP8 inputs, numbers above 0, by module; an entry for
   * `model.layers.0.mlp.experts.gate_up_proj` is for all experts of the layer. They count before the checkpoint's.
   */
  readonly inputScales?: ReadonlyMap<string, number>;
}

/** How to compute. */
export interface SessionOptions extends PlanOptions {
  /** What computes: `emulate` (default; WebAssembly), `reference` (TypeScript: slow), or a GPU by `hip` or `cuda`. */
  readonly backend?: BackendName;
  /** Positions of the longest sequence, prompt and reply together; default 4,096, or fewer if the model has fewer. */
  readonly context?: number;
  /**
   * Tokens computed in one pass while a prompt is read; default 128, with `emulate` up to 512 and on a GPU up to 2,048,
   * as memory allows. On a GPU, logits may differ with it in their last bits.
   */
  readonly chunk?: number;
  /** `emulate`: worker threads, the calling one included, at most 256; default: all cores. */
  readonly threads?: number;
  /** `emulate`: map the weight files, read them, or (`auto`, default) map them where FFI is permitted. */
  readonly weights?: "auto" | "map" | "read";
  /** Ranks that share heads, vocabulary and expert columns; default 1. */
  readonly tp?: number;
  /** Groups of ranks that share the experts; default 1. */
  readonly ep?: number;
  /** `hip` and `cuda`: ordinal of the GPU, or of one for each rank; default: from 0 on. */
  readonly device?: number | readonly number[];
  /** `hip`: the library to load, instead of looking for one. */
  readonly hipLibrary?: string;
  /** `hip` and `cuda`: the library by which several GPUs sum (RCCL or NCCL), instead of looking for one. */
  readonly collectivesLibrary?: string;
  /**
   * Called while weights are loaded: how much is done, and how much there is, of which only the share means something.
   * Weights that are mapped are not loaded. What it throws is what opening fails with.
   */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Words that a choice may be. */
const WORDS = {
  backend: BACKENDS,
  dtype: ["bf16", "f32"],
  kvCacheDtype: ["auto", "bf16", "fp8"],
  fp8Scales: FP8_SCALES,
  weights: ["auto", "map", "read"],
} as const satisfies Partial<Record<keyof SessionOptions, readonly string[]>>;

/** The names of all options. */
export const SESSION_NAMES: Names<SessionOptions> = {
  ...{
    scheme: true,
    dtype: true,
    kvCacheDtype: true,
    fp8Scales: true,
    inputScales: true,
    backend: true,
    context: true,
  },
  ...{ chunk: true, threads: true, weights: true, tp: true, ep: true, device: true, hipLibrary: true },
  ...{ collectivesLibrary: true, onProgress: true },
};

/** Choices that are whole numbers above 0, and the most that each may be; of ranks the model says it. */
const NUMBERS = { chunk: Infinity, threads: MAX_THREADS, tp: Infinity, ep: Infinity } as const;

/** Positions set aside by default. */
const DEFAULT_CONTEXT = 4096;

/**
 * The positions to set aside.
 *
 * @param asked How many are asked for.
 * @param maxPositions How many the model has.
 * @throws {InputError} if it has not so many.
 */
export function contextOf(asked: number | undefined, maxPositions: number): number {
  const context = asked === undefined ? Math.min(maxPositions, DEFAULT_CONTEXT) : asked;
  if (Number.isInteger(context) && context >= 1 && context <= maxPositions) return context;
  const expected = `1 to ${maxPositions}, the model's positions`;
  throw InputError.of("wrong_value", { name: "context" }, expected, showOrNumber(context));
}

/**
 * Plans a checkpoint as the options say.
 *
 * @throws {InputError} for an option that is not what it must be, that the backend has no use for, or that does not fit
 *   the checkpoint.
 */
export function plannedSetting(checkpoint: Opened, options: SessionOptions): PlannedSetting {
  refuseUnknown(options, SESSION_NAMES);
  const { inputScales, context, onProgress, ...given } = options;
  contextOf(context, checkpoint.config.maxPositions);
  refuseOtherType("onProgress", "function", onProgress);
  refuseOtherScales(inputScales);
  refuseOthers(given);
  const choices: Choices = {
    ...DEFAULTS,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    inputScales: inputScales === undefined ? null : { scales: inputScales, from: "the caller" },
  };
  for (const choice of Object.keys(USED_BY) as BackendChoice[]) {
    if (choices[choice] === undefined || uses(choices.backend, choice)) continue;
    throw InputError.of(
      "contradiction",
      { name: choice },
      `with backend ${USED_BY[choice].join(" or ")}`,
      `backend ${choices.backend}`,
    );
  }
  const setting = planSetting({ ...choices, checkpoint });
  if (inputScales !== undefined) refuseStrayModules(inputScales, setting.planned.plan);
  return setting;
}

/** @throws {InputError} if they are no map from texts to numbers above 0. */
function refuseOtherScales(scales: SessionOptions["inputScales"]): void {
  if (scales === undefined) return;
  if (!isMap(scales)) {
    throw InputError.of("wrong_value", { name: "inputScales" }, "a Map from modules to scales", show(scales));
  }
  for (const [module, scale] of scales) {
    if (isScale(scale)) continue;
    const name = `inputScales: ${typeof module === "string" ? printable(module) : show(module)}`;
    throw InputError.of("wrong_value", { name }, "a finite number above 0 that float32 holds", show(scale));
  }
}

/** @throws {InputError} if a scale is for a module that the model has not: it would change nothing, in silence. */
function refuseStrayModules(scales: ReadonlyMap<string, number>, { linears }: Plan): void {
  const known = new Set(linears.flatMap(({ module }) => [module, projectionName(module)]));
  for (const module of scales.keys()) {
    if (known.has(module)) continue;
    const expected = `modules of the model, such as ${linears[0]!.module}`;
    throw InputError.of("wrong_value", { name: "inputScales" }, expected, show(module));
  }
}

function refuseOthers(options: Omit<SessionOptions, "inputScales" | "context" | "onProgress">): void {
  for (const [name, words] of Object.entries(WORDS)) {
    refuseOtherWord(name, words, options[name as keyof typeof WORDS]);
  }
  for (const [name, most] of Object.entries(NUMBERS)) {
    refuseOtherCount(name, 1, options[name as keyof typeof NUMBERS], most);
  }
  // As other words are refused deeper, by the schemes of a model; null is one that replaces nothing.
  refuseOtherType("scheme", "string", options.scheme ?? undefined);
  refuseOtherType("hipLibrary", "string", options.hipLibrary);
  refuseOtherType("collectivesLibrary", "string", options.collectivesLibrary);
  const { device } = options, ordinals = device === undefined ? [] : [device].flat();
  const isOrdinal = (ordinal: unknown) =>
    Number.isInteger(ordinal) && Number(ordinal) >= 0 && Number(ordinal) <= MAX_DEVICE;
  if (ordinals.every(isOrdinal) && new Set(ordinals).size === ordinals.length) return;
  const expected = `a whole number from 0 to ${MAX_DEVICE}, or several, none twice`;
  throw InputError.of("wrong_value", { name: "device" }, expected, firstOf(ordinals.map(show), 8));
}
