/** What made a result: the block that goes with every reported number. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { Session } from "../session/session.ts";
import type { Plan } from "../plan/plan.ts";
import type { ComputeOptions } from "./open_model.ts";
import { VERSION } from "./version.ts";

/** What the numerical result depends on, and what it does not. */
export interface Protocol {
  readonly mxoss: string;
  readonly model: string;
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

/** How the result was computed, without any bearing on it. */
export interface Machinery {
  readonly threads: number;
  readonly chunk: number;
  /** The backend's own words, for instance "wasm simd128, 2 threads, weights mapped". */
  readonly engine: string;
}

/** The protocol of a computation. */
export async function protocol(checkpoint: Checkpoint, plan: Plan, options: ComputeOptions): Promise<Protocol> {
  return {
    mxoss: VERSION,
    model: checkpoint.dir,
    layout: checkpoint.layout,
    fingerprint: await checkpoint.fingerprint(),
    scheme: plan.scheme,
    scale_rule: plan.scaleRule,
    backend: options.backend,
    dtype: options.dtype,
    kv_cache_dtype: plan.kvFormat,
    tp: options.tp,
    ep: options.ep,
  };
}

/** How a session computes. */
export function machinery(session: Session, options: ComputeOptions): Machinery {
  return {
    threads: options.threads ?? navigator.hardwareConcurrency,
    chunk: options.chunk,
    engine: session.engine.info.description,
  };
}
