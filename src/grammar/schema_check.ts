/** Whether the keywords of a JSON Schema have values that they can have, wherever they stand and whatever they say. */
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { isObject } from "../json_object.ts";
import { spend } from "./dfa.ts";
import { checkPattern } from "./pattern.ts";
import { TYPES } from "./schema_keywords.ts";

/** Characters of a pattern that are read in the time of one unit of {@linkcode spend}. */
const CHARACTERS_A_UNIT = 20;

/** Looks at a keyword's value, and by `look` at schemas in it. */
type Check = (value: unknown, path: string, look: (schema: unknown, path: string) => void) => void;

/** A keyword's value that is none. */
function wrong(path: string, expected: string, got: unknown): InputError {
  return InputError.of("wrong_value", { name: path }, expected, show(got));
}

const must = (expected: string, good: (value: unknown) => boolean): Check => (value, path) => {
  if (!good(value)) throw wrong(path, expected, value);
};
const isNumber = (value: unknown): value is number => typeof value === "number";
const isNames = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((name) => typeof name === "string");

const number = must("a number", isNumber);
const count: Check = (value, path) => {
  if (!isNumber(value)) throw wrong(path, "a number", value);
  if (value < 0 || !Number.isInteger(value)) throw wrong(path, "a count", value);
};
const names = must("a list of names", isNames);
const schema: Check = (value, path, look) => look(value, path);
const list: Check = (value, path, look) => {
  if (!Array.isArray(value) || value.length === 0) throw wrong(path, "a list of schemas", value);
  value.forEach((part, i) => look(part, `${path}[${i}]`));
};
const pattern: Check = (value, path) => {
  if (typeof value !== "string") throw wrong(path, "a text", value);
  spend(1 + value.length / CHARACTERS_A_UNIT, path);
  checkPattern(value, path);
};

/** Values by names. */
function byName(ofValue: Check, ofName: Check = () => {}): Check {
  return (value, path, look) => {
    if (!isObject(value)) throw wrong(path, "an object", value);
    for (const [name, one] of Object.entries(value)) {
      ofName(name, `${path}.${name}`, look);
      ofValue(one, `${path}.${name}`, look);
    }
  };
}

const type: Check = (value, path) => {
  const types = Array.isArray(value) ? value : [value];
  if (types.length === 0 || !isNames(types)) throw wrong(path, "a type or a list of types", value);
  const known = [...TYPES, "integer"], other = types.find((name) => !known.includes(name));
  if (other !== undefined) throw wrong(path, `one of ${known.join(", ")}`, other);
};

/** Of each keyword that a grammar is made of what its value must be; `const` is anything. */
const CHECKS: Readonly<Record<string, Check>> = {
  type,
  enum: must("a list", Array.isArray),
  anyOf: list,
  oneOf: list,
  allOf: list,
  $ref: must("a text", (value) => typeof value === "string"),
  not: schema,
  if: schema,
  then: schema,
  else: schema,
  properties: byName(schema),
  required: names,
  dependentRequired: byName(names),
  dependentSchemas: byName(schema),
  additionalProperties: schema,
  patternProperties: byName(schema, pattern),
  propertyNames: schema,
  minProperties: count,
  maxProperties: count,
  items: schema,
  prefixItems: list,
  minItems: count,
  maxItems: count,
  uniqueItems: must("true or false", (value) => typeof value === "boolean"),
  pattern,
  format: must("a text", (value) => typeof value === "string"),
  minLength: count,
  maxLength: count,
  minimum: number,
  maximum: number,
  exclusiveMinimum: number,
  exclusiveMaximum: number,
  multipleOf: must("a number above 0", (value) => isNumber(value) && value > 0),
};

/** The same without what patterns say. */
const WIDER: typeof CHECKS = { ...CHECKS, pattern: () => {}, patternProperties: byName(schema) };

/** The schemas of a whole that were looked at. What is data there, or what nothing refers to, is none. */
export class SchemaChecks {
  readonly #known = new WeakSet<object>();

  /**
   * @param where What messages begin with.
   * @param wider Whether patterns are left unread.
   */
  constructor(readonly where: string, readonly wider: boolean) {}

  /**
   * Looks at a schema and at all in it.
   *
   * @param path Where it is, as messages name it.
   * @param addressed Whether it is below an `$id` other than that of the whole, or has one: references there lead to
   * places in that part of the schema, and not in the whole.
   * @throws {InputError} naming the keyword.
   */
  check(value: unknown, path: string, addressed: boolean): void {
    if (typeof value === "boolean") return;
    if (!isObject(value)) throw wrong(path, "a JSON Schema", value);
    if (this.#known.has(value)) return;
    this.#known.add(value);
    const entries = Object.entries(value);
    spend(1 + entries.length, this.where);
    const look = (one: unknown, at: string) => this.check(one, at, addressed || hasAddress(one));
    for (const [key, one] of entries) {
      if (one === undefined || !Object.hasOwn(CHECKS, key)) continue;
      (this.wider ? WIDER : CHECKS)[key]!(one, `${path}.${key}`, look);
      if (key !== "$ref" || !addressed) continue;
      const problem = "a reference in a schema with an $id is not supported";
      throw InputError.saying("unsupported", { name: `${path}.$ref` }, problem);
    }
  }
}

/** Whether a schema has an address of its own. */
export function hasAddress(schema: unknown): boolean {
  const id = isObject(schema) ? schema["$id"] : undefined;
  return typeof id === "string" && !id.startsWith("#");
}
