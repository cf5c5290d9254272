/** vLLM's `structured_outputs`: what an answer must be, of which the model is not told. */
import { reason } from "../../errors.ts";
import { wrongField } from "../api_error.ts";
import type { StructuredOutputs } from "../endpoints/chat_schema.ts";
import type { ReplyFormat } from "./reply_grammar.ts";

const FIELD = "structured_outputs";

/**
 * The format that is asked for.
 *
 * @throws {ApiError} where none or several are, or a schema is no JSON.
 */
export function structuredFormat({ json, json_object, choice, regex }: StructuredOutputs): ReplyFormat {
  const asked = Object.entries({ json, json_object: json_object === true || null, choice, regex });
  const given = asked.flatMap(([name, value]) => value == null ? [] : [name]);
  if (given.length !== 1) {
    const got = given.length === 0 ? "none" : given.join(" and ");
    throw wrongField(FIELD, `expected one of json, json_object, choice and regex, got ${got}`);
  }
  if (json != null) return { type: "schema", schema: schemaOf(json), where: `${FIELD}.json` };
  if (choice != null) return { type: "choice", texts: choice, where: `${FIELD}.choice` };
  if (regex != null) return { type: "pattern", source: regex, where: `${FIELD}.regex` };
  return { type: "object" };
}

function schemaOf(json: string | Record<string, unknown>): unknown {
  if (typeof json !== "string") return json;
  try {
    return JSON.parse(json);
  } catch (thrown) {
    throw wrongField(`${FIELD}.json`, `is no JSON: ${reason(thrown)}`);
  }
}
