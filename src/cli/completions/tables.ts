/** What shells need to know of a command line, from the tables that parse it. */
import type { CommandSpec, Option, Positional } from "../options.ts";
import { describe } from "../help.ts";
import { valuesOf } from "../values.ts";

/** What an option's value, or an argument, is completed by. */
export type Completed =
  | { readonly kind: "none" | "files" | "directories" | "models" }
  | { readonly kind: "word" | "list"; readonly words: readonly string[] };

/** An option as shells see it. */
export interface ShellOption {
  readonly name: string;
  readonly help: string;
  /** What the value is called; null for a switch. */
  readonly value: string | null;
  readonly completed: Completed;
  readonly many: boolean;
}

/** A command as shells see it. */
export interface ShellCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly ShellOption[];
  /** What is completed where no option is; null where the command takes no argument. */
  readonly argument: Completed | null;
}

/** The commands; the first is what runs where none is named. */
export function shellCommands(specs: readonly CommandSpec[]): readonly ShellCommand[] {
  return specs.map(({ name, summary, positional, options }) => ({
    name,
    summary,
    options: [...Object.entries(options).map(shellOption), HELP],
    argument: positional === null ? null : argumentOf(positional, specs),
  }));
}

function argumentOf({ name, words }: Positional, specs: readonly CommandSpec[]): Completed {
  if (name === "COMMAND") return { kind: "word", words: specs.map((spec) => spec.name) };
  return words === undefined ? placeholder(name) : { kind: "word", words };
}

const HELP: ShellOption = {
  name: "help",
  help: "the options",
  value: null,
  completed: { kind: "none" },
  many: false,
};

function shellOption([name, option]: readonly [string, Option]): ShellOption {
  const { value, schema, many = false } = option, values = valuesOf(schema);
  const completed: Completed = value === null
    ? { kind: "none" }
    : values === null
    ? placeholder(value)
    : { kind: values.list ? "list" : "word", words: values.words };
  return { name, help: firstClause(describe(option)), value, completed, many };
}

/** What a value is by what help calls it. */
function placeholder(value: string): Completed {
  if (value === "MODEL") return { kind: "models" };
  if (value === "DIR") return { kind: "directories" };
  return { kind: value === "F" || value === "FILE" ? "files" : "none" };
}

/** Characters of a description that a list of completions has room for. */
const DESCRIBED = 72;

/** The first part of an option's help, which ends before what it only adds. */
function firstClause(help: string): string {
  const clause = help.split(/[;(]|, for instance/)[0]!.trim();
  const whole = clause === "" ? help : clause;
  return whole.length <= DESCRIBED ? whole : `${whole.slice(0, DESCRIBED).replace(/\s+\S*$/, "")} …`;
}

/** Lines of shell that print the names of the models in the Hugging Face cache. */
export const MODEL_NAMES = [
  'local home="${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}" name',
  'local hub="${HF_HUB_CACHE:-${HUGGINGFACE_HUB_CACHE:-$home/hub}}"',
  'for name in "$hub"/models--*/snapshots; do',
  '  [ -d "$name" ] || continue',
  '  name="${name%/snapshots}"; name="${name##*/models--}"',
  "  printf '%s\\n' \"${name//--//}\"",
  "done",
] as const;
