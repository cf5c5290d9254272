/** How options and commands are spelled on the command line. */
import { InputError, type Mistake } from "../errors.ts";
import { spelled, type Spelling, type Text } from "../words.ts";

/** `--name` for options, `mxoss NAME --option VALUE` for commands. */
export const COMMAND_LINE: Spelling = {
  option: (name) => `--${name}`,
  command: ({ command, options }) =>
    ["mxoss", command, ...Object.entries(options).map(([name, value]) => `--${name} ${value}`)].join(" "),
};

/** A text of the rooms below as the command line says it. */
export function said(text: Text): string {
  return spelled(text, COMMAND_LINE);
}

/** A word of a command line as a POSIX shell reads it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A mistake that the command line itself finds: its message spells options as they are typed. */
export class UsageError extends InputError {
  constructor(mistake: Mistake) {
    super(mistake, COMMAND_LINE);
  }
}
