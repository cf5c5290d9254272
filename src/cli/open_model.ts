/** The checkpoint that a command's options name, and its tokenizer, with warnings on stderr. */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { asset } from "../assets.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { O200K_VOCAB } from "../text/o200k.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import { note } from "./terminal.ts";

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
