/** An independent judge of values by JSON Schema: ajv, in the draft that clients write. */
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { Matcher } from "../../src/grammar/matcher.ts";
import { schemaGrammar } from "../../src/grammar/schema.ts";
import { assert } from "../assert.ts";

/** What is used of ajv, whose declarations Deno cannot read as an ES module's. */
interface Judge {
  validate(schema: unknown, value: unknown): boolean;
  /** Whether a schema is one, by the schema of schemas. */
  validateSchema(schema: unknown): boolean;
  errorsText(): string;
}

/** A judge; one takes any number of schemas. */
export function newJudge(): Judge {
  const Class = Ajv2020 as unknown as new (options: object) => Judge;
  const judge = new Class({ strict: false, multipleOfPrecision: 6 });
  (addFormats as unknown as (judge: Judge) => void)(judge);
  return judge;
}

/** Whether the judge can read a schema: of one that refers to itself and says nothing else it never comes to an end. */
export function canJudge(schema: unknown): boolean {
  try {
    newJudge().validate(schema, null);
    return true;
  } catch (thrown) {
    if (thrown instanceof RangeError) return false;
    throw thrown;
  }
}

/** The schema of an object that has these properties and no others. */
export function object(properties: Record<string, unknown>, more: Record<string, unknown> = {}) {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false, ...more };
}

/** The matcher of a schema. */
export function matcherOf(schema: unknown): Matcher {
  return new Matcher(schemaGrammar(schema, "schema"), "schema");
}

const encoder = new TextEncoder();

/** Whether a matcher takes the whole text. */
export function takes(matcher: Matcher, text: string): boolean {
  return matcher.bytes(matcher.start, encoder.encode(text))?.ends === true;
}

/** Asserts that a matcher and a judge of a schema both take good texts, and neither takes bad ones. */
export function assertAgrees(
  matcher: Matcher,
  judge: Judge,
  schema: unknown,
  good: readonly string[],
  bad: readonly string[],
): void {
  const said = JSON.stringify(schema);
  for (const text of good) {
    assert(judge.validate(schema, JSON.parse(text)), `ajv: ${said}: ${text}`);
    assert(takes(matcher, text), `not taken: ${said}: ${text}`);
  }
  for (const text of bad) {
    assert(!judge.validate(schema, JSON.parse(text)), `ajv takes: ${said}: ${text}`);
    assert(!takes(matcher, text), `taken: ${said}: ${text}`);
  }
}
