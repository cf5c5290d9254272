/** Masks for replies: grammars that were made are kept, as clients ask for the same again and again. */
import { Constraint, TokenMasks } from "../../grammar/mask.ts";
import { Matcher } from "../../grammar/matcher.ts";
import { Vocabulary } from "../../grammar/vocabulary.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { replyGrammar, type ReplyRules } from "./reply_grammar.ts";

/** Grammars that are kept for each tokenizer. */
const MAX_KEPT = 32;

/** Special tokens without which there is no reply in harmony. */
const STRUCTURE = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>"];

/** What is kept for a tokenizer; its vocabulary is sorted when the first constrained reply is asked for. */
interface Kept {
  readonly masks: TokenMasks;
  /** By rules, those used last at the end. */
  readonly matchers: Map<string, Matcher>;
}

const kept = new WeakMap<Tokenizer, Kept>();

/**
 * What holds replies to some rules. Each sequence needs a constraint of its own.
 *
 * @throws {InputError} if a schema is none that can be kept to, or the tokenizer lacks a token of harmony.
 */
export function constraintSource(tokenizer: Tokenizer, rules: ReplyRules): () => Constraint {
  let own = kept.get(tokenizer);
  if (own === undefined) {
    // Without one of them a reply could come to where nothing may follow.
    for (const name of STRUCTURE) tokenizer.requireSpecial(name);
    kept.set(tokenizer, own = { masks: new TokenMasks(new Vocabulary(tokenizer)), matchers: new Map() });
  }
  const { masks, matchers } = own, key = JSON.stringify(rules);
  const matcher = matchers.get(key) ?? new Matcher(replyGrammar(rules), "response_format");
  matchers.delete(key);
  matchers.set(key, matcher);
  if (matchers.size > MAX_KEPT) matchers.delete(matchers.keys().next().value!);
  return () => new Constraint(masks, matcher);
}
