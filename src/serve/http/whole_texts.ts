/** Refuses texts with half of a character, which JSON can spell as an escape and UTF-8 cannot. */
import { show } from "../../describe.ts";
import { ApiError } from "../api_error.ts";

/** The spelling of a half: bytes of UTF-8 have been read before, so that none is there otherwise. */
const ESCAPED_HALF = /\\u[dD][89a-fA-F]/;

/**
 * Looks into all texts and keys of a body. A tokenizer would compute U+FFFD in place of a half, and stops, choices and
 * patterns would cut a reply within a character.
 *
 * @param text The JSON that `body` was read from.
 * @param field Whose value it is, or none of a whole body.
 * @throws {ApiError} 400 naming the field.
 */
export function refuseHalves(body: unknown, text: string, field = ""): void {
  if (ESCAPED_HALF.test(text)) lookInto(body, field);
}

/** Calls itself as deep as lists and objects lie in each other, which {@linkcode refuseLarge} bounds. */
function lookInto(value: unknown, field: string): void {
  if (typeof value === "string") refuseHalf(value, field);
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    refuseHalf(key, field);
    lookInto(inner, field === "" ? key : `${field}.${key}`);
  }
}

function refuseHalf(text: string, field: string): void {
  if (text.isWellFormed()) return;
  const param = field || "body";
  throw new ApiError(400, `${param}: expected a text of whole characters, got ${show(text)}`, { param });
}
