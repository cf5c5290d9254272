/** The format that a chat or a completion asks for: by OpenAI's `response_format` or vLLM's `structured_outputs`. */
import { reason } from "../../errors.ts";
import { parseAsPython } from "../../json_numbers.ts";
import { wrongField } from "../api_error.ts";
import type { FormatFields, StructuredOutputs } from "../endpoints/format_fields.ts";
import { refuseLarge } from "../http/refuse_large.ts";
import { refuseHalves } from "../http/whole_texts.ts";
import type { ReplyFormat } from "./reply_grammar.ts";

const FIELD = "structured_outputs";

/**
 * The format that a request asks for.
 *
 * @throws {ApiError} where it asks for none or for several by `structured_outputs`, or a schema is no JSON.
 */
export function formatOf({ response_format: asked, structured_outputs }: Partial<FormatFields>): ReplyFormat {
  if (structured_outputs != null) {
    if (asked != null && asked.type !== "text") throw wrongField(FIELD, "expected no response_format");
    return structuredFormat(structured_outputs);
  }
  if (asked == null || asked.type === "text") return { type: "text" };
  const schema = asked.type === "json_schema" ? asked.json_schema.schema ?? null : null;
  return schema === null ? { type: "object" } : { type: "schema", schema, where: "response_format.json_schema.schema" };
}

function structuredFormat({ json, json_object, choice, regex }: StructuredOutputs): ReplyFormat {
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
  let schema: unknown;
  try {
    schema = JSON.parse(json);
  } catch (thrown) {
    throw wrongField(`${FIELD}.json`, `is no JSON: ${reason(thrown)}`);
  }
  // The body's own values were looked at when it was read.
  refuseLarge({ [`${FIELD}.json`]: schema });
  refuseHalves(schema, json, `${FIELD}.json`);
  return parseAsPython(json);
}
