/** Python's `text.format(values)`, as Jinja's sandbox has it. */
import { floatForm } from "./template_exact.ts";
import { entryOf } from "./template_keys.ts";
import type { Make } from "./template_make.ts";
import { firstOf, padded } from "./template_widths.ts";
import { type Covered, isText, literalOf, textOf, type Value } from "./template_values.ts";

/** What a text is formatted with. */
export interface Formatted {
  readonly args: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
  readonly make: Make;
  readonly covered: Covered;
  /** A member of a value, by its name with a point or by its key. */
  readonly member: (value: Value, key: string | number, isDotted: boolean) => Value;
}

/** A part of a format between braces. */
interface Field {
  readonly name: string;
  readonly conversion: string;
  readonly spec: string;
  readonly end: number;
}

/** Which value comes next where none is named; null: they have numbers. */
interface Place {
  next: number | null;
}

/** A format with its values. */
export function formatted(text: string, values: Formatted, place: Place = { next: 0 }, depth = 2): string {
  const { make, covered } = values, shown = covered.show(text);
  if (depth < 0) throw new Error("has formats within formats within formats");
  let result = "", from = 0, at = 0;
  while (at < shown.length) {
    const one = shown[at]!;
    if (one !== "{" && one !== "}") {
      at++;
      continue;
    }
    result += text.slice(from, at);
    if (shown[at + 1] === one) {
      result += text[at];
      from = at += 2;
      continue;
    }
    if (one === "}") throw new Error("has a format with a } of its own");
    const field = fieldAt(shown, at + 1);
    if (text.slice(at, field.end) !== shown.slice(at, field.end)) throw new Error("has a format that a message holds");
    let value = valueOf(field.name, values, place);
    if (field.conversion === "s") value = make.text(textOf(value, covered));
    else if (field.conversion === "r") value = make.text(literalOf(value, covered));
    else if (field.conversion !== "") throw new Error(`has a format with !${field.conversion}`);
    result += formOf(value, formatted(field.spec, values, place, depth - 1), make, covered);
    make.room(result.length);
    from = at = field.end;
  }
  return result + text.slice(from);
}

function fieldAt(shown: string, start: number): Field {
  let at = start, one = "";
  const next = () => shown[at++] ?? "";
  for (one = next(); !"}:!".includes(one); one = next()) {
    if (one === "{") throw new Error("has a format with a { in a name");
    if (one === "[") { while (at < shown.length && shown[at] !== "]") at++; }
  }
  const name = shown.slice(start, one === "" ? at : at - 1);
  if (one === "") throw new Error("has a format with a { of its own");
  let conversion = "";
  if (one === "!") {
    conversion = next();
    one = next();
    if (one !== "}" && one !== ":") throw new Error("has a format with another conversion");
  }
  if (one === "}") return { name, conversion, spec: "", end: at };
  const from = at;
  for (let open = 1; open > 0;) {
    one = next();
    if (one === "") throw new Error("has a format with a { of its own");
    if (one === "{") open++;
    if (one === "}") open--;
  }
  return { name, conversion, spec: shown.slice(from, at - 1), end: at };
}

const PATH = /^([^.[]*)((?:\.[^.[]+|\[[^\]]+\])*)$/;

function valueOf(name: string, { args, named, covered, member }: Formatted, place: Place): Value {
  let path = name;
  if (path === "") {
    if (place.next === null) throw new Error("has a format with places, some of which have numbers");
    path = String(place.next++);
  } else if (/^\d+$/.test(path)) {
    if (place.next !== null && place.next > 0) {
      throw new Error("has a format with places, some of which have numbers");
    }
    place.next = null;
  }
  const [, first, rest] = PATH.exec(path) ?? [];
  if (first === undefined) throw new Error(`has a format with ${path}`);
  let value = /^\d+$/.test(first) ? args[Number(first)] : entryOf(named, first, covered);
  if (value === undefined) throw new Error(`has a format with ${first || "no name"}, which it is not given`);
  for (const [part] of rest!.matchAll(/\.[^.[]+|\[[^\]]+\]/g)) {
    const isDotted = part.startsWith("."), key = isDotted ? part.slice(1) : part.slice(1, -1);
    const isPlace = !isDotted && /^\d+$/.test(key);
    value = member(value, isPlace ? Number(key) : key, isDotted);
  }
  return value;
}

const SPEC = /^(?:(.)?([<>=^]))?([-+ ]?)(#?)(0?)(\d*)([,_]?)(?:\.(\d+))?([a-zA-Z%]?)$/su;

/** A value in a form. */
function formOf(value: Value, spec: string, make: Make, covered: Covered): string {
  if (spec === "") return textOf(value, covered);
  const read = covered.show(spec) === spec ? SPEC.exec(spec) : null;
  if (read === null) throw new Error("has a format that is not known, or that a message holds");
  const [, fill, align, sign, prefixed, zero, width, group, digits, type] = read as unknown as string[];
  if (isText(value, covered)) {
    if (align === "=" || sign !== "" || prefixed !== "" || zero !== "" || group !== "" || !/^s?$/.test(type!)) {
      throw new Error(`formats a text by ${spec}`);
    }
    const text = value.value as string, part = digits === undefined ? text : firstOf(text, Number(digits));
    return padded(part, Number(width), align ?? "<", fill ?? " ", make);
  }
  const held = typeof value.value === "boolean" ? Number(value.value) : value.value;
  if (typeof held !== "number" || prefixed !== "" && !/^[xXob]$/.test(type!)) {
    throw new Error(`formats a ${value.type} by ${spec}`);
  }
  const body = numberForm(value, Math.abs(held), type!, digits, spec, covered);
  const isBelow = held < 0 || Object.is(held, -0) && value.type === "FloatValue";
  const before = (isBelow ? "-" : sign === "-" ? "" : sign!) + (prefixed === "" ? "" : `0${type}`);
  const isFilled = align === "=" || align === undefined && zero !== "", by = fill ?? (zero !== "" ? "0" : " ");
  const size = /^[xXob]$/.test(type!) ? 4 : 3;
  if (group !== "" && (isFilled || size === 4 && group === ",")) throw new Error(`formats a number by ${spec}`);
  const text = group === ""
    ? body
    : body.replace(/^[0-9a-f]+/i, (whole) => whole.replace(new RegExp(`\\B(?=(?:.{${size}})+$)`, "g"), group!));
  if (isFilled) return before + padded(text, Number(width) - before.length, ">", by, make);
  return padded(before + text, Number(width), align ?? ">", by, make);
}

function numberForm(
  value: Value,
  size: number,
  type: string,
  digits: string | undefined,
  spec: string,
  covered: Covered,
): string {
  const isFloat = value.type === "FloatValue";
  if (/^[eEfFgG%]$/.test(type)) return floatForm(size, type, digits === undefined ? 6 : Number(digits));
  if (digits !== undefined || isFloat && type !== "" || !/^[dxXob]?$/.test(type)) {
    throw new Error(`formats a ${value.type} by ${spec}`);
  }
  if (isFloat) return textOf({ type: value.type, value: size }, covered);
  const text = size.toString(/x/i.test(type) ? 16 : type === "o" ? 8 : type === "b" ? 2 : 10);
  return type === "X" ? text.toUpperCase() : text;
}
