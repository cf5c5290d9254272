/** What a schema expected, in words of this program. */
import type { z } from "zod";

const NAMES: Readonly<Record<string, string>> = {
  array: "a list",
  boolean: "true or false",
  int: "an integer",
  never: "nothing",
  null: "null",
  number: "a number",
  object: "an object",
  record: "an object",
  string: "a text",
  tuple: "a list",
  undefined: "nothing",
};

/**
 * What was expected of a value of this schema, in words, where the schema does not say it itself: of the issue's own
 * parts, as zod's sentences say what was got, too, and may be worded otherwise tomorrow. Null leaves zod's own.
 */
export function expectation(schema: z.core.$ZodType): (issue: z.core.$ZodRawIssue) => string | null {
  // Looked for with the first value that is too small or too large: most are neither.
  let integers: ReadonlySet<object> | null = null;
  const areInteger = (check: unknown) => (integers ??= checksOfIntegers(schema)).has(check as object);
  return (issue) => {
    switch (issue.code) {
      case "invalid_type":
        return kindOf(issue);
      case "invalid_value":
        return alternatives(issue.values);
      case "invalid_format":
        return "a text of another form";
      case "not_multiple_of":
        return `a multiple of ${issue.divisor}`;
      case "too_small":
        return sizeOf(issue, issue.minimum, issue.inclusive ? "of at least" : "above", areInteger(issue.inst));
      case "too_big":
        return sizeOf(issue, issue.maximum, issue.inclusive ? "of at most" : "below", areInteger(issue.inst));
      case "invalid_union":
        if (issue.errors.length === 0 && Array.isArray(issue.options)) return alternatives(issue.options);
        return kindsOf(issue.errors);
      case "invalid_key":
        return issue.issues[0]?.message ?? "another name";
      case "unrecognized_keys":
        return "unknown field";
      case "custom":
        return "another value";
      default:
        return null;
    }
  };
}

/** Values as JSON has them, the one or the other. */
export const alternatives = (values: readonly unknown[]): string =>
  values.map((value) => JSON.stringify(value)).join(" or ");

/** The kind of value that was expected; of `1e999`, which is a number, one that is finite. */
function kindOf({ expected, inst, received }: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidType>): string {
  if (isInteger(inst)) return NAMES["int"]!;
  if (expected === "number" && received !== undefined) return "a finite number";
  return NAMES[expected] ?? expected;
}

/** What the branches of a union take. */
const kindsOf = (branches: readonly (readonly z.core.$ZodIssue[])[]): string =>
  [...new Set(branches.map(kindOfBranch))].join(" or ");

/** What a branch of a union takes: where something in a value is wrong, values of that kind. */
function kindOfBranch([issue]: readonly z.core.$ZodIssue[]): string {
  if (issue === undefined) return "a value";
  if (issue.path.length > 0) return NAMES[typeof issue.path[0] === "number" ? "array" : "object"]!;
  return issue.code === "unrecognized_keys" || issue.code === "invalid_key" ? NAMES["object"]! : issue.message;
}

/** What the size of a value should have been: `a list of 2`, `a text of at most 1 character`, `a number above 0`. */
function sizeOf(
  { origin, exact }: { readonly origin: string; readonly exact?: unknown },
  size: number | bigint,
  relation: string,
  ofInteger: boolean,
): string {
  const bound = exact === true ? `of ${size}` : `${relation} ${size}`;
  if (origin === "array") return `a list ${bound}`;
  if (origin === "string") return `a text ${bound} ${size === 1 ? "character" : "characters"}`;
  return `${ofInteger || origin === "int" ? "an integer" : "a number"} ${bound}`;
}

/** Whether a schema takes integers alone: zod asks these for a number first. */
function isInteger(schema: unknown): boolean {
  const def = (schema as z.core.$ZodType | undefined)?._zod?.def as z.core.$ZodNumberFormatDef | undefined;
  return def?.type === "number" &&
    (def.format === "safeint" || (def.checks ?? []).some((check) => formatOf(check) === "safeint"));
}

