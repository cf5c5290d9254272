/** From an opened checkpoint and a user's choices to a session that computes. */
import type { Backend, OpenRequest } from "../model/backend.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { InputError } from "../errors.ts";
import { GptOss, type TensorName, workspace } from "../model/gpt_oss.ts";
import { type Engine, LocalEngine } from "../model/engine.ts";
import { planModel, type PlannedModel, type PlanOptions } from "../plan/planned.ts";
import { Session } from "./session.ts";

/** The backends that `--backend` names. */
export const BACKENDS = ["emulate", "reference", "hip", "cuda"] as const;
/** One of {@linkcode BACKENDS}. */
export type BackendName = (typeof BACKENDS)[number];

/** How to compute. */
export interface SessionOptions extends PlanOptions {
  readonly backend: BackendName;
  /** What {@linkcode planModel} decided; absent: it is asked. */
  readonly planned?: PlannedModel;
  /** Positions set aside for each sequence, prompt and reply together. */
  readonly context: number;
  /** Sequences alive at once. */
  readonly slots?: number;
  /** Tokens computed in one pass during prefill. */
  readonly maxTokens?: number;
  /** Worker threads of `emulate`, the calling one included; default: all cores. */
  readonly threads?: number;
  /** Ranks that share heads, vocabulary and expert columns; default 1. */
  readonly tp?: number;
  /** Groups of ranks that share the experts; default 1. */
  readonly ep?: number;
  /** `emulate`: map the weight files (`auto`: where FFI is permitted) or read them. */
  readonly weights?: "auto" | "map" | "read";
  /** `hip` and `cuda`: ordinal of the GPU; default 0. */
  readonly device?: number;
  /** `hip`: the library to load, instead of looking for one. */
  readonly hipLibrary?: string;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Prefill chunk when none is given. */
export const DEFAULT_CHUNK = 128;

/**
 * Loads a checkpoint into a backend.
 *
 * @throws {InputError} when the checkpoint and the options do not fit together.
 * @throws {FailureError} when memory or workers cannot be had.
 */
export async function openSession(checkpoint: Checkpoint, options: SessionOptions): Promise<Session> {
  const { config } = checkpoint;
  const { plan, source } = options.planned ?? planModel(checkpoint, options);
  const maxTokens = Math.max(1, Math.min(options.maxTokens ?? DEFAULT_CHUNK, options.context));
  const request: OpenRequest<TensorName> = {
    source,
    config,
    dtype: options.dtype,
    kvFormat: plan.kvFormat,
    maxTokens,
    slots: options.slots ?? 1,
    context: options.context,
    tensors: workspace(config, source),
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
  };
  const limits = { slots: request.slots, context: options.context, maxTokens, vocab: config.vocab };
  return new Session(await openEngine(request, options), limits, source);
}

async function openEngine(request: OpenRequest<TensorName>, options: SessionOptions): Promise<Engine> {
  const sizes = { tp: options.tp ?? 1, ep: options.ep ?? 1 };
  const one = sizes.tp === 1 && sizes.ep === 1;
  const { backend } = options;
  if (backend === "hip" || backend === "cuda") {
    if (one) return await openGpuEngine(backend, request, options);
    throw new InputError(
      `--tp ${sizes.tp} --ep ${sizes.ep}: --backend ${backend} runs one rank so far; emulate runs several`,
    );
  }
  if (one) {
    return new LocalEngine(new GptOss(await open(backend, request, options), request.config), request.config.vocab);
  }
  const { openRanks } = await import("../parallel/ranked_engine.ts");
  return await openRanks(request, {
    sizes,
    backend,
    threads: options.threads ?? navigator.hardwareConcurrency,
    weights: options.weights ?? "auto",
  });
}

async function openGpuEngine(
  kind: "hip" | "cuda",
  request: OpenRequest<TensorName>,
  { device, hipLibrary }: SessionOptions,
): Promise<Engine> {
  const { openGpuLibrary } = await import("../backends/gpu/devices.ts");
  const { openGpu } = await import("../backends/gpu/open.ts");
  const { GpuEngine } = await import("../backends/gpu/engine.ts");
  const backend = await openGpu(request, openGpuLibrary(kind, hipLibrary), device === undefined ? {} : { device });
  return new GpuEngine(backend, request.config);
}

/** Backends are imported when they are chosen: a run pays only for its own. */
async function open(
  backend: "emulate" | "reference",
  request: OpenRequest<TensorName>,
  options: SessionOptions,
): Promise<Backend<TensorName>> {
  switch (backend) {
    case "emulate": {
      const { openEmulate } = await import("../backends/emulate/open.ts");
      return await openEmulate(request, {
        ...(options.threads === undefined ? {} : { threads: options.threads }),
        weights: options.weights ?? "auto",
      });
    }
    case "reference": {
      const { openReference } = await import("../backends/reference/open.ts");
      return await openReference(request);
    }
  }
}
