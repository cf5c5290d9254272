/** The body of a request as its schema says, or a refusal that names the field. */
import type { z } from "zod";
import { show } from "../../describe.ts";
import { reason } from "../../errors.ts";
import { alternatives, expectation } from "../../expectation.ts";
import { parseWithNames } from "../../json_numbers.ts";
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
 * The body with the numbers of its tools' parameters as they are written, and names that are numbers where they stand:
 * a model is shown 1.0 where a client says so, and JavaScript has no such number and puts such names first.
 */
function withWrittenNumbers(body: unknown, text: string): unknown {
  if (!isObject(body) || !Array.isArray(body["tools"])) return body;
  const { tools } = body, written = parseWithNames(text) as { readonly tools: readonly unknown[] };
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
