/**
 * Tools whose input is a text, not JSON. gpt-oss knows no such tools: it is told of a function with one argument, and
 * held to that, so that the argument of its call is the input.
 */
import type { CustomFields, CustomFormat } from "../endpoints/format_fields.ts";
import { checkPattern } from "../../grammar/pattern.ts";
import { wrongField } from "../api_error.ts";
import type { ChatTool } from "./reply_grammar.ts";

/** The argument. */
const INPUT = "input";

/**
 * The function that the model is told of.
 *
 * @param field What messages call the grammar of its input.
 * @throws {ApiError | InputError} for a grammar that is no regular expression.
 */
export function customTool({ name, description, format }: CustomFields, field: string): ChatTool {
  const input = { type: "string", ...keepingTo(format, field) };
  return {
    name,
    ...(description == null ? {} : { description }),
    parameters: { type: "object", properties: { [INPUT]: input }, required: [INPUT], additionalProperties: false },
    strict: true,
  };
}

function keepingTo(format: CustomFormat | null | undefined, field: string): { readonly pattern?: string } {
  if (format?.type !== "grammar") return {};
  const { syntax, definition } = format;
  if (syntax !== "regex") {
    throw wrongField(`${field}.syntax`, "lark is not supported; expected regex, or the format text", "unsupported");
  }
  // By itself, so that its brackets close in it.
  checkPattern(definition, `${field}.definition`);
  return { pattern: `^(?:${definition})$` };
}

/** A call of such a tool as the model makes it. */
export function customArguments(input: string): string {
  return JSON.stringify({ [INPUT]: input });
}

/** What stands before the input, in each way of setting blanks. */
const BEFORE = new RegExp(`^\\s*\\{\\s*"${INPUT}"\\s*:\\s*"`);
/** A character of the input, whole pairs of surrogates together; what else there is, is not whole yet. */
const PART = /[^"\\]+|\\(?:["\\/bfnrt]|u[dD][89abAB][\da-fA-F]{2}\\u[\da-fA-F]{4}|u(?![dD][89abAB])[\da-fA-F]{4})/y;

/** Reads the input out of the arguments while they are written, piece by piece. */
export class InputReader {
  #place: "before" | "inside" | "after" = "before";
  #rest = "";

  /** What a piece of the arguments adds to the input. */
  push(piece: string): string {
    if (this.#place === "after") return "";
    this.#rest += piece;
    if (this.#place === "before") {
      const length = BEFORE.exec(this.#rest)?.[0].length;
      if (length === undefined) return "";
      this.#rest = this.#rest.slice(length);
      this.#place = "inside";
    }
    let at = 0;
    for (PART.lastIndex = 0; PART.test(this.#rest); PART.lastIndex = at) at = PART.lastIndex;
    const added = this.#rest.slice(0, at).replaceAll(/\\(?:u.{4}|.)/g, (escape) => JSON.parse(`"${escape}"`));
    this.#rest = this.#rest.slice(at);
    if (this.#rest.startsWith('"')) this.#place = "after";
    return added;
  }
}
