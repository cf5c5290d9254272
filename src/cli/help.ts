/** Help texts, from the same tables that parse the command line. */
import type { CommandSpec, Option } from "./options.ts";
import { VERSION } from "./version.ts";

/** Width that help is wrapped at, in characters. */
const WIDTH = 100;

/** Help of the whole program. */
export function programHelp(commands: readonly CommandSpec[]): string {
  return [
    `mxoss ${VERSION}: runs GPT-OSS models under OCP-MX quantization schemes, on any CPU`,
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
    ...wrap(
      "Exit codes: 0 done; 1 a failure of the program or the machine; 2 a mistake in the arguments, the config or " +
        "the checkpoint; 3 a comparison exceeded a limit of --fail-above; 130 interrupted.",
    ),
    "",
  ].join("\n");
}

/** Help of one command. */
export function commandHelp(command: CommandSpec): string {
  const { name, summary, positional, options, notes } = command;
  const usage = `usage: mxoss ${name} [OPTIONS]${
    positional === null ? "" : ` [${positional.name}${positional.many ? " ..." : ""}]`
  }`;
  const rows = Object.entries(options).map(([name, option]) => [flag(name, option), describe(option)] as const);
  return [
    usage,
    "",
    `${summary[0]!.toUpperCase()}${summary.slice(1)}.`,
    "",
    ...table([
      ...(positional === null ? [] : [[positional.name, positional.help] as const]),
      ...rows,
      ["--help", "this text"],
    ]),
    ...notes.flatMap((note) => ["", ...wrap(note)]),
    "",
  ].join("\n");
}

function flag(name: string, { value }: Option): string {
  return value === null ? `--${name}` : `--${name} ${value}`;
}

/** The option's help; its default is asked of the schema itself. */
function describe({ value, help, schema }: Option): string {
  const unset = schema.safeParse(undefined);
  if (!unset.success) return `${help} (required)`;
  return value === null || unset.data === undefined ? help : `${help} (default: ${unset.data})`;
}

/** Two columns, the second wrapped. */
function table(rows: readonly (readonly [string, string])[]): string[] {
  const column = Math.max(...rows.map(([left]) => left.length)) + 4;
  return rows.flatMap(([left, right]) =>
    wrap(right, WIDTH - column).map((line, i) => `  ${i === 0 ? left : ""}`.padEnd(column) + line)
  );
}

function wrap(text: string, width = WIDTH): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}
