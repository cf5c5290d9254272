/**
 * Texts that a template calls safe: to Python they are texts of another kind, which escape what is added to them and
 * are written in another way within lists.
 */
import type { Make } from "./template_make.ts";
import { asSafe, type Covered, isSafe, isText, rewritten, textOf, type Value } from "./template_values.ts";

const ENTITIES: Readonly<Record<string, string>> = {
  ...{ "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;" },
};

/** A text without signs of HTML. */
export function escaped(text: string, covered: Covered): string {
  return rewritten(text, covered, /[&<>'"]/g, (sign) => ENTITIES[sign]!);
}

/** Jinja's `escape`: what is safe stays. */
export function escapedValue(value: Value, make: Make, covered: Covered): Value {
  if (isSafe(value)) return value;
  const text = textOf(value, covered);
  make.room(text.length * 5);
  return asSafe(make.text(escaped(text, covered)));
}

/** Two texts as one: where one is safe, the other one is escaped. */
export function joinedTexts(left: Value, right: Value, make: Make, covered: Covered): Value {
  if (!isText(left, covered) || !isText(right, covered)) throw new Error(`adds ${left.type} and ${right.type}`);
  if (!isSafe(left) && !isSafe(right)) return make.text(`${left.value}${right.value}`);
  const [one, other] = [left, right].map((text) => escapedValue(text, make, covered)) as [Value, Value];
  return asSafe(make.text(`${one.value}${other.value}`));
}
