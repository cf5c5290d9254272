/** Help texts, from the same tables that parse the command line. */
import { EXIT_CODES, PROGRAM } from "./help_words.ts";
import type { CommandSpec, Option } from "./options.ts";
import { valuesOf } from "./values.ts";
import { VERSION } from "./version.ts";

/** Width that help is wrapped at, in characters. */
const WIDTH = 100;

/** Help of the whole program. */
export function programHelp(commands: readonly CommandSpec[]): string {
  return [
    `mxoss ${VERSION}: ${PROGRAM}`,
    "",
    "usage: mxoss [COMMAND] [OPTIONS]",
    '       mxoss "Tom has 3 apples and buys 4 more. How many apples does he have?"',
    "",
    ...table(commands.map((command) => [command.name, command.summary])),
    "",
    ...table([
      ["--help", "this text; after a command: its options"],
      ["--version", "the version"],
    ]),
    "",
    ...wrap(`Exit codes: ${EXIT_CODES.map(([code, means]) => `${code} ${means}`).join("; ")}.`),
    "",
  ].join("\n");
}

/** Help of one command. */
export function commandHelp(command: CommandSpec): string {
  const { positional, options, notes, examples } = command;
  const rows = Object.entries(options).map(([name, option]) => [flag(name, option), describe(option)] as const);
  return [
    `usage: ${usage(command)}`,
    "",
    sentence(command),
    "",
    ...table([
      ...(positional === null ? [] : [[positional.name, positional.help] as const]),
      ...rows,
      ["--help", "this text"],
    ]),
    ...notes.flatMap((note) => ["", ...wrap(note)]),
    "",
    examples.length === 1 ? "Example:" : "Examples:",
    ...examples.flatMap(({ line, does }) => [`  ${line}`, ...wrap(does, WIDTH - 6).map((part) => `      ${part}`)]),
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

/** Two columns, the second wrapped. */
function table(rows: readonly (readonly [string, string])[]): string[] {
  const column = Math.max(...rows.map(([left]) => left.length)) + 4;
  return rows.flatMap(([left, right]) =>
    wrap(right, WIDTH - column).map((line, i) => `  ${i === 0 ? left : ""}`.padEnd(column) + line)
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
