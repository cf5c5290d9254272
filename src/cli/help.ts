/** Help texts, from the same tables that parse the command line. */
import { EXIT_CODES, PROGRAM } from "./help_words.ts";
import type { CommandSpec, Option } from "./options.ts";
import { outputColumns } from "./terminal.ts";
import { valuesOf } from "./values.ts";
import { VERSION } from "./version.ts";

/** Width that help is wrapped at where the terminal has as much, in characters. */
const WIDTH = 100;
/** Where less is left beside the names of options than this, what they do stands below them. */
const LEAST_BESIDE = 40;

/** Columns that help takes on this stdout. */
export const helpColumns = (): number => Math.min(WIDTH, outputColumns());

/**
 * Help of the whole program.
 *
 * @param columns That a line may take; what is typed into a shell is not broken.
 */
export function programHelp(commands: readonly CommandSpec[], columns = WIDTH): string {
  return [
    ...wrap(`mxoss ${VERSION}: ${PROGRAM}`, columns),
    "",
    "usage: mxoss [COMMAND] [OPTIONS]",
    '       mxoss "Tom has 3 apples and buys 4 more. How many apples does he have?"',
    "",
    ...table(commands.map((command) => [command.name, command.summary]), columns),
    "",
    ...table([
      ["--help", "this text; after a command: its options"],
      ["--version", "the version"],
    ], columns),
    "",
    ...wrap(`Exit codes: ${EXIT_CODES.map(([code, means]) => `${code} ${means}`).join("; ")}.`, columns),
    "",
  ].join("\n");
}

/** Help of one command, likewise. */
export function commandHelp(command: CommandSpec, columns = WIDTH): string {
  const { positional, options, notes, examples } = command;
  const rows = Object.entries(options).map(([name, option]) => [flag(name, option), describe(option)] as const);
  return [
    `usage: ${usage(command)}`,
    "",
    ...wrap(sentence(command), columns),
    "",
    ...table([
      ...(positional === null ? [] : [[positional.name, positional.help] as const]),
      ...rows,
      ["--help", "this text"],
    ], columns),
    ...notes.flatMap((note) => ["", ...wrap(note, columns)]),
    "",
    examples.length === 1 ? "Example:" : "Examples:",
    ...examples.flatMap(({ line, does }) => [`  ${line}`, ...wrap(does, columns - 6).map((part) => `      ${part}`)]),
    "",
  ].join("\n");
}

/** `mxoss NAME [OPTIONS] [ARGUMENT ...]`. */
export function usage({ name, positional }: CommandSpec): string {
  const argument = positional === null ? "" : ` [${positional.name}${positional.many ? " ..." : ""}]`;
  return `mxoss ${name} [OPTIONS]${argument}`;
}

/** The summary of a command as a sentence. */
export function sentence({ summary }: CommandSpec): string {
  return `${summary[0]!.toUpperCase()}${summary.slice(1)}.`;
}

/** `--name VALUE`. */
export function flag(name: string, { value }: Option): string {
  return value === null ? `--${name}` : `--${name} ${value}`;
}

/** The option's help; its default and the words that it takes are asked of the schema itself. */
export function describe(option: Option): string {
  const { value, schema } = option, help = `${option.help}${wordsText(option)}`;
  const unset = schema.safeParse(undefined);
  if (!unset.success) return `${help} (required)`;
  return value === null || unset.data === undefined ? help : `${help} (default: ${unset.data})`;
}

/** The words that an option takes, unless its help has spoken of all. */
function wordsText({ help, schema }: Option): string {
  const values = valuesOf(schema);
  if (values === null) return "";
  const said = new Set(help.split(/[^\w.-]+/));
  if (values.words.every((word) => said.has(word))) return "";
  return `; ${values.list ? "some" : "one"} of: ${values.words.join(", ")}`;
}

/** Two columns, the second wrapped; below the first where there is no room beside it. */
function table(rows: readonly (readonly [string, string])[], columns: number): string[] {
  const column = Math.max(...rows.map(([left]) => left.length)) + 4;
  if (columns - column < LEAST_BESIDE) {
    return rows.flatMap(([left, right]) => [`  ${left}`, ...wrap(right, columns - 6).map((line) => `      ${line}`)]);
  }
  return rows.flatMap(([left, right]) =>
    wrap(right, columns - column).map((line, i) => `  ${i === 0 ? left : ""}`.padEnd(column) + line)
  );
}

/** A text in lines of at most so many characters, cut between words. */
export function wrap(text: string, width = WIDTH): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}
