/** JSON Schemas of strings and numbers. */
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { combined, type Dfa, quoted } from "./dfa.ts";
import { BESIDE_PATTERN, FORMATS, LONGEST, PATTERNED, UNBOUND } from "./formats.ts";
import { bounded } from "./lengths.ts";
import { bytes, counted, type Node, NOTHING } from "./node.ts";
import { isMultiple, numbers } from "./numbers.ts";
import { patternText } from "./pattern.ts";
import { Patterns, type SchemaObject } from "./schema_merge.ts";
import { anyMeasured, anyString, measuredText } from "./strings.ts";

/** Longest text whose characters are counted. */
const MAX_LENGTH = 1_000_000;

/**
 * The strings that a schema takes.
 *
 * @param where What messages begin with.
 * @throws {InputError} if its keywords are not supported.
 */
export function stringNode(schema: SchemaObject, where: string): Node {
  const [min, most] = countsOf(schema, "Length");
  for (const [name, value] of [["minLength", min], ["maxLength", most]] as const) {
    if (value !== Infinity && value > MAX_LENGTH) {
      throw InputError.of("unsupported", { name: `${where}.${name}` }, `a count of at most ${MAX_LENGTH}`, value);
    }
  }
  const { pattern, format } = schema, max = Math.min(most, LONGEST.get(format as string) ?? Infinity);
  if (min > max) return NOTHING;
  let text: Dfa | null | undefined;
  const meet = (other: Dfa | null) => {
    text = text === undefined || other === null ? other : text && combined(text, other, "both", where);
  };
  if (pattern !== undefined) {
    for (const one of Patterns.of(pattern)) meet(patternText(one, `${where}.pattern`));
  }
  const said = formatPattern(format as string | undefined, pattern !== undefined, where);
  if (said !== null) meet(patternText(said, `${where}.format`));
  if (text === null) return NOTHING;
  if (min === 0 && max === Infinity) return bytes(text === undefined ? anyString() : quoted(text));
  const string = text === undefined ? anyMeasured() : measuredText(text, where);
  return string === null ? NOTHING : counted(bounded(string, min, max, where));
}

/**
 * The pattern of a format; null where it says nothing more.
 *
 * @param patterned Whether a pattern stands beside it.
 * @throws {InputError} if it is not known.
 */
function formatPattern(format: string | undefined, patterned: boolean, where: string): string | null {
  if (format === undefined || UNBOUND.has(format) || (patterned && PATTERNED.has(format))) return null;
  const known = (patterned ? BESIDE_PATTERN.get(format) : undefined) ?? FORMATS.get(format);
  if (known !== undefined) return known;
  const expected = `one of ${[...FORMATS.keys(), ...UNBOUND].join(", ")}`;
  throw InputError.of("unsupported", { name: `${where}.format` }, expected, show(format));
}

/**
 * The numbers that a schema takes.
 *
 * @throws {InputError} if its bounds are not supported.
 */
export function numberNode(schema: SchemaObject, integer: boolean, where: string): Node {
  const lows: number[] = [], highs: number[] = [];
  const take = (name: string, list: number[], change: (value: number) => number) => {
    const value = numberOf(schema, name);
    if (value !== undefined) list.push(change(value));
  };
  const inside = (towards: 1 | -1) => (value: number) =>
    // From 2 ** 53 on one more is not always another number.
    integer && Math.abs(value) < 2 ** 53
      ? (towards > 0 ? Math.floor(value) + 1 : Math.ceil(value) - 1)
      // The next number is the first that readers do not round to the bound itself.
      : neighbour(value, towards);
  take("minimum", lows, (value) => value);
  take("exclusiveMinimum", lows, inside(1));
  take("maximum", highs, (value) => value);
  take("exclusiveMaximum", highs, inside(-1));
  const multipleOf = numberOf(schema, "multipleOf");
  // Above the largest number there is none.
  if (lows.includes(Infinity) || highs.includes(-Infinity)) return NOTHING;
  return bytes(numbers({
    integer,
    ...(lows.length > 0 ? { minimum: Math.max(...lows) } : {}),
    ...(highs.length > 0 ? { maximum: Math.min(...highs) } : {}),
    ...(multipleOf === undefined ? {} : { multipleOf }),
  }, where));
}

/** Whether a number keeps what a schema says of numbers. */
export function meetsBounds(value: number, schema: SchemaObject): boolean {
  const of = (name: string) => numberOf(schema, name), multipleOf = of("multipleOf");
  return value >= (of("minimum") ?? -Infinity) && value > (of("exclusiveMinimum") ?? -Infinity) &&
    value <= (of("maximum") ?? Infinity) && value < (of("exclusiveMaximum") ?? Infinity) &&
    (multipleOf === undefined || isMultiple(value, multipleOf));
}

/** A keyword's number; undefined: absent. */
function numberOf(schema: SchemaObject, name: string): number | undefined {
  return schema[name] as number | undefined;
}

/** The least and the most of something, such as `Items`; by default 0 and Infinity. */
export function countsOf(schema: SchemaObject, what: string): [min: number, max: number] {
  return [numberOf(schema, `min${what}`) ?? 0, numberOf(schema, `max${what}`) ?? Infinity];
}

/** The next larger or smaller number. */
function neighbour(value: number, towards: 1 | -1): number {
  if (value === 0) return towards * Number.MIN_VALUE;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  view.setBigInt64(0, view.getBigInt64(0) + ((value > 0) === (towards > 0) ? 1n : -1n));
  return view.getFloat64(0);
}
