/** Options of callers whom no type keeps from misspelling one: what is not known would change nothing, in silence. */
import { InputError } from "../errors.ts";
import { printable, show } from "../describe.ts";

/** The names of all options of an interface. */
export type Names<T> = { readonly [Name in keyof Required<T>]: true };

/**
 * Refuses options of other names; without a value they say nothing.
 *
 * @throws {InputError} naming the first.
 */
export function refuseUnknown<T extends object>(options: T, names: Names<T>): void {
  const other = Object.entries(options).find(([name, value]) => value !== undefined && !Object.hasOwn(names, name));
  if (other === undefined) return;
  const expected = `one of ${Object.keys(names).join(", ")}`;
  throw InputError.of("unsupported", { name: `option ${printable(other[0])}` }, expected, show(other[1]));
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
