/** Schemas that join keywords of all kinds at random, without a value in mind, and small values of every kind. */
import type { Dice } from "./random_schema.ts";

type Schema = boolean | Record<string, unknown>;

const pick = <T>(roll: Dice, list: readonly T[]): T => list[roll(list.length)]!;
const NAMES = ["a", "b", "ab"];
const SCALARS: readonly unknown[] = [
  null,
  true,
  false,
  0,
  1,
  2,
  3,
  -1,
  1.5,
  "",
  "a",
  "b",
  "ab",
  "b1",
  "2024-02-29",
  'é"',
];
const OBJECTS: readonly unknown[] = [{}, { a: 1 }, { a: 1, b: "a" }, { b: "a", a: 1 }, [], [1], [1, "a"], [{
  a: 1,
  b: null,
}]];

const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];

/** Keywords with values, without schemas in them. */
const SAID: readonly ((roll: Dice) => Record<string, unknown>)[] = [
  (roll) => ({ type: pick(roll, TYPES) }),
  (roll) => ({ type: pick(roll, TYPES) }),
  (roll) => ({ type: [...new Set([pick(roll, TYPES), pick(roll, TYPES), pick(roll, TYPES)])] }),
  (roll) => ({ enum: Array.from({ length: 1 + roll(4) }, () => pick(roll, roll(4) === 0 ? OBJECTS : SCALARS)) }),
  (roll) => ({ const: pick(roll, roll(4) === 0 ? OBJECTS : SCALARS) }),
  (roll) => ({ required: NAMES.filter(() => roll(2) === 0) }),
  (roll) => ({ [pick(roll, ["minimum", "maximum"])]: pick(roll, [0, 1, 1.5, 2, -1]) }),
  (roll) => ({ [pick(roll, ["exclusiveMinimum", "exclusiveMaximum"])]: pick(roll, [0, 1, 1.5, 2, -1]) }),
  (roll) => ({ multipleOf: pick(roll, [1, 2, 0.5]) }),
  (roll) => ({ [pick(roll, ["minLength", "maxLength"])]: roll(3) }),
  (roll) => ({ [pick(roll, ["minItems", "maxItems"])]: roll(3) }),
  (roll) => ({ pattern: pick(roll, ["^a", "b", "^.?$", "[0-9]$", "^(?!a)"]) }),
  () => ({ format: "date" }),
  (roll) => ({ minProperties: roll(2) }),
  (roll) => ({ maxProperties: 1 + roll(3) }),
  (roll) => ({ dependentRequired: { [pick(roll, NAMES)]: [pick(roll, NAMES)] } }),
];

/** A schema no deeper than `depth`; places that it may refer to begin with `#/$defs/`. */
export function joinedSchema(roll: Dice, depth: number): Schema {
  if (roll(12) === 0) return roll(3) > 0;
  const schema: Record<string, unknown> = {}, inner = () => joinedSchema(roll, depth - 1);
  const some = (most: number) => Array.from({ length: 1 + roll(most) }, inner);
  for (let count = roll(3) + Number(depth === 0); count > 0; count--) Object.assign(schema, pick(roll, SAID)(roll));
  for (let count = depth > 0 ? 1 + roll(2) : 0; count > 0; count--) {
    Object.assign(
      schema,
      pick<() => Record<string, unknown>>(roll, [
        () => ({ allOf: some(3) }),
        () => ({ allOf: some(2) }),
        () => ({ anyOf: some(3) }),
        () => ({ oneOf: some(2) }),
        () => ({ not: inner() }),
        () => ({ if: inner(), then: inner(), ...(roll(2) === 0 ? {} : { else: inner() }) }),
        () => ({ properties: Object.fromEntries(NAMES.filter(() => roll(2) === 0).map((name) => [name, inner()])) }),
        () => ({ properties: { a: inner() }, required: ["a"] }),
        () => ({ additionalProperties: roll(2) === 0 ? false : inner() }),
        () => ({ patternProperties: { [pick(roll, ["^a", "b"])]: inner() } }),
        () => ({ propertyNames: pick(roll, [{ minLength: 2 }, { pattern: "^a" }, { enum: ["a", "b"] }]) }),
        () => ({ items: inner() }),
        () => ({ prefixItems: some(2) }),
        () => ({ dependentSchemas: { [pick(roll, NAMES)]: inner() } }),
        () => ({ $ref: `#/$defs/${pick(roll, ["x", "y"])}` }),
      ])(),
    );
  }
  return schema;
}

/** A whole schema with two parts to refer to. */
export function wholeSchema(roll: Dice): Schema {
  const schema = joinedSchema(roll, 2);
  return typeof schema === "boolean"
    ? schema
    : { ...schema, $defs: { x: joinedSchema(roll, 1), y: joinedSchema(roll, 1) } };
}

/** A value no deeper than `depth`. */
export function smallValue(roll: Dice, depth: number): unknown {
  const kind = depth > 0 ? roll(4) : 0;
  if (kind < 2) return pick(roll, SCALARS);
  if (kind === 2) return Array.from({ length: roll(3) }, () => smallValue(roll, depth - 1));
  return Object.fromEntries(NAMES.filter(() => roll(2) === 0).map((name) => [name, smallValue(roll, depth - 1)]));
}

/** A value as texts with its members in every order. */
export function orders(value: unknown): string[] {
  if (Array.isArray(value)) return products(value.map(orders)).map((items) => `[${items.join()}]`);
  if (typeof value !== "object" || value === null) return [JSON.stringify(value)];
  const members = Object.entries(value).map(([name, inner]) =>
    orders(inner).map((t) => `${JSON.stringify(name)}:${t}`)
  );
  return permutations(members).flatMap((some) => products(some).map((items) => `{${items.join()}}`));
}

function products<T>(lists: readonly (readonly T[])[]): T[][] {
  return lists.reduce<T[][]>((all, list) => all.flatMap((one) => list.map((item) => [...one, item])), [[]]);
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}
