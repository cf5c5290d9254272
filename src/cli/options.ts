/**
 * Commands as data: each command is a table of options with zod schemas, from which both its parser and its `--help`
 * follow, so that the two cannot drift apart.
 */
import { UsageError } from "./spelling.ts";
import { z } from "zod";
import type { InputError } from "../errors.ts";
import { SCHEME_NAMES } from "../plan/scheme.ts";
import { closest } from "./closest.ts";
import { parseArgs } from "./parse_args.ts";

/** One option of a command. */
export interface Option<T = unknown> {
  /** What the value is called in help, for instance `N`; null for a switch that takes no value. */
  readonly value: string | null;
  readonly help: string;
  /** Whether it may be given several times; `schema` then gets all texts in order. */
  readonly many?: true;
  /** From the text on the command line (undefined where the option is absent) to the value; for a switch from true. */
  readonly schema: z.ZodType<T>;
}

/** Options by long name, in the order of the help text. */
export type OptionTable = Readonly<Record<string, Option>>;

/** What a table's options are after validation. */
export type OptionValues<O extends OptionTable> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

/** The one positional argument that a command takes, or with `many` each of them. */
export interface Positional {
  readonly name: string;
  readonly help: string;
  readonly many?: true;
  /** What it may be, where it is one of a few words. */
  readonly words?: readonly string[];
}

/** A command line, as it is typed, and what it does. */
export interface Example {
  readonly line: string;
  readonly does: string;
}

/** A command of the program. */
export interface CommandSpec<O extends OptionTable = OptionTable> {
  readonly name: string;
  /** One line for the program's help. */
  readonly summary: string;
  readonly positional: Positional | null;
  readonly options: O;
  /** Command lines that help shows; tests/cli/examples_test.ts carries them out. */
  readonly examples: readonly Example[];
  /** Paragraphs below the options in the command's help. */
  readonly notes: readonly string[];
  /** What to type in place of options of other commands, by their names. */
  readonly instead?: Readonly<Record<string, string>>;
}

/** A parsed command line. */
export interface Parsed<O extends OptionTable> {
  readonly options: OptionValues<O>;
  readonly positional: string | undefined;
  /** All of them, where the command takes many. */
  readonly positionals?: readonly string[];
}

/** Declares an option that takes a value. */
export function option<T>(value: string, schema: z.ZodType<T>, help: string): Option<T> {
  return { value, schema, help };
}

/** Declares an option that takes a value and may be given several times. */
export function repeated<T>(
  value: string,
  item: z.ZodType<T, string>,
  help: string,
): Option<readonly [T, ...T[]] | undefined> {
  return { value, many: true, schema: z.tuple([item], item).optional(), help: `${help}; may be given several times` };
}

/** Declares a switch, false unless given. */
export function toggle(help: string): Option<boolean> {
  return { value: null, schema: z.boolean().default(false), help };
}

/** Schema of an integer in a closed range. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  return z.string().transform((text, context) => {
    const number = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
    if (number >= min && number <= max) return number;
    const open = max === Number.MAX_SAFE_INTEGER && !(number > max);
    const range = open ? `of at least ${min}` : `from ${min} to ${max}`;
    context.addIssue({ code: "custom", message: `expected an integer ${range}` });
    return z.NEVER;
  });
}

/** Schema of a decimal number; `accepts` judges it and `expected` says what it accepts. */
export function decimal(expected: string, accepts: (number: number) => boolean) {
  return z.string().transform((text, context) => {
    const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
    if (Number.isFinite(number) && accepts(number)) return number;
    context.addIssue({ code: "custom", message: `expected ${expected}` });
    return z.NEVER;
  });
}

/** Schema of one of a few words. */
export function choice<const T extends readonly string[]>(...words: T) {
  return z.enum(words, { error: `expected ${words.slice(0, -1).join(", ")} or ${words.at(-1)}` });
}

/** Schema of a text that is not empty; `expected` names what it holds. */
export function text(expected: string) {
  return z.string().min(1, { error: `expected ${expected}` });
}

