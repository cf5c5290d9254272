/** Masks for replies: grammars that were made are kept, as clients ask for the same again and again. */
import { Constraint, TokenMasks } from "../../grammar/mask.ts";
import { Matcher } from "../../grammar/matcher.ts";
import { Vocabulary } from "../../grammar/vocabulary.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { Preparation } from "./preparation.ts";
import { type MakeGrammar, replyGrammar, type ReplyRules, textGrammar, type TextRules } from "./reply_grammar.ts";

/** Grammars that are kept for each tokenizer. */
const MAX_KEPT = 32;

/** Special tokens without which there is no reply in harmony. */
const STRUCTURE = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>"];

/** What is kept for a tokenizer. */
interface Kept {
  readonly masks: TokenMasks;
  /** By rules, those used last at the end; who asks for the same at the same time waits for the same. */
  readonly matchers: Map<string, Promise<Matcher>>;
}

const kept = new WeakMap<Tokenizer, Kept>();
const preparation = new Preparation();

/** Puts a vocabulary in order, which takes a while, before anybody waits; one without harmony's tokens is left. */
export function prepareVocabulary(tokenizer: Tokenizer): void {
  if (STRUCTURE.every((name) => tokenizer.special(name) !== undefined)) keptFor(tokenizer);
}

function keptFor(tokenizer: Tokenizer): Kept {
  let own = kept.get(tokenizer);
  if (own === undefined) {
    // Without one of them a reply could come to where nothing may follow.
    for (const name of STRUCTURE) tokenizer.requireSpecial(name);
    kept.set(tokenizer, own = { masks: new TokenMasks(new Vocabulary(tokenizer)), matchers: new Map() });
  }
  return own;
}

/**
 * What holds replies to some rules. Each sequence needs a constraint of its own.
 *
 * @throws {InputError} if a schema is none that can be kept to, or the tokenizer lacks a token of harmony.
 */
export async function constraintSource(tokenizer: Tokenizer, rules: ReplyRules | TextRules): Promise<() => Constraint> {
  const { masks, matchers } = keptFor(tokenizer), key = JSON.stringify(rules);
  const made = matchers.get(key) ?? makeMatcher(rules);
  matchers.delete(key);
  matchers.set(key, made);
  if (matchers.size > MAX_KEPT) matchers.delete(matchers.keys().next().value!);
  try {
    const matcher = await made;
    return () => new Constraint(masks, matcher);
  } catch (thrown) {
    if (matchers.get(key) === made) matchers.delete(key);
    throw thrown;
  }
}

async function makeMatcher(rules: ReplyRules | TextRules): Promise<Matcher> {
  const make: MakeGrammar = (source, where) => preparation.grammar(source, where);
  const grammar = "ends" in rules ? await textGrammar(rules, make) : await replyGrammar(rules, make);
  return new Matcher(grammar, "where" in rules.format ? rules.format.where : "tools");
}
