/**
 * JSON whose numbers keep the form in which they are written. To Python, and to readers that check types, 7.0 is
 * another number than 7; JSON.parse makes one of both.
 */

/** A number in its written form, which JSON.stringify writes again. */
export interface WrittenNumber {
  readonly rawJSON: string;
}

/** What the engine has and TypeScript does not declare yet. */
interface JsonWithSource {
  rawJSON(text: string): WrittenNumber;
  isRawJSON(value: unknown): value is WrittenNumber;
  parse(text: string, reviver: (key: string, value: unknown, context: { source: string }) => unknown): unknown;
}

const { rawJSON, isRawJSON, parse } = JSON as unknown as JsonWithSource;

/** Whether a value is a number in its written form. */
export const isWrittenNumber = (value: unknown): value is WrittenNumber => isRawJSON(value);

/** Like JSON.parse, with every number as it is written. */
export function parseWritten(text: string): unknown {
  return parse(text, (_key, value, { source }) => typeof value === "number" ? rawJSON(source) : value);
}

/**
 * A number as Python writes a float: with a point or an exponent, also where it is whole. Null for what JSON has no
 * number for.
 */
export function float(value: number): WrittenNumber | null {
  return Number.isFinite(value) ? rawJSON(pythonFloat(value)) : null;
}

/** The same for a number or a written one; anything else stays as it is. */
export function asFloat(value: unknown): unknown {
  if (typeof value === "number") return float(value);
  return isRawJSON(value) && /^-?\d+$/.test(value.rawJSON) ? float(Number(value.rawJSON)) : value;
}

/**
 * A JSON value as Python writes what it has read: integers stay, floats get their shortest form, 1e-5 becomes 1e-05.
 */
export function asPython(value: unknown): unknown {
  if (isRawJSON(value)) return /[.eE]/.test(value.rawJSON) ? float(Number(value.rawJSON)) : value;
  if (Array.isArray(value)) return value.map(asPython);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, asPython(inner)]));
}

/**
 * Like JSON.parse, but numbers that JavaScript cannot hold, or writes otherwise than Python, are written ones in
 * Python's form: 12345678901234567890 and 1.0 stay what they are.
 */
export function parseAsPython(text: string): unknown {
  return parse(text, (_key, value, { source }) => {
    if (typeof value !== "number") return value;
    const written = source === "-0" ? rawJSON("0") : asPython(rawJSON(source)) as WrittenNumber | null;
    return written === null || written.rawJSON === String(value) ? value : written;
  });
}

/**
 * The same with names in the order in which they are written: an object with names that are whole numbers, which
 * JavaScript puts before all others, is a Map.
 */
export function parseInOrder(text: string): unknown {
  return parseMarked(text, (entries) => new Map(entries));
}

/** Names of objects that JavaScript has in another order. */
const written = new WeakMap<object, readonly string[]>();

/** The same where objects stay such: {@linkcode writtenNames} knows the order in which their names are written. */
export function parseWithNames(text: string): unknown {
  return parseMarked(text, (entries) => {
    const object = Object.fromEntries(entries);
    written.set(object, [...new Set(entries.map(([name]) => name))]);
    return object;
  });
}

/** The names of an object in the order in which they were written, where that is another one; undefined: it is not. */
export const writtenNames = (object: object): readonly string[] | undefined => written.get(object);

/** Makes an object of names that JavaScript puts in another order. */
type MakeObject = (entries: readonly (readonly [string, unknown])[]) => object;

function parseMarked(text: string, make: MakeObject): unknown {
  // A name that is a number ends in a digit, also where that is escaped.
  if (!/\d"\s*:/.test(text)) return parseAsPython(text);
  // None is one to JavaScript before another character. A colon within a text follows no end of one.
  let isWithin = false;
  const marked = text.replace(/(?:\\[^]){1,999}|"(\s*:)?/g, (all, colon?: string) => {
    if (all.startsWith("\\")) return all;
    isWithin = !isWithin;
    return colon === undefined || isWithin ? all : `_${all}`;
  });
  return inOrder(parseAsPython(marked), make);
}

function inOrder(value: unknown, make: MakeObject): unknown {
  if (Array.isArray(value)) return value.map((inner) => inOrder(inner, make));
  if (typeof value !== "object" || value === null || isRawJSON(value)) return value;
  const entries = Object.entries(value).map(([name, inner]) => [name.slice(0, -1), inOrder(inner, make)] as const);
  return entries.some(([name]) => /^\d+$/.test(name)) ? make(entries) : Object.fromEntries(entries);
}

/** A JSON value with all numbers as JavaScript has them. */
export function plainNumbers(value: unknown): unknown {
  if (isRawJSON(value)) return Number(value.rawJSON);
  if (Array.isArray(value)) return value.map(plainNumbers);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainNumbers(inner)]));
}

/**
 * A JSON value as Rust's serde_json writes what it has read: integers of up to 64 bits stay, all other numbers are
 * floats, which have a point or an exponent.
 */
export const rustJson = (value: unknown): string => compactJson(value, rustNumber);

/** A JSON value with its numbers and the order of its names as they are written. */
export const writtenJson = (value: unknown): string => compactJson(value, (text) => text);

function compactJson(value: unknown, number: (text: string) => string): string {
  if (isRawJSON(value)) return number(value.rawJSON);
  if (typeof value === "number" && Number.isFinite(value)) return number(String(value));
  if (Array.isArray(value)) return `[${value.map((inner) => compactJson(inner, number)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const held = value as Readonly<Record<string, unknown>>;
  const names = (writtenNames(value) ?? Object.keys(value)).filter((name) => held[name] !== undefined);
  return `{${names.map((name) => `${JSON.stringify(name)}:${compactJson(held[name], number)}`).join(",")}}`;
}

function rustNumber(text: string): string {
  if (/^-?\d+$/.test(text)) {
    const integer = BigInt(text);
    if (integer >= -(2n ** 63n) && integer < 2n ** 64n) return text;
  }
  const value = Number(text), [digits, power] = value.toExponential().split("e") as [string, string];
  const exponent = Number(power);
  if (exponent < -5 || exponent >= 16) return `${digits}e${exponent}`;
  // From 0.00001 to 1e16 JavaScript writes no exponent either.
  const plain = Object.is(value, -0) ? "-0" : String(value);
  return plain.includes(".") ? plain : `${plain}.0`;
}

/** Python's repr: an exponent of two digits at least, from 1e16 on and below 1e-4. */
function pythonFloat(value: number): string {
  const [digits, power] = value.toExponential().split("e") as [string, string];
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const text = Object.is(value, -0) ? "-0" : String(value);
  return text.includes(".") ? text : `${text}.0`;
}
