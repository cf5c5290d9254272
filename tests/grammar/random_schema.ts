/** Schemas and values of them, made at random: what the grammar has to take, by a road that knows no grammar. */

/** A source of random numbers from 0 to below `n`. */
export type Dice = (n: number) => number;

/** Lehmer's generator. */
export function dice(seed: number): Dice {
  let state = seed % 2147483646 + 1;
  return (n) => (state = state * 48271 % 2147483647) % n;
}

/** A schema, and a source of values that it takes, with properties in its order. */
export interface Sample {
  readonly schema: unknown;
  readonly value: () => unknown;
}

const pick = <T>(roll: Dice, list: readonly T[]): T => list[roll(list.length)]!;
const TEXTS = ["", "a", "é\n", 'q"\\', "\u{1f600}x", "a longer text, with blanks", "\u0001/", "null"];
/** Patterns and formats with texts that they take. */
const PATTERNED: readonly [Record<string, string>, readonly string[]][] = [
  [{ pattern: "^[A-Z]{2}\\d+$" }, ["AB1", "ZZ999"]],
  [{ pattern: "x|^y" }, ["x", "yes", "axb"]],
  [{ pattern: "^\\S+\\s\\S+$" }, ["a b", 'é"\t\\']],
  [{ format: "date" }, ["2024-02-29", "1999-12-31"]],
  [{ format: "ipv4" }, ["1.2.3.4"]],
  [{ format: "uuid" }, ["00000000-0000-4000-8000-00000000000f"]],
];

/** Makes a schema no deeper than `depth`. */
export function randomSchema(roll: Dice, depth: number): Sample {
  const scalars = [text, patterned, integer, number, constants, simple];
  return pick(roll, depth > 0 ? [...scalars, object, object, object, list, list, either, either, tuple] : scalars)(
    roll,
    depth,
  );
}

function text(roll: Dice): Sample {
  if (roll(2) === 0) return { schema: { type: "string" }, value: () => pick(roll, TEXTS) };
  const good = TEXTS.filter((value) => [...value].length >= 1 && [...value].length <= 4);
  return { schema: { type: "string", minLength: 1, maxLength: 4 }, value: () => pick(roll, good) };
}

function patterned(roll: Dice): Sample {
  const [keywords, texts] = pick(roll, PATTERNED);
  return { schema: { type: "string", ...keywords }, value: () => pick(roll, texts) };
}

function integer(roll: Dice): Sample {
  const low = roll(200) - 100, high = low + roll(150), step = pick(roll, [1, 1, 3]);
  if (roll(3) === 0) return { schema: { type: "integer" }, value: () => roll(1e6) - 5e5 };
  const good = Array.from({ length: high - low + 1 }, (_, i) => low + i).filter((value) => value % step === 0);
  if (good.length === 0) return integer(roll);
  const bound = roll(2) === 0 ? { maximum: high } : { exclusiveMaximum: high + 1 };
  return {
    schema: { type: "integer", minimum: low, ...bound, ...(step === 1 ? {} : { multipleOf: step }) },
    value: () => pick(roll, good) + 0,
  };
}

function number(roll: Dice): Sample {
  const any = [0, -0.5, 1e21, 1.5e-7, 12.125, -3, 1 / 3];
  if (roll(2) === 0) return { schema: { type: "number" }, value: () => pick(roll, any) };
  const low = (roll(2000) - 1000) / 16, high = low + 1 + roll(1000) / 8;
  const bound = roll(2) === 0 ? { minimum: low } : { exclusiveMinimum: low };
  return { schema: { type: "number", ...bound, maximum: high }, value: () => low + (high - low) * (1 + roll(64)) / 64 };
}

function constants(roll: Dice): Sample {
  const all = [1, "a", "b", null, true, { x: [1, "y"] }, ["z"], -2.5, ""];
  const values = all.filter(() => roll(2) === 0), chosen = values.length === 0 ? all : values;
  if (roll(3) === 0) return { schema: { const: chosen[0] }, value: () => chosen[0] };
  return { schema: { enum: chosen }, value: () => pick(roll, chosen) };
}

function simple(roll: Dice): Sample {
  if (roll(2) === 0) return { schema: { type: "boolean" }, value: () => roll(2) === 0 };
  return { schema: { type: ["null", "boolean"] }, value: () => pick(roll, [null, true]) };
}

function object(roll: Dice, depth: number): Sample {
  const names = ["a", "b", "ab", 'c"d', "é", "__proto__x"].slice(0, roll(5));
  const parts = names.map((name) => ({ name, required: roll(2) === 0, ...randomSchema(roll, depth - 1) }));
  const further = pick(roll, [false, false, true, { type: "boolean" }]);
  return {
    schema: {
      type: "object",
      title: "T",
      properties: Object.fromEntries(parts.map(({ name, schema }) => [name, schema])),
      required: parts.filter((part) => part.required).map(({ name }) => name),
      ...(further === true ? {} : { additionalProperties: further }),
    },
    value: () => {
      const members = parts.filter((part) => part.required || roll(2) === 0).map(({ name, value }) => [name, value()]);
      if (further !== false && roll(2) === 0) members.push(["zz", true], ["abc", false]);
      return Object.fromEntries(members);
    },
  };
}

function list(roll: Dice, depth: number): Sample {
  const { schema, value } = randomSchema(roll, depth - 1), least = roll(3), most = least + roll(4);
  const bounds = pick(roll, [{}, { minItems: least, maxItems: most }, { minItems: least }, { maxItems: most }]);
  const { minItems = 0, maxItems = minItems + 3 } = bounds as { minItems?: number; maxItems?: number };
  return {
    schema: { type: "array", items: schema, ...bounds },
    value: () => Array.from({ length: minItems + roll(maxItems - minItems + 1) }, value),
  };
}

function tuple(roll: Dice, depth: number): Sample {
  const parts = [randomSchema(roll, depth - 1), randomSchema(roll, 0)];
  return {
    schema: { type: "array", prefixItems: parts.map(({ schema }) => schema), items: false, minItems: 1 },
    value: () => parts.slice(0, 1 + roll(2)).map(({ value }) => value()),
  };
}

function either(roll: Dice, depth: number): Sample {
  const parts = Array.from({ length: 2 + roll(2) }, () => randomSchema(roll, depth - 1));
  return { schema: { anyOf: parts.map(({ schema }) => schema) }, value: () => pick(roll, parts).value() };
}

/** A value as text, in one of the ways in which models set blanks. */
export function spelled(roll: Dice, value: unknown): string {
  const style = roll(3);
  if (style === 0) return JSON.stringify(value);
  if (style === 1) return JSON.stringify(value, null, pick(roll, [1, 2, "\t"]));
  return spaced(value);
}

/** As Python's json.dumps without escapes of non-ASCII characters. */
function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${spaced(item)}`).join(", ")}}`;
}