const formatOf = ({ _zod: { def } }: z.core.$ZodCheck<never>): unknown => "format" in def ? def.format : null;

/** The checks of all schemas of integers in a schema: a check itself does not know what it belongs to. */
function checksOfIntegers(schema: z.core.$ZodType): ReadonlySet<object> {
  const checks = new Set<object>(), seen = new Set<object>();
  const look = (part: unknown): void => {
    if (typeof part !== "object" || part === null || seen.has(part)) return;
    seen.add(part);
    if (isInteger(part)) { for (const check of (part as z.core.$ZodNumber)._zod.def.checks ?? []) checks.add(check); }
    // A schema's parts are in its definition, in lists and in shapes there.
    const inner = "_zod" in part ? (part as z.core.$ZodType)._zod.def : part;
    const { constructor } = inner as object;
    if (constructor !== Object && !Array.isArray(inner)) return;
    for (const value of Object.values(inner)) look(value);
  };
  look(schema);
  return checks;
}

/**
 * The issue that says most: of a union the one of the branch that got farthest into the value, as its other branches
 * were not meant. Its path begins at the whole value.
 */
export function deepest(
  issues: readonly z.core.$ZodIssue[],
  path: readonly PropertyKey[] = [],
): z.core.$ZodIssue {
  const [issue] = issues as [z.core.$ZodIssue], at = [...path, ...issue.path];
  // A union that says itself what it expects has better words than its branches.
  if (issue.code === "invalid_union" && issue.errors.length > 0 && issue.message === kindsOf(issue.errors)) {
    const all = issue.errors.map((branch) => deepest(branch, at)).toSorted((a, b) => compareIssues(a, b, at));
    const [farthest] = all as [z.core.$ZodIssue];
    if (farthest.path.length > at.length) return { ...farthest, message: alternativesOf(farthest, all) };
  }
  return { ...issue, path: at };
}

/** What an issue is about: the value at its path, or the last name of the path itself. */
export function got({ code, path }: z.core.$ZodIssue, value: unknown): unknown {
  if (code === "invalid_key") return path.at(-1);
  return path.reduce<unknown>(
    (at, key) => typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
}

/** What was expected where several branches got equally far: a value of any of them. */
function alternativesOf(farthest: z.core.$ZodIssue, all: readonly z.core.$ZodIssue[]): string {
  const equal = all.filter(({ path }) => path.join() === farthest.path.join());
  if (equal.length > 1 && equal.every(({ code }) => code === "invalid_type")) {
    return [...new Set(equal.map(({ message }) => message))].join(" or ");
  }
  if (valuesOf(farthest).length === 0 || equal.length < 2) return farthest.message;
  return alternatives([...new Set(equal.flatMap(valuesOf))]);
}

/** Values that were expected, where there are some only. */
function valuesOf(issue: z.core.$ZodIssue): readonly unknown[] {
  if (issue.code === "invalid_value") return issue.values;
  // Of a union that a field decides, no branch was tried: `options` are the field's values.
  return issue.code === "invalid_union" && "options" in issue && Array.isArray(issue.options) ? issue.options : [];
}

/**
 * Orders issues of a union's branches by how far into the value at a path they lead, the farthest first; of those that
 * lead equally far, a branch comes last that is of another `type`, by which OpenAI tells objects apart.
 */
function compareIssues(a: z.core.$ZodIssue, b: z.core.$ZodIssue, at: readonly PropertyKey[]): number {
  const isOther = (issue: z.core.$ZodIssue) =>
    Number(issue.path.length === at.length + 1 && issue.path.at(-1) === "type" && valuesOf(issue).length > 0);
  return b.path.length - a.path.length || isOther(a) - isOther(b) ||
    Number(b.path.at(-1)) - Number(a.path.at(-1)) || 0;
}
