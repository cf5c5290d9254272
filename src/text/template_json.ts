/** What Python's `json.dumps` writes of a template's values. */
import { type Covered, rewritten, textOf, type Value, viewOf } from "./template_values.ts";

/** How it is written. */
export interface JsonForm {
  readonly ascii: boolean;
  /** What lines begin with, once for each level; null: all is one line. */
  readonly indent: string | null;
  readonly separators: readonly [item: string, key: string];
  /** Which of two keys comes first; null: as they are. */
  readonly order: ((a: string, b: string) => number) | null;
  /** Told of characters before they are made; refuses too many. */
  readonly spend: (length: number) => void;
}

/** A value as JSON. */
export function jsonOf(value: Value, form: JsonForm, covered: Covered, depth = 0): string {
  switch (value.type) {
    case "NullValue":
      return "null";
    case "BooleanValue":
      return String(value.value);
    case "IntegerValue":
      return textOf(value, covered);
    case "FloatValue": {
      const text = textOf(value, covered);
      return { nan: "NaN", inf: "Infinity", "-inf": "-Infinity" }[text] ?? text;
    }
    case "StringValue":
      return covered.numberIn(value.value as string) === null
        ? jsonText(value.value as string, form, covered)
        : textOf(value, covered);
    case "ArrayValue":
    case "TupleValue":
      if (viewOf(value) !== undefined) break;
      return bracketed("[]", (value.value as Value[]).map((one) => jsonOf(one, form, covered, depth + 1)), form, depth);
    case "ObjectValue": {
      const entries = [...value.value as ReadonlyMap<string, Value>], { order } = form;
      if (order !== null) {
        if (entries.some(([key]) => covered.numberIn(key) !== null)) throw new Error("sorts keys that are no texts");
        entries.sort(([a], [b]) => order(a, b));
      }
      const members = entries.map(([key, one]) =>
        keyText(key, form, covered) + form.separators[1] + jsonOf(one, form, covered, depth + 1)
      );
      return bracketed("{}", members, form, depth);
    }
  }
  throw new Error(`has no JSON for ${viewOf(value)?.name ?? value.type}`);
}

const KEYS: Readonly<Record<string, string>> = {
  ...{ True: "true", False: "false", None: "null", inf: "Infinity", "-inf": "-Infinity" },
};

function keyText(key: string, form: JsonForm, covered: Covered): string {
  const written = covered.numberIn(key);
  return written === null ? jsonText(key, form, covered) : `"${covered.cover(KEYS[written] ?? written)}"`;
}

function bracketed(
  brackets: string,
  items: readonly string[],
  { indent, separators, spend }: JsonForm,
  depth: number,
): string {
  const [open, close] = brackets, line = indent === null ? 0 : 1 + indent.length * (depth + 1);
  spend(items.length * (line + separators[0].length + separators[1].length));
  if (indent === null || items.length === 0) return open + items.join(separators[0]) + close;
  const inner = `\n${indent.repeat(depth + 1)}`;
  return `${open}${inner}${items.join(separators[0] + inner)}\n${indent.repeat(depth)}${close}`;
}

/** What JSON has a backslash for; and all that is no letter, digit or sign of English. */
const ESCAPED = /["\\]|[^ -\uffff]/g;
const NO_ASCII = /["\\]|[^ -~]/g;

function jsonText(text: string, { ascii, spend }: JsonForm, covered: Covered): string {
  spend(text.length);
  return `"${
    rewritten(text, covered, ascii ? NO_ASCII : ESCAPED, (one) => {
      if (one < "\x7f") return JSON.stringify(one).slice(1, -1);
      return ascii ? `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}` : one;
    })
  }"`;
}
