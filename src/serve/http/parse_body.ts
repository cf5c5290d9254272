/** The body of a request as its schema says, or a refusal that names the field. */
import type { z } from "zod";
import { show } from "../../describe.ts";
import { reason } from "../../errors.ts";
import { parseAsPython } from "../../json_numbers.ts";
import { isObject } from "../../text/tokenizer_file.ts";
import { ApiError } from "../api_error.ts";
import { refuseLarge } from "./refuse_large.ts";
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
  return parseValue(schema, withWrittenNumbers(value, text));
}

/**
 * The body with the numbers of its tools' parameters as they are written: a model is shown 1.0 where a client says so,
 * and JavaScript has no such number.
 */
function withWrittenNumbers(body: unknown, text: string): unknown {
  if (!isObject(body) || !Array.isArray(body["tools"])) return body;
  const { tools } = body, written = parseAsPython(text) as { readonly tools: readonly unknown[] };
  return { ...body, tools: tools.map((tool, i) => withParameters(tool, written.tools[i])) };
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

/** As {@linkcode parseBody}, of a value that was read. */
function parseValue<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value, { error: expectation });
  if (result.success) return result.data;
  const issue = deepest(result.error.issues), unknown = issue.code === "unrecognized_keys" ? issue.keys[0]! : null;
  const path = [...issue.path, ...(unknown === null ? [] : [unknown])].map(String);
  const field = path.length === 0 ? "body" : path.join(".");
  const got = issue.path.reduce<unknown>(
    (at, key) => typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
  const complaint = issue.code === "unrecognized_keys" || issue.code === "custom"
    ? issue.message
    : `expected ${issue.message}, got ${show(got)}`;
  throw new ApiError(400, `${field}: ${complaint}`, {
    param: field,
    code: unknown === null ? "invalid_value" : "unknown_field",
  });
}

/** The issue of a union that got farthest: its other branches were not meant. */
function deepest(issues: readonly z.core.$ZodIssue[], path: readonly PropertyKey[] = []): z.core.$ZodIssue {
  const [issue] = issues as [z.core.$ZodIssue], at = [...path, ...issue.path];
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const all = issue.errors.map((branch) => deepest(branch, at)).toSorted((a, b) => farther(b.path, a.path));
    const [farthest] = all as [z.core.$ZodIssue];
    if (farthest.path.length > at.length) return { ...farthest, message: alternativesOf(farthest, all) };
  }
  return { ...issue, path: at };
}

/** What was expected where several branches got equally far: a value of any of them. */
function alternativesOf(farthest: z.core.$ZodIssue, all: readonly z.core.$ZodIssue[]): string {
  const equal = all.filter(({ path }) => path.join() === farthest.path.join());
  if (valuesOf(farthest).length === 0 || equal.length < 2) return farthest.message;
  return alternatives([...new Set(equal.flatMap(valuesOf))]);
}

/** Values that were expected, where there are some only. */
function valuesOf(issue: z.core.$ZodIssue): readonly unknown[] {
  if (issue.code === "invalid_value") return issue.values;
  // Of a union that a field decides, no branch was tried: `options` are the field's values.
  return issue.code === "invalid_union" && "options" in issue && Array.isArray(issue.options) ? issue.options : [];
}

/** Orders paths by how far into the value they lead. */
function farther(a: readonly PropertyKey[], b: readonly PropertyKey[]): number {
  return a.length - b.length || Number(a.at(-1)) - Number(b.at(-1)) || 0;
}

const NAMES: Readonly<Record<string, string>> = {
  array: "a list",
  boolean: "true or false",
  int: "an integer",
  number: "a number",
  object: "an object",
  record: "an object",
  string: "a text",
};

/** What was expected, in words; null leaves zod's own. */
function expectation(issue: z.core.$ZodRawIssue): string | null {
  switch (issue.code) {
    case "invalid_type":
      return NAMES[issue.expected] ?? issue.expected;
    case "invalid_value":
      return alternatives(issue.values);
    case "too_small":
      return `${sizeOf(issue.origin)} ${issue.inclusive ? "of at least" : "above"} ${issue.minimum}` +
        unitOf(issue.origin, issue.minimum);
    case "too_big":
      return `${sizeOf(issue.origin)} ${issue.inclusive ? "of at most" : "below"} ${issue.maximum}` +
        unitOf(issue.origin, issue.maximum);
    case "invalid_union":
      if (issue.errors.length === 0 && Array.isArray(issue.options)) return alternatives(issue.options);
      return issue.errors.map((branch) => branch[0]?.message ?? "a value").filter((m, i, all) => all.indexOf(m) === i)
        .join(" or ");
    case "invalid_key":
      return issue.issues[0]?.message ?? "another name";
    case "unrecognized_keys":
      return "unknown field";
    default:
      return null;
  }
}

const alternatives = (values: readonly unknown[]): string => values.map((value) => JSON.stringify(value)).join(" or ");

/** What the size of a text is counted in. */
function unitOf(origin: string, size: number | bigint): string {
  return origin !== "string" ? "" : size === 1 ? " character" : " characters";
}

function sizeOf(origin: string): string {
  if (origin === "array") return "a list";
  if (origin === "string") return "a text";
  return origin === "int" ? "an integer" : "a number";
}
