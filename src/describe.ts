/** How values of a file appear in messages: always on one line, never long, whatever bytes a file holds. */
import { printableLine } from "./printable.ts";
import { isWrittenNumber } from "./json_numbers.ts";

/** Characters of a name or a value that a message shows. */
const SHOWN_CHARACTERS = 160;

/** Text on one line, without what a terminal would obey, and cut where it is long. */
export function printable(text: string): string {
  return printableLine(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text);
}

/**
 * What a message says was got. Objects and arrays are not spelled out: one from a file may be as deep as the file is
 * long. `nothing`, `"yarn"` with its quotes, `an array of 2`, `an object`, `null`, `1.5`.
 */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return `"${printable(value)}"`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (isWrittenNumber(value)) return printable(value.rawJSON);
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value === "function") return "a function";
  return typeof value === "bigint" ? `${value}n` : String(value);
}

/** The same where a number is expected: one stays a number, for whoever reads the mistake and not its line. */
export const showOrNumber = (value: unknown): string | number => typeof value === "number" ? value : show(value);

/** A shape as Python and JavaScript write it. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.slice(0, 8).join(", ")}${shape.length > 8 ? ", …" : ""}]`;
}

/** The first `most` names and how many others there are: `a`, `a and 3 more`. */
export function firstOf(names: readonly string[], most = 1): string {
  const more = names.length > most ? ` and ${names.length - most} more` : "";
  return `${names.slice(0, most).join(", ")}${more}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function allOf(things: readonly string[]): string {
  return things.length < 2 ? things.join("") : `${things.slice(0, -1).join(", ")} and ${things.at(-1)}`;
}

/** `a`, `a or b`, `a, b or c`. */
export function anyOf(choices: readonly string[]): string {
  return choices.length < 2 ? choices.join("") : `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
}
