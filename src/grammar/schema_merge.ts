/** Two JSON Schemas as one that asks for both. */
import { InputError } from "../errors.ts";
import { isObject, type JsonObject } from "../json_object.ts";
import { matches, quoted, spend } from "./dfa.ts";
import { patternText } from "./pattern.ts";
import { canonical } from "./same_value.ts";

/** A schema: true takes anything, false nothing. */
export type Schema = boolean | SchemaObject;
/** A schema with keywords. */
export type SchemaObject = JsonObject;

/** Keywords that say something to people and nothing about values. */
const NOTES: ReadonlySet<string> = new Set([
  "$schema",
  "$id",
  "$comment",
  "$defs",
  "definitions",
  "title",
  "description",
  "default",
  "example",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "contentEncoding",
  "contentMediaType",
  "contentSchema",
  "discriminator",
]);

/** The keywords of a schema that say something about values. */
export function withoutNotes(schema: SchemaObject): SchemaObject {
  const kept = Object.entries(schema).filter(([key]) => !NOTES.has(key) && !key.startsWith("x-"));
  return kept.length === Object.keys(schema).length ? schema : Object.fromEntries(kept);
}

/** Patterns that must all be met: no schema that was given has one, as JSON has no such value. */
export class Patterns {
  constructor(readonly all: readonly string[]) {}

  /** The patterns of a keyword's value. */
  static of(value: unknown): readonly string[] {
    return value instanceof Patterns ? value.all : [value as string];
  }

  toJSON(): readonly string[] {
    return this.all;
  }
}

/** What joining costs for each property, in the unit of {@linkcode spend}. */
const COST_OF_MERGE = 10;

/** Schemas that were joined, so that equal pairs give one object, by which circles are noticed. */
export class Merges {
  readonly #made = new WeakMap<SchemaObject, WeakMap<SchemaObject, Schema>>();
  readonly #together = new Map<string, Schema>();
  readonly #numbers = new WeakMap<SchemaObject, number>();
  #numbered = 0;

  /** A schema that takes what both take. */
  merge(a: Schema, b: Schema, where: string): Schema {
    if (a === true) return b;
    if (b === true) return a;
    if (a === false || b === false) return false;
    if (a === b) return a;
    let row = this.#made.get(a);
    if (row === undefined) this.#made.set(a, row = new WeakMap());
    let merged = row.get(b);
    if (merged === undefined) row.set(b, merged = this.#merge(a, b, where));
    return merged;
  }

  /**
   * The one schema that asks for some others and nothing else: schemas that refer to each other come to it again and
   * again. Null where one is none that has a number.
   */
  #togetherOf(schemas: readonly unknown[]): Schema | null {
    if (!schemas.every(isObject)) return null;
    const key = schemas.map((schema) => this.#numberOf(schema)).sort((a, b) => a - b).join();
    let together = this.#together.get(key);
    if (together === undefined) this.#together.set(key, together = { allOf: schemas });
    return together;
  }

  #numberOf(schema: SchemaObject): number {
    let number = this.#numbers.get(schema);
    if (number === undefined) this.#numbers.set(schema, number = this.#numbered++);
    return number;
  }

