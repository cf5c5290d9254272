/** The checkpoint that a command's options name, and its tokenizer, with warnings on stderr. */
import { ChatRenderer } from "../text/chat.ts";
import { UsageError } from "./spelling.ts";
import { fileURLToPath } from "node:url";
import { asset, FETCHED } from "../assets.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { findModel } from "../checkpoint/hub/find.ts";
import { checkpointTokenizer, textDirectory } from "../session/tokenizer.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { hubCache } from "./hub.ts";
import { note } from "./terminal.ts";

/**
 * The directory that `--model` names, by its path or by the model's name, or that of the model that comes with the
 * program.
 *
 * @throws {InputError} where a name is not in the cache, or there is none and the program has no model.
 */
export function modelDirectory(model: string | undefined): string {
  if (model !== undefined) return findModel(model, hubCache);
  if (!FETCHED) return fileURLToPath(asset("models/tiny-gpt-oss"));
  throw UsageError.of(
    "missing",
    { option: "model" },
    "a directory or a name",
    "none: the small model is not published",
  );
}

/**
 * Opens the checkpoint that `--model` names, or the embedded one; its warnings go to stderr, one line each.
 *
 * @throws {InputError} when it is not a checkpoint that can be run.
 */
export function openModel(model: string | undefined): Checkpoint {
  return openCheckpoint(modelDirectory(model), { onWarning: (line) => note(`warning: ${line}`) });
}

/**
 * What makes prompts of conversations; that a checkpoint has no chat template is said on stderr.
 *
 * @throws {InputError} where it has one that is not Jinja.
 */
export async function openRenderer(checkpoint: Checkpoint, tokenizer: Tokenizer): Promise<ChatRenderer> {
  const renderer = await ChatRenderer.fromDirectory(textDirectory(checkpoint), tokenizer);
  if (renderer.template === null) {
    note(`warning: ${checkpoint.dir}: no chat template; gpt-oss's own format, harmony, is used`);
  }
  return renderer;
}

/**
 * The tokenizer of {@linkcode checkpointTokenizer}; a warning that it is not the checkpoint's own goes to stderr.
 *
 * @throws {InputError} when there is none that can be read.
 */
export function openTokenizer(checkpoint: Checkpoint): Promise<Tokenizer> {
  return checkpointTokenizer(checkpoint, (line) => note(`warning: ${line}`));
}