/** Schema of token ids, separated by commas. */
export function tokenIds() {
  return z.string().transform((text, context) => {
    const ids = text.split(",").map((id) => /^\s*\d+\s*$/.test(id) ? Number(id) : NaN);
    if (ids.every((id) => id <= MAX_TOKEN_ID)) return Int32Array.from(ids);
    context.addIssue({ code: "custom", message: "expected token ids separated by commas" });
    return z.NEVER;
  });
}

/** Token ids are stored as int32. */
const MAX_TOKEN_ID = 2 ** 31 - 1;

/**
 * Validates a command line against a command's table.
 *
 * @throws {InputError} naming the option, what was expected and what was got.
 */
export function parseCommand<O extends OptionTable>(spec: CommandSpec<O>, args: readonly string[]): Parsed<O> {
  const names = Object.keys(spec.options);
  const isSwitch = (name: string) => spec.options[name]!.value === null;
  const parsed = parseArgs(bindValues(spec, args, names, isSwitch), {
    string: ["_", ...names.filter((name) => !isSwitch(name))],
    boolean: names.filter(isSwitch),
    collect: names,
    alias: {},
    unknown: (argument, key) => {
      if (key !== undefined) throw unknownOption(spec, argument, names);
    },
  });
  const [positional, second] = parsed._;
  if (positional !== undefined && spec.positional === null) {
    const got = `"${positional}"${optionFor(positional, names)}`;
    throw UsageError.of("wrong_value", { name: `mxoss ${spec.name}` }, "options only", got);
  }
  const many = spec.positional?.many === true;
  if (second !== undefined && !many) {
    const name = spec.positional!.name;
    const quotes = name === "PROMPT" ? " (put a PROMPT of several words in quotes)" : "";
    throw UsageError.of("wrong_value", { name }, "one", `also "${second}"${quotes}`);
  }
  if (many && parsed._.includes("")) {
    throw UsageError.of("wrong_value", { name: spec.positional!.name }, "a directory", '""');
  }
  const entries = names.map((name) => [name, validate(name, spec.options[name]!, parsed[name])]);
  const options = Object.fromEntries(entries) as OptionValues<O>;
  return { options, positional, ...(many ? { positionals: parsed._ } : {}) };
}

/**
 * Writes every option as `--name=value`, the one spelling that `parseArgs` never guesses at, and refuses what it would
 * accept in silence. No setting of it reads the following as it is meant (`tests/cli/options_test.ts` holds each):
 *
 * - `--temperature -1`: no temperature, and an unknown option `-1`.
 * - `--out ""`: an empty positional argument.
 * - `--out` without a value: an empty one, as `--out=` gives.
 * - `--json true`: `true` is the switch's value and no prompt.
 * - `--json=no`: the switch is on.
 * - `--no-out=x`: `--out`, although `out` is no switch.
 */
function bindValues(
  spec: CommandSpec,
  args: readonly string[],
  names: readonly string[],
  isSwitch: (name: string) => boolean,
): string[] {
  const bound: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!;
    if (argument === "--") return [...bound, ...args.slice(i)];
    const [name, value] = splitOption(argument);
    if (name === null) {
      bound.push(argument);
    } else if (!names.includes(name)) {
      throw unknownOption(spec, argument, names);
    } else if (isSwitch(name)) {
      if (value !== null) throw UsageError.saying("unsupported", { option: name }, `takes no value, got "${value}"`);
      bound.push(`--${name}=true`);
    } else {
      const next = value ?? args[++i];
      if (next === undefined || (value === null && /^--([a-z]|$)/.test(next))) {
        throw UsageError.of(
          "missing",
          { option: name },
          `a value${next === undefined ? "" : `, got the option ${next}`}`,
        );
      }
      bound.push(`--${name}=${next}`);
    }
  }
  return bound;
}

