/** JSON texts: blanks, names and values without a schema. */
import { byte, choice, compile, literal as spelled, repeat, sequence } from "./expression.ts";
import { all, bytes, literal, literalOf, type Node, NOTHING, oneOf, rule, times } from "./node.ts";
import { numbers } from "./numbers.ts";
import { anyString } from "./strings.ts";

/**
 * Blanks where JSON allows them: none, a space, or one or two line breaks with an indent of at most 40. Without a
 * bound, a model that has nothing more to say could write blanks until its tokens are used up.
 */
const BLANK = choice([
  sequence(),
  byte(0x20),
  sequence(repeat(byte(0x0a), 1, 2), repeat(choice([byte(0x20), byte(0x09)]), 0, 40)),
]);

/** A bracket with the blanks inside it, or a comma or colon with those that follow. */
const sign = (text: string, before: boolean, after: boolean): Node =>
  bytes(compile(sequence(...before ? [BLANK] : [], spelled(text), ...after ? [BLANK] : []), "sign"));

/** `{`, `}`, `[`, `]` and `,`, with blanks inside the brackets and after the comma. */
export const OPEN_OBJECT: Node = sign("{", false, true);
export const CLOSE_OBJECT: Node = sign("}", true, false);
export const OPEN_LIST: Node = sign("[", false, true);
export const CLOSE_LIST: Node = sign("]", true, false);
export const COMMA: Node = sign(",", false, true);
/** `:` after a name. */
export const COLON: Node = sign(":", false, true);

/** What stands between brackets: nothing (blanks are the brackets'), or items with commas. */
export function list(item: Node, min: number, max: number): Node {
  if (max === 0) return min > 0 ? NOTHING : all();
  const some = all(item, times(all(COMMA, item), Math.max(0, min - 1), max - 1));
  return min === 0 ? oneOf([all(), some]) : some;
}

/** An object with values of a kind under any names. */
function anyObject(value: Node): Node {
  return all(OPEN_OBJECT, list(all(bytes(anyString()), COLON, value), 0, Infinity), CLOSE_OBJECT);
}

/** A list of values of a kind. */
function anyList(value: Node): Node {
  return all(OPEN_LIST, list(value, 0, Infinity), CLOSE_LIST);
}

/** Any value, and any object. */
export const { ANY_VALUE, ANY_OBJECT } = (() => {
  const value = rule(), object = rule();
  object.node = anyObject(value);
  value.node = oneOf([
    object,
    anyList(value),
    bytes(anyString()),
    bytes(numbers({ integer: false }, "number")),
    literalOf(["true", "false", "null"]),
  ]);
  return { ANY_VALUE: value as Node, ANY_OBJECT: object as Node };
})();

/** One value, spelled as JSON.stringify does but for blanks. */
function valueNode(value: unknown): Node {
  if (Array.isArray(value)) {
    const items = value.flatMap((item, i) => i === 0 ? [valueNode(item)] : [COMMA, valueNode(item)]);
    return all(OPEN_LIST, ...items, CLOSE_LIST);
  }
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).flatMap(([name, item], i) => {
      const member = [literal(JSON.stringify(name)), COLON, valueNode(item)];
      return i === 0 ? member : [COMMA, ...member];
    });
    return all(OPEN_OBJECT, ...members, CLOSE_OBJECT);
  }
  return literal(JSON.stringify(value));
}

/** One of several values. */
export function valuesNode(values: readonly unknown[]): Node {
  const simple = values.filter((value) => typeof value !== "object" || value === null);
  const rest = values.filter((value) => typeof value === "object" && value !== null).map(valueNode);
  if (simple.length === 0) return oneOf(rest);
  const texts = [...new Set(simple.map((value) => JSON.stringify(value)))];
  return oneOf([literalOf(texts), ...rest]);
}
