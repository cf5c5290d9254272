/** What Python's `json.dumps` writes of a template's values. */
import { type Covered, textOf, type Value, viewOf } from "./template_values.ts";

/** How it is written. */
export interface JsonForm {
  readonly ascii: boolean;
  /** What lines begin with, once for each level; null: all is one line. */
  readonly indent: string | null;
  readonly separators: readonly [item: string, key: string];
  /** Which of two keys comes first; null: as they are. */
  readonly order: ((a: string, b: string) => number) | null;
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
        : value.value as string;
    case "ArrayValue":
    case "TupleValue":
      if (viewOf(value) !== undefined) break;
      return bracketed("[]", (value.value as Value[]).map((one) => jsonOf(one, form, covered, depth + 1)), form, depth);
    case "ObjectValue": {
      const entries = [...value.value as ReadonlyMap<string, Value>], { order } = form;
      if (order !== null) entries.sort(([a], [b]) => order(a, b));
      const members = entries.map(([key, one]) =>
        jsonText(key, form, covered) + form.separators[1] + jsonOf(one, form, covered, depth + 1)
      );
      return bracketed("{}", members, form, depth);
    }
  }
  throw new Error(`has no JSON for ${viewOf(value)?.name ?? value.type}`);
}

function bracketed(
  brackets: string,
  items: readonly string[],
  { indent, separators }: JsonForm,
  depth: number,
): string {
  const [open, close] = brackets;
  if (indent === null || items.length === 0) return open + items.join(separators[0]) + close;
  const inner = `\n${indent.repeat(depth + 1)}`;
  return `${open}${inner}${items.join(separators[0] + inner)}\n${indent.repeat(depth)}${close}`;
}

function jsonText(text: string, { ascii }: JsonForm, covered: Covered): string {
  const quoted = JSON.stringify(text);
  if (!ascii) return quoted;
  return quoted.replace(
    /[\x7f-\uffff]/g,
    (one) => covered.stands(one) ? one : `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
