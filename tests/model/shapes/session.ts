/** Sessions of small checkpoints on any backend, in this process. */
import type { Backend, OpenRequest } from "../../../src/model/backend.ts";
import type { Checkpoint } from "../../../src/checkpoint/checkpoint.ts";
import { LocalEngine } from "../../../src/model/engine.ts";
import { GptOss, type TensorName, workspace } from "../../../src/model/gpt_oss.ts";
import { planModel, type PlanOptions } from "../../../src/plan/planned.ts";
import { Session } from "../../../src/session/session.ts";

/** Opens a backend. */
export type OpenAny = (request: OpenRequest<TensorName>) => Promise<Backend<TensorName>>;

/** How a session of one slot computes. */
export interface ShapeSession extends Pick<PlanOptions, "dtype" | "fp8Scales" | "scheme" | "inputScales"> {
  /** Default `auto`. */
  readonly kvCacheDtype?: PlanOptions["kvCacheDtype"];
  /** Tokens of a batch. */
  readonly maxTokens: number;
}

/** A session with one slot of `context` positions. */
export async function sessionOf(
  checkpoint: Checkpoint,
  open: OpenAny,
  context: number,
  { dtype, kvCacheDtype = "auto", fp8Scales = "merged", maxTokens, ...options }: ShapeSession,
): Promise<Session> {
  const { config } = checkpoint, { vocab } = config;
  const { source, plan } = planModel(checkpoint, { dtype, kvCacheDtype, fp8Scales, ...options });
  const sizes = { slots: 1, context, maxTokens: Math.min(maxTokens, context) };
  const tensors = workspace(config, source);
  const backend = await open({ ...sizes, source, config, dtype, kvFormat: plan.kvFormat, tensors });
  return new Session(new LocalEngine(new GptOss(backend, config), vocab), { ...sizes, vocab });
}