  /** Names by pattern are not joined with what else is said of properties, but for the same once more. */
  #refusePatterns(other: SchemaObject, patterned: SchemaObject, where: string): void {
    const same = JSON.stringify(other["patternProperties"]) === JSON.stringify(patterned["patternProperties"]);
    if (same || ["properties", "additionalProperties", "patternProperties"].every((key) => other[key] === undefined)) {
      return;
    }
    throw InputError.saying(
      "unsupported",
      { name: where },
      "cannot join patternProperties with properties of another schema that must be met too",
    );
  }

  /** What lists begin with, place by place, and what follows: `items` of one are about places that the other names. */
  #tuple(a: SchemaObject, b: SchemaObject, where: string): SchemaObject {
    const sides = [a, b].map((side) => {
      const prefix = (side["prefixItems"] ?? []) as readonly Schema[];
      return { prefix, rest: (side["items"] ?? true) as Schema };
    });
    const [one, other] = sides as [(typeof sides)[number], (typeof sides)[number]];
    const count = Math.max(one.prefix.length, other.prefix.length), rest = this.merge(one.rest, other.rest, where);
    spend(COST_OF_MERGE * count, where);
    return {
      prefixItems: Array.from(
        { length: count },
        (_, i) => this.merge(one.prefix[i] ?? one.rest, other.prefix[i] ?? other.rest, where),
      ),
      ...(rest === true ? {} : { items: rest }),
    };
  }

  #merge(first: SchemaObject, second: SchemaObject, where: string): Schema {
    const a = withoutNotes(first), b = withoutNotes(second), out: Record<string, unknown> = { ...a };
    const tuples = [a, b].some((side) => side["prefixItems"] !== undefined);
    for (const [key, value] of Object.entries(b)) {
      const own = a[key];
      if (key === "properties" || key === "additionalProperties" || (tuples && isOfList(key))) continue;
      if (key === "patternProperties") this.#refusePatterns(a, b, where);
      if (own === undefined || sameText(own, value, where)) {
        out[key] = value;
        continue;
      }
      if (key === "const") {
        if (canonical(own, where) !== canonical(value, where)) return false;
        continue;
      }
      const joined = join(key, own, value, where);
      if (joined === undefined) {
        if (key !== "items") {
          throw InputError.saying(
            "unsupported",
            { name: where },
            `cannot join two values of ${key} of schemas that must both be met`,
          );
        }
        out[key] = this.merge(own as Schema, value as Schema, where);
      } else {
        out[key] = joined;
      }
    }
    const names = new Set(
      [a, b].flatMap((side) => isObject(side["properties"]) ? Object.keys(side["properties"]) : []),
    );
    const of = (side: SchemaObject, name: string): Schema => {
      const properties = side["properties"];
      if (isObject(properties) && Object.hasOwn(properties, name)) return properties[name] as Schema;
      // What is said of a pattern's names stays in patternProperties, and additionalProperties say nothing of them.
      if (side["additionalProperties"] !== undefined && isPatterned(side, name, where)) return true;
      return (side["additionalProperties"] ?? true) as Schema;
    };
    spend(COST_OF_MERGE * (1 + names.size), where);
    if (names.size > 0) {
      out["properties"] = Object.fromEntries(
        Array.from(names, (name) => [name, this.merge(of(a, name), of(b, name), where)]),
      );
    }
    if (a["patternProperties"] !== undefined) this.#refusePatterns(b, a, where);
    if (tuples) Object.assign(out, this.#tuple(a, b, where));
    const rest = this.merge(
      (a["additionalProperties"] ?? true) as Schema,
      (b["additionalProperties"] ?? true) as Schema,
      where,
    );
    if (rest !== true) out["additionalProperties"] = rest;
    const { allOf } = out;
    return Object.keys(out).length === 1 && Array.isArray(allOf) ? this.#togetherOf(allOf) ?? out : out;
  }
}

const isOfList = (key: string): boolean => key === "prefixItems" || key === "items";

/** Whether a pattern of a schema is about a name. */
function isPatterned({ patternProperties }: SchemaObject, name: string, where: string): boolean {
  if (!isObject(patternProperties)) return false;
  const bytes = new TextEncoder().encode(JSON.stringify(name));
  return Object.keys(patternProperties).some((pattern) => {
    const text = patternText(pattern, `${where}.patternProperties.${pattern}`);
    return text !== null && matches(quoted(text), bytes);
  });
}

/** Characters that are written and compared in the time of one unit of {@linkcode spend}. */
const CHARACTERS_A_UNIT = 20;

/** Whether two values are written alike. */
function sameText(a: unknown, b: unknown, where: string): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object") return false;
  const left = JSON.stringify(a), right = JSON.stringify(b);
  spend((left.length + right.length) / CHARACTERS_A_UNIT, where);
  return left === right;
}

/** Most alternatives of two lists of them. */
const MOST_PAIRS = 256;

/** The value of a keyword that asks for both; undefined where there is none. */
function join(key: string, a: unknown, b: unknown, where: string): unknown {
  if (typeof a === "number" && typeof b === "number") {
    if (key.startsWith("min") || key === "exclusiveMinimum") return Math.max(a, b);
    if (key.startsWith("max") || key === "exclusiveMaximum") return Math.min(a, b);
  }
  if (key === "pattern") {
    return new Patterns([...new Set([...Patterns.of(a), ...Patterns.of(b)])].sort());
  }
  if (key === "allOf" && Array.isArray(a) && Array.isArray(b)) {
    // Schemas that refer to each other would be there twice as often at each level.
    spend(COST_OF_MERGE * (a.length + b.length), where);
    return [...new Set([...a, ...b])];
  }
  if (key === "anyOf" && Array.isArray(a) && Array.isArray(b) && a.length * b.length <= MOST_PAIRS) {
    return a.flatMap((one) => b.map((other) => ({ allOf: [one, other] })));
  }
  if (key === "required" && Array.isArray(a) && Array.isArray(b)) return [...new Set([...a, ...b])];
  if (key === "enum" && Array.isArray(a) && Array.isArray(b)) {
    const known = new Set(a.map((value) => canonical(value, where)));
    return b.filter((value) => known.has(canonical(value, where)));
  }
  if (key === "type") {
    const left = typesOf(a), right = typesOf(b);
    return left.flatMap((type) => {
      if (right.includes(type)) return [type];
      if (type === "integer" && right.includes("number")) return ["integer"];
      if (type === "number" && right.includes("integer")) return ["integer"];
      return [];
    });
  }
  return undefined;
}

/** A type, or a list of types, as a list. */
export function typesOf(type: unknown): string[] {
  return (Array.isArray(type) ? type : [type]).filter((name) => typeof name === "string");
}

/** The type of a value of JSON. */
export function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}
