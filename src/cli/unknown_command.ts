/** A first word that is no command, and no question either. */
import { closest } from "./closest.ts";
import { UsageError } from "./spelling.ts";

/** What other programs call what this one does. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  run: "mxoss generate PROMPT",
  ask: "mxoss generate PROMPT",
  complete: "mxoss generate --raw PROMPT",
  ls: "mxoss list",
  models: "mxoss list",
  ps: "mxoss list",
  show: "mxoss inspect",
  info: "mxoss inspect",
  evaluate: "mxoss eval",
  test: "mxoss eval",
  gsm: "mxoss eval gsm8k",
  ppl: "mxoss eval perplexity",
  perplexity: "mxoss eval perplexity",
  gsm8k: "mxoss eval gsm8k",
  diff: "mxoss compare",
  kl: "mxoss compare",
  convert: "mxoss quantize",
  quant: "mxoss quantize",
  benchmark: "mxoss bench",
  gpus: "mxoss devices",
  version: "mxoss --version",
  pull: "hf download org/name",
  download: "hf download org/name",
};

/** One word in small letters, as commands are: a question has a blank, a capital or a mark. */
const LIKE_COMMAND = /^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*$/;

/**
 * Refuses a first word that looks like a command and is none: a model that answers "isnpect" helps nobody.
 *
 * @param commands Names of all commands.
 * @throws {InputError} with the command that was probably meant, and how the word is asked all the same.
 */
export function refuseUnknownCommand(word: string, commands: readonly string[]): void {
  if (!LIKE_COMMAND.test(word)) return;
  const meant = Object.hasOwn(ELSEWHERE, word) ? ELSEWHERE[word] : closest(word, commands);
  const hint = meant === undefined ? "mxoss --help lists them;" : `did you mean ${meant}?`;
  throw UsageError.saying(
    "wrong_value",
    { name: word },
    `no command of mxoss; ${hint} as a prompt: mxoss generate ${word}`,
  );
}