/** Name and inline value of `--name` or `--name=value`; nulls where there are none. */
function splitOption(argument: string): [name: string | null, value: string | null] {
  const match = /^--([^=]+)(?:=(.*))?$/s.exec(argument);
  return [match?.[1] ?? null, match?.[2] ?? null];
}

function validate(name: string, { schema, many }: Option, given: unknown): unknown {
  const values = Array.isArray(given) ? given : given === undefined ? [] : [given];
  if (many) {
    const all = schema.safeParse(values.length === 0 ? undefined : values);
    if (all.success) return all.data;
    const [issue] = all.error.issues as [z.core.$ZodIssue];
    throw UsageError.saying("wrong_value", { option: name }, withGiven(issue, String(values[Number(issue.path[0])])));
  }
  if (values.length > 1) throw UsageError.of("contradiction", { option: name }, "once", `${values.length} times`);
  const result = schema.safeParse(values[0]);
  if (result.success) return result.data;
  if (values.length === 0) throw UsageError.saying("missing", { option: name }, "required, but not given");
  throw UsageError.saying(
    "wrong_value",
    { option: name },
    withGiven(result.error.issues[0]!, String(values[0])),
  );
}

/** An issue of a schema whose message says what was got itself, for instance of one word of a list. */
export function sayingGot(message: string) {
  return { code: "custom", message, params: { [SAYS_GOT]: true } } as const;
}

/** An issue of a schema for a part of the value, as one of the whole value. */
export function ofPart(issue: z.core.$ZodIssue, message = issue.message) {
  return saysGot(issue) ? sayingGot(message) : { code: "custom", message } as const;
}

/** What was expected and what was got. */
export function withGiven(issue: z.core.$ZodIssue, given: string): string {
  return saysGot(issue) ? issue.message : `${issue.message}, got "${given}"`;
}

/** The parameter of an issue that marks {@linkcode sayingGot}. */
const SAYS_GOT = "saysGot";

function saysGot(issue: z.core.$ZodIssue): boolean {
  return issue.code === "custom" && issue.params?.[SAYS_GOT] === true;
}

/** The option that a word alone seems to be the value of, as a hint; empty where none is likely. */
function optionFor(word: string, names: readonly string[]): string {
  const scheme = schemeNear(word),
    kind = /\.(?:txt|md)$/.test(word) ? "text" : scheme === undefined ? "model" : "scheme";
  // A word may as well be a prompt.
  if (!names.includes(kind) || names.includes("prompt")) return "";
  return `; did you mean --${kind} ${kind === "scheme" ? scheme : word}?`;
}

/** The scheme of a name, or of one with a slip; short ones are near to names of other things. */
function schemeNear(word: string): string | undefined {
  return word.length > 4 ? closest(word, SCHEME_NAMES) : SCHEME_NAMES.find((name) => name === word);
}

function unknownOption(spec: CommandSpec, argument: string, names: readonly string[]): InputError {
  const [name, value] = splitOption(argument);
  // Without a value, help would have been shown.
  if (name === "help") return UsageError.saying("unsupported", { option: name }, `takes no value, got "${value}"`);
  if (name === "version") return UsageError.of("unsupported", { option: name }, "mxoss --version alone", argument);
  if (name === null) {
    const positional = spec.positional ? `; a ${spec.positional.name} that begins with a dash goes after --` : "";
    return UsageError.saying("wrong_value", { name: argument }, `unknown option of mxoss ${spec.name}${positional}`);
  }
  // Not what every object has, such as `constructor`.
  const instead = Object.entries(spec.instead ?? {}).find(([other]) => other === name)?.[1],
    near = closest(name, [...names, "help", "version"]);
  const hint = instead !== undefined
    ? `; ${instead}`
    : near === undefined
    ? `; mxoss ${spec.name} --help lists them`
    : `; did you mean --${near}?`;
  // As it was typed: the command line has its own spelling for options that there are.
  return UsageError.saying("wrong_value", { name: `--${name}` }, `unknown option of mxoss ${spec.name}${hint}`);
}
