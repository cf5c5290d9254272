/** A checkpoint's tokenizer, and where its text files lie. */
import { dirname } from "node:path";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { incomplete } from "../checkpoint/hub/find.ts";
import { O200K_VOCAB } from "../text/o200k.ts";
import { Tokenizer } from "../text/tokenizer.ts";

/** Directory of the tokenizer and the chat template, which may stand above that of the weights. */
export function textDirectory({ dir, files }: Checkpoint): string {
  return files.tokenizer === null ? dir : dirname(files.tokenizer);
}

/**
 * The checkpoint's tokenizer; of a checkpoint that brings none, as OpenAI's own layout does, that of gpt-oss where it
 * fits.
 *
 * @param onWarning Called with a line if it is not the checkpoint's own.
 * @throws {InputError} when it has none that can be read.
 */
export async function checkpointTokenizer(
  checkpoint: Checkpoint,
  onWarning?: (line: string) => void,
): Promise<Tokenizer> {
  const { files, config, dir } = checkpoint;
  if (files.tokenizer === null && config.vocab === O200K_VOCAB) {
    onWarning?.(`${dir}: no tokenizer.json; o200k_harmony is used, gpt-oss's own, for its ${O200K_VOCAB} tokens`);
    return await Tokenizer.o200kHarmony();
  }
  try {
    return await Tokenizer.fromDirectory(textDirectory(checkpoint));
  } catch (thrown) {
    throw incomplete(dir, thrown);
  }
}
