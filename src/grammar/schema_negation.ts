/**
 * Schemas of the values that another schema does not take, where such a schema can be written with keywords that a
 * grammar is made of; and `not`, `if`, `then` and `else` by these.
 */
import { InputError } from "../errors.ts";
import { show } from "../describe.ts";
import { spend } from "./dfa.ts";
import { TYPES } from "./schema_keywords.ts";
import { isObject } from "../json_object.ts";
import { type Schema, type SchemaObject, typesOf, withoutNotes } from "./schema_merge.ts";

/** Schemas in schemas that are negated: they may refer to themselves without end. */
const DEEPEST = 16;
/** What a keyword costs, in the unit of {@linkcode spend}. */
const COST_OF_NEGATION = 200;

/** The values of some types. */
const ofTypes = (...types: readonly string[]): Schema => types.length === 0 ? false : { type: types };
const NOT_TEXTS = TYPES.filter((type) => type !== "string");

/** Bounds whose opposite is a bound: the type that they are about, and what the opposite is called and is. */
const BOUNDS: Readonly<Record<string, readonly [type: string, opposite: string, of: (bound: number) => number]>> = {
  minimum: ["number", "exclusiveMaximum", (bound) => bound],
  maximum: ["number", "exclusiveMinimum", (bound) => bound],
  exclusiveMinimum: ["number", "maximum", (bound) => bound],
  exclusiveMaximum: ["number", "minimum", (bound) => bound],
  minLength: ["string", "maxLength", (bound) => bound - 1],
  maxLength: ["string", "minLength", (bound) => bound + 1],
  minItems: ["array", "maxItems", (bound) => bound - 1],
  maxItems: ["array", "minItems", (bound) => bound + 1],
};

/** What is known of the whole schema. */
interface Context {
  /** Follows references. */
  readonly resolved: (schema: Schema) => Schema;
  /** What messages begin with. */
  readonly where: string;
}

/**
 * The values that a schema does not take.
 *
 * @throws {InputError} where no schema says that, or none is known here.
 */
export function negated(given: Schema, context: Context, depth = 0): Schema {
  const schema = context.resolved(given);
  if (!isObject(schema)) return !schema;
  if (depth > DEEPEST) throw unsupported("schemas that deep in each other", context);
  const said = Object.entries(withoutNotes(schema));
  spend(COST_OF_NEGATION * (1 + said.length), context.where);
  const ways = said.map(([key, value]) => opposite(key, value, context, depth));
  return ways.length === 0 ? false : ways.length === 1 ? ways[0]! : { anyOf: ways };
}

function opposite(key: string, value: unknown, context: Context, depth: number): Schema {
  const inner = (schema: unknown) => negated(schema as Schema, context, depth + 1);
  const bound = BOUNDS[key];
  if (bound !== undefined) {
    const [type, name, of] = bound, other = of(value as number);
    return other < 0 && !name.includes("imum") ? false : { type, [name]: other };
  }
  switch (key) {
    case "type": {
      const types = typesOf(value);
      // Which numbers are no integers, no keyword says.
      if (types.includes("integer") && !types.includes("number")) break;
      return ofTypes(...TYPES.filter((type) => !types.includes(type)));
    }
    case "const":
      return otherThan([value], context);
    case "enum":
      return otherThan(value as readonly unknown[], context);
    case "required":
      return either(
        (value as readonly string[]).map((name): Schema => ({ type: "object", properties: { [name]: false } })),
      );
    case "properties":
      return either(
        Object.entries(value as object).map(([name, property]): Schema => ({
          type: "object",
          properties: { [name]: inner(property) },
          required: [name],
        })),
      );
    case "anyOf":
      return { allOf: (value as readonly Schema[]).map(inner) };
    case "allOf":
      return either((value as readonly Schema[]).map(inner));
  }
  throw unsupported(`the keyword ${show(key)}`, context);
}

/** All values but these, of which each is a text or null: other values have many spellings. */
function otherThan(values: readonly unknown[], context: Context): Schema {
  const texts = values.filter((value) => typeof value === "string");
  const types = values.includes(null) ? NOT_TEXTS.filter((type) => type !== "null") : NOT_TEXTS;
  if (texts.length < values.length - (types === NOT_TEXTS ? 0 : values.filter((value) => value === null).length)) {
    throw unsupported("values that are no texts", context);
  }
  const spelled = texts.map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|");
  return {
    anyOf: [
      ofTypes(...types),
      texts.length === 0 ? ofTypes("string") : { type: "string", pattern: `^(?!(?:${spelled})$)` },
    ],
  };
}

const either = (ways: readonly Schema[]): Schema => ways.length === 0 ? false : { anyOf: ways };

function unsupported(what: string, { where }: Context): InputError {
  return InputError.saying("unsupported", { name: where }, `not of ${what} is not supported`);
}

/** What must be met where a property is there, by name: no object, one without the property, or what it asks for. */
function dependents(value: unknown, asked: (inner: unknown) => unknown) {
  return Object.entries((value ?? {}) as object).map(([name, inner]): Schema => ({
    anyOf: [
      ofTypes(...TYPES.filter((type) => type !== "object")),
      { type: "object", properties: { [name]: false } },
      { allOf: [{ type: "object", required: [name] }, asked(inner)] },
    ],
  }));
}

/** A schema that says the same without `not`, `if`, `then`, `else`, `dependentRequired` and `dependentSchemas`. */
export function withoutConditions(schema: SchemaObject, context: Context): Schema {
  const {
    not,
    if: condition,
    then = true,
    else: otherwise = true,
    dependentRequired,
    dependentSchemas,
    allOf,
    ...rest
  } = schema as Record<string, unknown>;
  const more: unknown[] = [
    ...dependents(dependentRequired, (required) => ({ required })),
    ...dependents(dependentSchemas, (met) => met),
  ];
  if (not !== undefined) more.push(negated(not as Schema, context));
  if (condition !== undefined) {
    const unmet = negated(condition as Schema, context);
    more.push({ anyOf: [{ allOf: [condition, then] }, { allOf: [unmet, otherwise] }] });
  }
  // Without a condition `then` and `else` say nothing.
  const all = [...(allOf ?? []) as readonly Schema[], ...more];
  return all.length === 0 ? rest : { ...rest, allOf: all };
}

/** Whether a schema has a keyword that {@linkcode withoutConditions} takes away. */
export function isConditional(schema: SchemaObject): boolean {
  return ["not", "if", "then", "else", "dependentRequired", "dependentSchemas"].some((key) =>
    Object.hasOwn(schema, key)
  );
}
