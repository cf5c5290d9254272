/** Objects of JSON, whose values are still to be looked at. */

/** An object of JSON. */
export type JsonObject = { readonly [key: string]: unknown };

/** Whether a value is an object of JSON: neither a list nor null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
