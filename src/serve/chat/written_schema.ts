/**
 * JSON Schemas with the numbers that a client wrote, for grammars, which take JavaScript's: where JavaScript writes an
 * integer with other digits, a reply would hold another one than was asked for.
 */
import { show } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import { isWrittenNumber, plainNumbers, type WrittenNumber } from "../../json_numbers.ts";
import { isObject } from "../../json_object.ts";

/** What stands at a place: a schema, schemas by names, or a value. */
type Kind = "schema" | "names" | "value";

/** Keywords with schemas by names. */
const BY_NAME: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "dependentSchemas",
  "$defs",
  "definitions",
]);
/** Keywords that say nothing about values. */
const NOTES: ReadonlySet<string> = new Set(["default", "example", "examples"]);
/** Bounds of values, and on which side of them these are. */
const BOUNDS: ReadonlyMap<string, bigint> = new Map([
  ["minimum", 1n],
  ["exclusiveMinimum", 1n],
  ["maximum", -1n],
  ["exclusiveMaximum", -1n],
]);

/**
 * A schema with JavaScript's numbers. A bound that would have other digits then becomes one within it that has not, so
 * that nothing is allowed that the schema forbids.
 *
 * @param where What messages begin with.
 * @throws {InputError} naming an integer that would have other digits in a `const` or an `enum`, or as a bound in a
 * schema with `not` or `if`, by which what is within a bound may be what is forbidden.
 */
export function plainSchema(schema: unknown, where: string): unknown {
  const negates = /"(?:not|if)":/.test(JSON.stringify(schema) ?? "");
  const plain = (value: unknown, path: string, kind: Kind): unknown => {
    if (isWrittenNumber(value)) return kind === "value" ? exact(value, path) : Number(value.rawJSON);
    if (Array.isArray(value)) return value.map((inner, i) => plain(inner, `${path}[${i}]`, kind));
    if (!isObject(value)) return value;
    const member = (key: string, inner: unknown): unknown => {
      const at = `${path}.${key}`, side = BOUNDS.get(key);
      if (kind === "names") return plain(inner, at, "schema");
      if (kind === "value") return plain(inner, at, kind);
      if (NOTES.has(key)) return plainNumbers(inner);
      if (side !== undefined && isWrittenNumber(inner)) return negates ? exact(inner, at) : within(inner, side);
      if (key === "const" || key === "enum") return plain(inner, at, "value");
      return plain(inner, at, BY_NAME.has(key) ? "names" : kind);
    };
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, member(key, inner)]));
  };
  return plain(schema, where, "schema");
}

/** The integer that a number is by its digits; null where it is written with a point or an exponent. */
function integerOf(text: string): bigint | null {
  return /^-?\d+$/.test(text) ? BigInt(text) : null;
}

/** The integer that JavaScript writes for a large number, also where it writes an exponent. */
function digitsOf(value: number): bigint {
  const [digits, power] = value.toExponential().split("e") as [string, string];
  const [whole, fraction = ""] = digits.split(".") as [string, string?];
  return BigInt(whole + fraction.padEnd(Number(power), "0"));
}

/** A number whose digits stay. */
function exact(written: WrittenNumber, path: string): number {
  const integer = integerOf(written.rawJSON), value = Number(written.rawJSON);
  if (integer === null || Number.isFinite(value) && digitsOf(value) === integer) return value;
  throw InputError.of("unsupported", { name: path }, "an integer that float64 holds with all digits", show(written));
}

/** The number, or where its digits do not stay, one beside it on a side. */
function within(written: WrittenNumber, side: bigint): number {
  const integer = integerOf(written.rawJSON);
  let value = Number(written.rawJSON);
  // A few units are less than the distance of numbers here, so that it takes some tries.
  for (let tries = 1n; integer !== null && Number.isFinite(value); tries *= 2n) {
    if ((digitsOf(value) - integer) * side >= 0n) break;
    value = Number(integer + side * tries);
  }
  return value;
}
