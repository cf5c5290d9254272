/** What a schema expected, in words of this program. */
import type { z } from "zod";

const NAMES: Readonly<Record<string, string>> = {
  array: "a list",
  boolean: "true or false",
  int: "an integer",
  number: "a number",
  object: "an object",
  record: "an object",
  string: "a text",
};

/**
 * What was expected, in words, where a schema does not say it itself: of the issue's own parts, as zod's sentences say
 * what was got, too, and may be worded otherwise tomorrow. Null leaves zod's own.
 */
export function expectation(issue: z.core.$ZodRawIssue): string | null {
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

/** Values as JSON has them, the one or the other. */
export const alternatives = (values: readonly unknown[]): string =>
  values.map((value) => JSON.stringify(value)).join(" or ");

/** What the size of a text is counted in. */
function unitOf(origin: string, size: number | bigint): string {
  return origin !== "string" ? "" : size === 1 ? " character" : " characters";
}

function sizeOf(origin: string): string {
  if (origin === "array") return "a list";
  if (origin === "string") return "a text";
  return origin === "int" ? "an integer" : "a number";
}
