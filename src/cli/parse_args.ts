/** The argument parser of Deno's standard library, typed here because its npm form carries no declarations. */
import * as std from "@std/cli/parse-args";

/** The part of the parser's options that this program uses. */
export interface ParseArgsOptions {
  /** Names whose values stay strings; `_` stands for the positional arguments. */
  readonly string: readonly string[];
  readonly boolean: readonly string[];
  /** Names that may be repeated; their values arrive as arrays. */
  readonly collect: readonly string[];
  /** Short name to long name. */
  readonly alias: Readonly<Record<string, string>>;
  /** Called for every argument that no name above covers, positional ones included (then `key` is undefined). */
  readonly unknown: (argument: string, key?: string) => void;
}

/** What was parsed: positional arguments under `_`, and each name's values. */
export interface ParsedArgs {
  readonly _: readonly string[];
  readonly [name: string]: unknown;
}

/** Splits arguments into options and positional arguments; everything after `--` is positional. */
export const parseArgs = (std as unknown as {
  parseArgs(args: readonly string[], options: ParseArgsOptions): ParsedArgs;
}).parseArgs;
