/** What a part of a reply is held to, as data that a thread can be sent: a schema, a pattern, or one of some texts. */
import { textsOf, withBudget } from "../../grammar/dfa.ts";
import { bytes, type Node } from "../../grammar/node.ts";
import { wholePattern } from "../../grammar/pattern.ts";
import { MAX_COST, schemaGrammar, type SchemaOptions } from "../../grammar/schema.ts";

/** One of them. */
export type GrammarSource =
  | { readonly schema: unknown } & SchemaOptions
  /** Of all of a text. */
  | { readonly pattern: string }
  | { readonly texts: readonly string[] };

/**
 * The grammar of a source.
 *
 * @param where What messages begin with.
 * @param most What it may cost, as `withBudget` counts.
 * @throws {InputError} if there is none, or it costs more.
 */
export function grammarOfSource(source: GrammarSource, where: string, most: number = MAX_COST): Node {
  if ("schema" in source) return schemaGrammar(source.schema, where, most, source);
  return withBudget(
    Math.min(most, MAX_COST),
    () => bytes("pattern" in source ? wholePattern(source.pattern, where) : textsOf(source.texts, where)),
  );
}
