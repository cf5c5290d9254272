/**
 * Refuses bodies of so many entries that to look at each of them would hold up other requests, that lie too deep in
 * each other to be looked at by calls within calls, or with numbers that are none once they are read.
 */
import { ApiError } from "../api_error.ts";

/** Entries of a list or an object: four times as many as messages or prompts of a request. */
const MOST_ENTRIES = 1 << 14;
/** Entries of a list of token ids: the context of gpt-oss. */
const MOST_IDS = 1 << 17;
/** Lists and objects in each other. Calls within calls are at their end some thousands deep. */
const MOST_LEVELS = 1_000;

/**
 * Looks into all lists and objects of a body, however deep, without looking at what they mean. What is wrong in each of
 * the entries that are let through can be said: a validator makes an object of each, and gives them to one call.
 *
 * @throws {ApiError} 400 naming the field.
 */
export function refuseLarge(body: unknown): void {
  if (typeof body !== "object" || body === null) return;
  refuseEntries(body, "body");
  for (const [field, value] of Array.isArray(body) ? [["body", body] as const] : Object.entries(body)) {
    let here: unknown[] = [value];
    for (let level = 0; here.length > 0; level++) {
      if (level === MOST_LEVELS) throw refusal(field, `lists and objects nested at most ${MOST_LEVELS} deep, got more`);
      const below: unknown[] = [];
      for (const one of here) lookInto(one, field, below);
      here = below;
    }
  }
}

/** Looks at a value, and adds the lists, objects and large numbers in it to those that are still to be looked at. */
function lookInto(value: unknown, field: string, below: unknown[]): void {
  // JSON.parse reads 1e999 as Infinity, which would be null where it is written again.
  if (typeof value === "number" && !Number.isFinite(value)) throw refusal(field, `numbers below 1.8e308, got ${value}`);
  if (typeof value !== "object" || value === null || refuseEntries(value, field)) return;
  for (const inner of Object.values(value)) {
    if (typeof inner === "object" || (typeof inner === "number" && !Number.isFinite(inner))) below.push(inner);
  }
}

/** @returns Whether it holds token ids and nothing else. */
function refuseEntries(value: object, field: string): boolean {
  const length = Array.isArray(value) ? value.length : Object.keys(value).length;
  if (length <= MOST_ENTRIES) return false;
  if (Array.isArray(value) && length <= MOST_IDS && value.every(isId)) return true;
  const what = Array.isArray(value)
    ? `lists of at most ${MOST_ENTRIES}, or ${MOST_IDS} token ids,`
    : `at most ${MOST_ENTRIES} keys,`;
  throw refusal(field, `${what} got ${length}`);
}

function refusal(field: string, expected: string): ApiError {
  return new ApiError(400, `${field}: expected ${expected}`, { param: field, code: "too_large" });
}

const isId = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0;
