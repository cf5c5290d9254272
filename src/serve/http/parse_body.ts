/** The body of a request as its schema says, or a refusal that names the field. */
import type { z } from "zod";
import { show } from "../../describe.ts";
import { reason } from "../../errors.ts";
import { deepest, expectation, got } from "../../expectation.ts";
import { parseWithNames, parseWritten } from "../../json_numbers.ts";
import { isObject, type JsonObject } from "../../json_object.ts";
import { ApiError } from "../api_error.ts";
import { refuseLarge } from "./refuse_large.ts";
import { dropUnknownNulls } from "./unknown_nulls.ts";
import { refuseHalves } from "./whole_texts.ts";

/**
 * Reads JSON and validates it.
 *
 * @throws {ApiError} 400 naming the first field that is wrong, what was expected and what was got.
 */
export function parseBody<T>(schema: z.ZodType<T>, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw new ApiError(400, `the body is not JSON: ${reason(thrown)}`, { code: "malformed" });
  }
  refuseLarge(value);
  refuseHalves(value, text);
  return parseValue(schema, withWholeSeed(withWrittenNumbers(value, text), text));
}

/** The body with a seed that JavaScript has no number for as it is written: rounded, it is one of other replies. */
function withWholeSeed(body: unknown, text: string): unknown {
  if (!isObject(body) || typeof body["seed"] !== "number" || Number.isSafeInteger(body["seed"])) return body;
  return { ...body, seed: (parseWritten(text) as JsonObject)["seed"] };
}

/** Where a schema stands that a reply is held to: in chats, in responses, and where vLLM has it. */
const FORMATS: readonly (readonly string[])[] = [
  ["response_format", "json_schema", "schema"],
  ["text", "format", "schema"],
  ["structured_outputs", "json"],
];

/**
 * The body with the numbers of its schemas as they are written, and names that are numbers where they stand: a model is
 * shown 1.0 where a client says so; JavaScript has no such number, nor most integers of 17 digits, and puts such names
 * first.
 */
function withWrittenNumbers(body: unknown, text: string): unknown {
  if (!isObject(body)) return body;
  const tools = Array.isArray(body["tools"]) ? body["tools"] : null, formats = FORMATS.filter((path) => at(body, path));
  if (tools === null && formats.length === 0) return body;
  const written = parseWithNames(text) as JsonObject;
  return {
    ...formats.reduce((whole, path) => withPart(whole, written, path), body),
    ...(tools === null
      ? {}
      : { tools: tools.map((tool, i) => withParameters(tool, (written["tools"] as unknown[])[i])) }),
  };
}

/** Whether there is an object. */
function at(body: JsonObject, path: readonly string[]): boolean {
  return isObject(path.reduce<unknown>((value, key) => isObject(value) ? value[key] : undefined, body));
}

/** An object with the part of another one at a place that both have. */
function withPart(whole: JsonObject, other: JsonObject, [key, ...rest]: readonly string[]): JsonObject {
  const part = other[key!];
  return { ...whole, [key!]: rest.length === 0 ? part : withPart(whole[key!] as JsonObject, part as JsonObject, rest) };
}

/** A tool with the parameters of its written form: its own, those of its `function`, and those of tools within it. */
function withParameters(tool: unknown, written: unknown): unknown {
  if (!isObject(tool) || !isObject(written)) return tool;
  return Object.fromEntries(
    Object.entries(tool).map(([key, value]) => {
      const other = written[key];
      if (key === "parameters" && isObject(value)) return [key, other];
      if (key === "function") return [key, withParameters(value, other)];
      if (key === "tools" && Array.isArray(value)) {
        return [key, value.map((inner, i) => withParameters(inner, (other as unknown[])[i]))];
      }
      return [key, value];
    }),
  );
}

/** As {@linkcode parseBody}, of a value that was read for it. */
function parseValue<T>(schema: z.ZodType<T>, value: unknown): T {
  const parse = () => schema.safeParse(value, { error: expectation(schema) });
  let result = parse();
  while (!result.success && dropUnknownNulls(value, result.error.issues)) result = parse();
  if (result.success) return result.data;
  const issue = deepest(result.error.issues), unknown = issue.code === "unrecognized_keys" ? issue.keys[0]! : null;
  const path = [...issue.path, ...(unknown === null ? [] : [unknown])].map(String);
  const field = path.length === 0 ? "body" : path.join(".");
  const complaint = issue.code === "unrecognized_keys" || issue.code === "custom"
    ? issue.message
    : `expected ${issue.message}, got ${show(got(issue, value))}`;
  throw new ApiError(400, `${field}: ${complaint}`, {
    param: field,
    code: unknown === null ? "invalid_value" : "unknown_field",
  });
}
