/**
 * Arguments and options of callers whom no type keeps from a mistake: what is not known would change nothing, and what
 * is of another kind be taken for something else, in silence.
 */
import { InputError } from "../errors.ts";
import { printable, show, showOrNumber } from "../describe.ts";

/** The names of all options of an interface. */
export type Names<T> = { readonly [Name in keyof Required<T>]: true };

/**
 * What an argument of another kind is, in words: `a Float64Array`, `a function`, `an array of 2`.
 */
function kindOf(value: unknown): string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return show(value);
  const kind = Object.prototype.toString.call(value).slice("[object ".length, -1);
  return kind === "Object" ? "an object" : `${/^[AEIO]/.test(kind) ? "an" : "a"} ${printable(kind)}`;
}

/** The error of a call whose argument is of another kind. */
export const wrongKind = (name: string, expected: string, got: unknown): TypeError =>
  new TypeError(`${name}: expected ${expected}, got ${kindOf(got)}`);

/**
 * Refuses an array that another thread has.
 *
 * @throws {TypeError} naming the argument.
 */
export function refuseDetached(name: string, expected: string, given: ArrayLike<number>): void {
  if (!ArrayBuffer.isView(given) || !(given.buffer as ArrayBuffer).detached) return;
  throw new TypeError(`${name}: expected ${expected}, got one whose buffer is detached`);
}

/** Whether it is a map, or can be used as one. */
export function isMap(given: ReadonlyMap<unknown, unknown>): boolean {
  return typeof given?.get === "function" && typeof given[Symbol.iterator] === "function";
}

/** Whether it is a number that float32 holds as a finite one above 0. */
export function isScale(given: unknown): given is number {
  return typeof given === "number" && Math.fround(given) > 0 && Math.fround(given) < Infinity;
}

/**
 * Refuses what is no text.
 *
 * @throws {TypeError} naming the argument.
 */
export function refuseOtherThanText(name: string, got: unknown): void {
  if (typeof got !== "string") throw wrongKind(name, "a string", got);
}

/**
 * Refuses options of another kind.
 *
 * @throws {InputError} naming the option.
 */
export function refuseOtherType(
  name: string,
  type: "string" | "boolean" | "function",
  got: unknown,
): void {
  if (got === undefined || typeof got === type) return;
  throw InputError.of("wrong_value", { name }, TYPES[type], kindOf(got));
}

const TYPES = { string: "a string", boolean: "true or false", function: "a function" } as const;

/**
 * Refuses options that are none, and those of other names; without a value they say nothing.
 *
 * @throws {InputError} naming the first.
 */
export function refuseUnknown<T extends object>(options: T, names: Names<T>): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw InputError.of("wrong_value", { name: "options" }, "an object", kindOf(options));
  }
  const unknown = ([name, value]: [string, unknown]) => value !== undefined && !Object.hasOwn(names, name);
  const other = Object.entries(options).find(unknown)?.[0];
  if (other === undefined) return;
  const expected = `one of ${Object.keys(names).join(", ")}`;
  throw InputError.of("unsupported", { name: `option ${printable(other)}` }, expected, show(other));
}

/**
 * Refuses what is no whole number from `least` to `most`.
 *
 * @throws {InputError} naming the option.
 */
export function refuseOtherCount(name: string, least: number, got: unknown, most = Infinity): void {
  if (got === undefined || (typeof got === "number" && Number.isInteger(got) && got >= least && got <= most)) return;
  const range = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
  throw InputError.of("wrong_value", { name }, `a whole number ${range}`, showOrNumber(got));
}

/**
 * Refuses a word that is none of some.
 *
 * @throws {InputError} naming the option.
 */
export function refuseOtherWord(name: string, words: readonly string[], got: string | undefined): void {
  if (got === undefined || words.includes(got)) return;
  throw InputError.of("wrong_value", { name }, words.join(" or "), show(got));
}
