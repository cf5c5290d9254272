/** How options and commands are spelled on the command line. */
import { InputError, type Mistake } from "../errors.ts";
import { printableLine } from "../printable.ts";
import { spelled, type Spelling, type Text, typedCommand, typedOption } from "../words.ts";

/** `--name` for options, `mxoss NAME --option VALUE` for commands. */
export const COMMAND_LINE: Spelling = { option: typedOption, command: typedCommand };

/** A text of the rooms below as the command line says it. */
export function said(text: Text): string {
  return spelled(text, COMMAND_LINE);
}

/** A word of a command line as a POSIX shell reads it, on one line and without what a terminal would obey. */
export function quoted(word: string): string {
  if (printableLine(word) !== word) return `$'${escaped(word)}'`;
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A path as an argument: one that begins with a dash would be an option. */
export function quotedPath(path: string): string {
  return quoted(path.startsWith("-") ? `./${path}` : path);
}

/** What stands between `$'` and `'`: bytes of what is not shown by their numbers. */
function escaped(word: string): string {
  const bytes = (text: string) => Array.from(new TextEncoder().encode(text), (byte) => `\\x${hex(byte)}`).join("");
  return Array.from(
    word,
    (character) =>
      printableLine(character) !== character
        ? bytes(character)
        : /['\\]/.test(character)
        ? `\\${character}`
        : character,
  ).join("");
}

const hex = (byte: number): string => byte.toString(16).padStart(2, "0");

/** A mistake that the command line itself finds: its message spells options as they are typed. */
export class UsageError extends InputError {
  constructor(mistake: Mistake) {
    super(mistake, COMMAND_LINE);
  }
}
