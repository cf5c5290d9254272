/**
 * Opens sessions of any backend in one call, with a model that was planned elsewhere where a test has one. A choice
 * that the backend has no use for is not refused here.
 */
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import type { PlannedModel, PlanOptions } from "../../src/plan/planned.ts";
import { openSetting } from "../../src/session/open.ts";
import type { Session } from "../../src/session/session.ts";
import { type BackendName, DEFAULTS, planSetting, type Setting } from "../../src/session/setting.ts";

/** What {@linkcode openSession} is told: choices of a {@linkcode Setting}, and room. */
export interface SessionOptions
  extends
    PlanOptions,
    Partial<Pick<Setting, "threads" | "tp" | "ep" | "weights" | "device" | "hipLibrary" | "collectivesLibrary">> {
  readonly backend: BackendName;
  /** What `planModel` decided; absent: it is asked. */
  readonly planned?: PlannedModel;
  /** Positions set aside for each sequence, prompt and reply together. */
  readonly context: number;
  /** Sequences alive at once; default 1. */
  readonly slots?: number;
  /** Tokens computed in one pass during prefill. */
  readonly maxTokens?: number;
  /** Positions that a sequence can be taken back by; default: none. */
  readonly rewind?: number;
  /** Whether another thread computes. */
  readonly apart?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Plans and loads a checkpoint; the caller closes the session. */
export async function openSession(checkpoint: Checkpoint, options: SessionOptions): Promise<Session> {
  const {
    planned,
    context,
    slots = 1,
    maxTokens,
    rewind = 0,
    apart = false,
    onProgress,
    inputScales,
    scheme,
    ...choices
  } = options;
  const setting: Setting = {
    ...DEFAULTS,
    ...choices,
    checkpoint,
    scheme: scheme ?? null,
    inputScales: inputScales === undefined ? null : { scales: inputScales, from: "the caller" },
    chunk: maxTokens ?? 128,
  };
  const ready = planned === undefined
    ? planSetting(setting)
    : { ...setting, chunk: maxTokens ?? 128, promptChunk: maxTokens ?? 128, planned };
  return await openSetting(ready, { slots, context, rewind, apart }, onProgress);
}
