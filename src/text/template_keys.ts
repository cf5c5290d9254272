/**
 * Keys of dictionaries. They are texts, and a number, truth or none as a key is one that the cover makes of it, which
 * no text of a message or a template is.
 */
import type { Make } from "./template_make.ts";
import { type Covered, floatText, isSafe, type Value } from "./template_values.ts";

/** The key that a value is. */
export function keyOf(value: Value, covered: Covered): string {
  switch (value.type) {
    case "StringValue":
      if (isSafe(value)) throw new Error("has a key that is called safe");
      return value.value as string;
    case "IntegerValue":
      return covered.quoted(String(value.value));
    case "FloatValue":
      return covered.quoted(floatText(value.value as number));
    case "BooleanValue":
      return covered.quoted(value.value === true ? "True" : "False");
    case "NullValue":
      return covered.quoted("None");
  }
  throw new Error(`has a ${value.type} as a key`);
}

/** The value that a key stands for. */
export function keyValue(key: string, make: Make, covered: Covered): Value {
  const written = covered.numberIn(key);
  if (written === null) return make.text(key);
  if (written === "None") return make.none();
  if (written === "True" || written === "False") return make.truth(written === "True");
  const number = numberAt(written);
  if (/[.enf]/.test(written)) return make.float(number);
  return Number.isSafeInteger(number) ? make.whole(number) : make.text(key);
}

function numberAt(written: string): number {
  if (written.endsWith("inf")) return written.startsWith("-") ? -Infinity : Infinity;
  return written === "True" ? 1 : written === "False" ? 0 : Number(written);
}

/** The key of a dictionary that equals another one, whichever of its characters are covered; undefined: none does. */
export function keyAlike(map: ReadonlyMap<string, unknown>, key: string, covered: Covered): string | undefined {
  if (map.has(key)) return key;
  const written = covered.numberIn(key);
  if (written !== null) {
    const number = numberAt(written);
    if (written === "None" || !Number.isInteger(number)) return undefined;
    const forms = [String(number), floatText(number), ...number === 0 ? ["0.0", "-0.0", "False"] : []];
    return [...forms, ...number === 1 ? ["True"] : []].map((form) => covered.quoted(form)).find((one) => map.has(one));
  }
  const shown = covered.show(key);
  if (shown === key && covered.cover(key) === key) return undefined;
  return map.keys().find((other) => covered.numberIn(other) === null && covered.show(other) === shown);
}

/** A dictionary's item; undefined: it has none. */
export function entryOf(map: ReadonlyMap<string, Value>, key: string, covered: Covered): Value | undefined {
  const found = keyAlike(map, key, covered);
  return found === undefined ? undefined : map.get(found);
}

/** A dictionary of pairs: of equal keys the first one stays, with the last one's item. */
export function dictionaryOf(pairs: Iterable<readonly [Value, Value]>, make: Make, covered: Covered): Value {
  const map = new Map<string, Value>(), firsts = new Map<string, string>();
  for (const [one, item] of pairs) {
    const key = keyOf(one, covered),
      written = covered.numberIn(key),
      number = written === null ? NaN : numberAt(written);
    const kind = written === null ? "text" : written === "None" || number !== number ? written : "number";
    const alike = `${kind} ${written === null ? covered.show(key) : number + 0}`, first = firsts.get(alike);
    if (first === undefined) firsts.set(alike, key);
    map.set(first ?? key, item);
  }
  return make.dictionary(map);
}
