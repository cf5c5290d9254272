/** Whether a checkpoint's chat template can be read, so that `inspect` says what chats would refuse. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { InputError } from "../errors.ts";
import { textDirectory } from "../session/tokenizer.ts";
import { templatesIn } from "../text/checkpoint_template.ts";
import { readTokenizerConfig } from "../text/tokenizer_source.ts";
import { COMMAND_LINE } from "./spelling.ts";

/** Where a chat template comes from, or why it cannot be used. */
export interface TemplateFound {
  /** Where it stands, or `built-in harmony`; null: it cannot be used. */
  readonly source: string | null;
  readonly problem: string | null;
}

/** Reads the template. The tokenizer is left alone: a large one takes longer than all the rest. */
export async function findTemplate(checkpoint: Checkpoint): Promise<TemplateFound> {
  const dir = textDirectory(checkpoint), { tokenizer } = checkpoint.files;
  try {
    // Of a checkpoint without a tokenizer nobody reads the tokenizer's config.
    const { template } = await templatesIn(dir, tokenizer === null ? {} : readTokenizerConfig(dir));
    return { source: template?.path ?? "built-in harmony", problem: null };
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    return { source: null, problem: thrown.line(COMMAND_LINE) };
  }
}
