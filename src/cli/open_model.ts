/** From a command's options to an opened checkpoint and a session, with warnings and progress on stderr. */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { asset } from "../assets.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { openSession } from "../session/open.ts";
import { planModel, type PlannedModel, type PlanOptions } from "../plan/planned.ts";
import type { Session } from "../session/session.ts";
import type { Plan } from "../plan/plan.ts";
import { O200K_VOCAB } from "../text/o200k.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import type { COMPUTE_OPTIONS, FORMAT_OPTIONS } from "./model_options.ts";
import type { OptionValues } from "./options.ts";
import { ProgressBar } from "./progress.ts";
import { note } from "./terminal.ts";

/** The options that decide number formats. */
export type FormatOptions = OptionValues<typeof FORMAT_OPTIONS>;

/** The options that say how to compute. */
export type ComputeOptions = OptionValues<typeof COMPUTE_OPTIONS>;

/** The directory that `--model` names, or that of the model that comes with the program. */
export function modelDirectory(model: string | undefined): string {
  return model ?? fileURLToPath(asset("models/tiny-gpt-oss"));
}

/**
 * Opens the checkpoint that `--model` names, or the embedded one; its warnings go to stderr, one line each.
 *
 * @throws {InputError} when it is not a checkpoint that can be run.
 */
export function openModel(model: string | undefined): Checkpoint {
  return openCheckpoint(modelDirectory(model), { onWarning: (line) => note(`warning: ${line}`) });
}

/** Directory of the tokenizer and the chat template, which may stand above that of the weights. */
export function textDirectory({ dir, files }: Checkpoint): string {
  return files.tokenizer === null ? dir : dirname(files.tokenizer);
}

/**
 * The checkpoint's tokenizer; of a checkpoint that brings none, as OpenAI's own layout does, that of gpt-oss where it
 * fits.
 *
 * @throws {InputError} when it has none that can be read.
 */
export async function openTokenizer(checkpoint: Checkpoint): Promise<Tokenizer> {
  const { files, config, dir } = checkpoint;
  if (files.tokenizer === null && config.vocab === O200K_VOCAB) {
    note(`warning: ${dir}: no tokenizer.json; o200k_harmony is used, gpt-oss's own, for its ${O200K_VOCAB} tokens`);
    return await Tokenizer.o200kHarmony();
  }
  return await Tokenizer.fromDirectory(textDirectory(checkpoint));
}

/**
 * Decides the number formats that the options ask for.
 *
 * @throws {InputError} where the checkpoint and the options do not fit together.
 */
export function planned(checkpoint: Checkpoint, options: FormatOptions): PlannedModel {
  return planModel(checkpoint, formats(options));
}

function formats(
  { scheme, dtype, "kv-cache-dtype": kvCacheDtype, "fp8-scales": fp8Scales }: FormatOptions,
): PlanOptions {
  return { dtype, kvCacheDtype, fp8Scales, ...(scheme === undefined ? {} : { scheme }) };
}

/** A session, and the number formats that it computes in. */
export interface LoadedModel {
  readonly session: Session;
  readonly plan: Plan;
}

/**
 * Loads a checkpoint for one sequence, with a progress bar where that takes long; the plan's warnings go to stderr.
 *
 * @param context Positions of the sequence, prompt and reply together.
 */
export async function loadModel(
  checkpoint: Checkpoint,
  options: ComputeOptions,
  context: number,
): Promise<LoadedModel> {
  const model = planned(checkpoint, options);
  for (const line of model.plan.warnings) note(`warning: ${line}`);
  using bar = new ProgressBar("loading");
  const session = await openSession(checkpoint, {
    ...formats(options),
    planned: model,
    backend: options.backend,
    context,
    maxTokens: options.chunk,
    tp: options.tp,
    ep: options.ep,
    weights: options.weights,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.device === undefined ? {} : { device: options.device }),
    ...(options["hip-library"] === undefined ? {} : { hipLibrary: options["hip-library"] }),
    onProgress: (done, total) => bar.update(done, total),
  });
  return { session, plan: model.plan };
}
