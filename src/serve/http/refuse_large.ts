/** Refuses bodies of so many entries that to look at each of them would hold up other requests. */
import { ApiError } from "../api_error.ts";

/** Entries of a list or an object: four times as many as messages or prompts of a request. */
const MOST_ENTRIES = 1 << 14;
/** Entries of a list of token ids: the context of gpt-oss. */
const MOST_IDS = 1 << 17;

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
    const waiting: unknown[] = [value];
    while (waiting.length > 0) {
      const next = waiting.pop();
      if (typeof next !== "object" || next === null) continue;
      if (refuseEntries(next, field)) continue;
      for (const inner of Object.values(next)) if (typeof inner === "object") waiting.push(inner);
    }
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
  throw new ApiError(400, `${field}: expected ${what} got ${length}`, { param: field, code: "too_large" });
}

const isId = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0;
