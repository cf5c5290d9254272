/** Python's `text % values`. */
import { floatForm } from "./template_exact.ts";
import { entryOf } from "./template_keys.ts";
import type { Make } from "./template_make.ts";
import { firstOf, padded } from "./template_widths.ts";
import { type Covered, isNumber, isSafe, literalOf, textOf, type Value, viewOf } from "./template_values.ts";

const DIRECTIVE = /%(?:\(([^()]*)\))?([-+ 0]*)(\d*)(?:\.(\d*))?[hlL]?([diuxXoeEfFgGsr%])?/g;

/** What `%` makes of a text and values. */
export function percentFormatted(format: Value, values: Value, make: Make, covered: Covered): Value {
  if (isSafe(format)) throw new Error("formats what is called safe");
  const text = format.value as string, shown = covered.show(text);
  const list = values.type === "TupleValue" ? values.value as Value[] : [values];
  const names = values.type === "ObjectValue" ? values.value as ReadonlyMap<string, Value> : null;
  let result = "", at = 0, used = 0, isNamed = false;
  for (const found of shown.matchAll(DIRECTIVE)) {
    const [all, name, flags, width, digits, type] = found;
    result += text.slice(at, found.index);
    at = found.index + all.length;
    if (type === undefined || type === "%" && all !== "%%") throw new Error(`formats by ${all}`);
    if (type === "%") result += text[found.index];
    else {
      if (name !== undefined && names === null) throw new Error("formats by names what has none");
      // A name leaves nothing for what has none; before it, that is the dictionary.
      if (name === undefined && isNamed) throw new Error("formats by a name, and then without");
      isNamed ||= name !== undefined;
      const value = name === undefined ? list[used++] : entryOf(names!, name, covered);
      if (value === undefined) throw new Error("formats more values than there are");
      const precision = digits === undefined ? undefined : Number(digits);
      result += formed(value, type, flags!, Number(width), precision, make, covered);
    }
    make.room(result.length);
  }
  const canBeLeft = ["ObjectValue", "ArrayValue"].includes(values.type) &&
    [undefined, "range"].includes(viewOf(values)?.name);
  if (used < list.length && !canBeLeft) throw new Error("formats fewer values than there are");
  return make.text(result + text.slice(at));
}

function formed(
  value: Value,
  type: string,
  flags: string,
  width: number,
  digits: number | undefined,
  make: Make,
  covered: Covered,
): string {
  const align = flags.includes("-") ? "<" : ">";
  if (type === "s" || type === "r") {
    const text = type === "s" ? textOf(value, covered) : literalOf(value, covered);
    return padded(digits === undefined ? text : firstOf(text, digits), width, align, " ", make);
  }
  const held = typeof value.value === "boolean" ? Number(value.value) : value.value;
  if (typeof held !== "number" || !isNumber(value) && value.type !== "BooleanValue") {
    throw new Error(`formats a ${value.type} as a number`);
  }
  const isFloat = /[efg]/i.test(type), whole = Math.trunc(held);
  if (
    !isFloat &&
    (digits !== undefined || !Number.isSafeInteger(whole) || /[xo]/i.test(type) && value.type === "FloatValue")
  ) {
    throw new Error("formats a whole number by digits, or what is none");
  }
  const base = /x/i.test(type) ? 16 : type === "o" ? 8 : 10, size = Math.abs(isFloat ? held : whole);
  const body = isFloat ? floatForm(size, type, digits ?? 6) : size.toString(base);
  const isBelow = isFloat ? held < 0 || Object.is(held, -0) : whole < 0;
  const sign = isBelow ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  const text = type === "X" ? body.toUpperCase() : body;
  if (!flags.includes("0") || align === "<") return padded(sign + text, width, align, " ", make);
  return sign + padded(text, width - sign.length, ">", "0", make);
}
