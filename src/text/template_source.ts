/**
 * A chat template's text and words, before the library parses them: what it would read otherwise than Jinja is written
 * so that it does not, or refused.
 */

import { type Tag, TagError } from "./template_tags.ts";

/** A word of a template as the library cuts it. */
export interface Token {
  value: string;
  type: string;
}

/** A mistake in a template's words, and the place of the word. */
export class WordError extends Error {
  constructor(message: string, readonly place: number) {
    super(message);
  }
}

/** Statements of transformers. */
const GENERATION = /^\{% (\s*)(end)?generation(\s*) %\}$/;

/** What the library is given to read: blocks of `generation` are blocks with variables of their own. */
export function readable({ tags, rest }: { tags: readonly Tag[]; rest: string }): string {
  const written = tags.map(({ text, source, line }) => {
    if (/\\u[dD][89a-fA-F]/.test(source)) throw new TagError("holds half a character", line);
    const tag = source.replace(GENERATION, (_, before, end) => `{% ${before}${end ? "endfilter" : "filter string"} %}`);
    if (/\{%-?\s*(?:end)?generation\s*-?%\}/.test(tag)) throw new TagError("holds generation within a text", line);
    return text + tag;
  }).join("");
  // The library takes one line feed from the end.
  return rest === "" ? written : written + rest + (rest.endsWith("\n") ? "\n" : "");
}

const KEYWORDS: ReadonlySet<string> = new Set(["and", "or", "not", "in", "is", "if", "else"]);
const OPENS: ReadonlySet<string> = new Set([
  ...["OpenParen", "OpenSquareBracket", "OpenCurlyBracket", "OpenStatement", "OpenExpression"],
]);
const CLOSES: ReadonlySet<string> = new Set([
  ...["CloseParen", "CloseSquareBracket", "CloseCurlyBracket", "CloseStatement", "CloseExpression"],
]);
/** Tests to which Jinja takes the word that follows as what is tested with, unless it is one of these. */
const AFTER_TEST: ReadonlySet<string> = new Set(["else", "or", "and"]);
const STATEMENTS: ReadonlySet<string> = new Set(["set", "if", "elif", "for", "macro", "call", "filter", "else"]);

const SEPARATES: ReadonlySet<string> = new Set(["Comma", "Colon", "Equals"]);

/** What was read of one pair of brackets. */
interface Level {
  /** Where the additive operand begins that a `~` belongs to; -1: none does. */
  operand: number;
  joins: boolean;
  compared: boolean;
  /** Whether it holds a filter's arguments. */
  filters: boolean;
}

/**
 * The words with brackets around what Jinja reads first: `a + b ~ c` is `a + (b ~ c)` there.
 *
 * @throws {Error} for what the library would accept and Jinja does not, or reads in another way.
 */
export function regrouped(tokens: readonly Token[]): Token[] {
  const opened = new Set<number>(), closed = new Set<number>(), levels: Level[] = [];
  let level: Level = { operand: -1, joins: false, compared: false, filters: false }, statement = "", looped = false;
  tokens.forEach((token, at) => {
    const { type } = token,
      before = tokens[at - 1],
      word = type === "Identifier" && before?.type !== "Dot" ? token.value : "";
    const endOperand = () => {
      if (level.operand >= 0 && level.joins) {
        opened.add(level.operand);
        closed.add(at);
      }
      level.operand = -1;
      level.joins = false;
    };
    refuseNeighbours(tokens, at, statement);
    if (type === "OpenStatement" || type === "OpenExpression") {
      statement = type === "OpenStatement" ? tokens[at + 1]?.value ?? "" : "";
      looped = false;
    }
    const isOutside = levels.length === 1 && before?.type !== "OpenStatement";
    if (isOutside && (word === "if" && /^(?:el)?if$/.test(statement) || word === "else" && statement === "for")) {
      throw new WordError(`has ${word} within the condition of ${statement}, expected brackets around it`, at);
    }
    if (CLOSES.has(type)) {
      endOperand();
      const next = tokens[at + 1]?.type;
      if (level.filters && (next === "Dot" || next === "OpenSquareBracket")) {
        throw new WordError("takes a member of what a filter makes, expected brackets around it", at);
      }
      level = levels.pop() ?? level;
    } else if (OPENS.has(type)) {
      levels.push(level);
      level = { operand: -1, joins: false, compared: false, filters: tokens[at - 2]?.type === "Pipe" };
    } else if (word === "in" && statement === "for" && !looped) {
      looped = true;
      level.compared = false;
    } else if (type === "ComparisonBinaryOperator" || word === "in") {
      endOperand();
      if (level.compared) {
        throw new WordError("compares in a chain: expected two comparisons with `and` between them", at);
      }
      level.compared = true;
    } else if (KEYWORDS.has(word) && word !== "is" || SEPARATES.has(type)) {
      if (word === "not" && before?.value === "is") return;
      endOperand();
      if (word !== "not") level.compared = false;
    } else if (type === "AdditiveBinaryOperator" && token.value !== "~") {
      endOperand();
      level.operand = at + 1;
    } else if (type === "AdditiveBinaryOperator") {
      level.joins = true;
    }
  });
  return tokens.flatMap((token, at) => [
    ...closed.has(at) ? [{ value: ")", type: "CloseParen" }] : [],
    ...opened.has(at) ? [{ value: "(", type: "OpenParen" }] : [],
    token,
  ]);
}

/** Refuses two values side by side, which the library takes for two items, and words of the language as names. */
function refuseNeighbours(tokens: readonly Token[], at: number, statement: string): void {
  const token = tokens[at]!, before = tokens[at - 1];
  if (token.type === "NumericLiteral" && /^[+-]?0\d*[1-9]\d*$/.test(token.value)) {
    throw new WordError(`has ${token.value}, a number that begins with 0`, at);
  }
  if (before === undefined) return;
  if (token.type === "Identifier" && tokens[at - 2]?.type === "Identifier" && isTestName(tokens, at - 1)) {
    if (!AFTER_TEST.has(token.value)) {
      throw new WordError(`has ${token.value} after a test, which Jinja tests with`, at);
    }
  }
  const begins = ["NumericLiteral", "StringLiteral", "OpenCurlyBracket"].includes(token.type) ||
    token.type === "Identifier" && !KEYWORDS.has(token.value) || token.type === "OpenSquareBracket" &&
      isTestName(tokens, at - 1);
  const ends = ["NumericLiteral", "StringLiteral", "CloseParen", "CloseSquareBracket", "CloseCurlyBracket"]
    .includes(before.type) || before.type === "Identifier" && !KEYWORDS.has(before.value);
  const isFirst = tokens[at - 2]?.type === "OpenStatement";
  const isOperand = /Operator$/.test(before.type) || before.type === "Identifier" && before.value === "in" &&
      statement !== "for";
  if (token.type === "Identifier" && token.value === "not" && isOperand) {
    throw new WordError("has not after an operator, expected brackets around it", at);
  }
  if (before.type === "Dot" && token.type === "NumericLiteral" && /^[+-]/.test(token.value)) {
    throw new WordError(`has a point before ${token.value}`, at);
  }
  if (token.type === "Identifier" && token.value === "not" && ends && !isFirst && tokens[at + 1]?.value !== "in") {
    throw new WordError("has not after a value, expected an operator before it", at);
  }
  if (!begins || !ends || token.type === "StringLiteral" && before.type === "StringLiteral") return;
  if (tokens[at - 2]?.type === "OpenStatement" && STATEMENTS.has(before.value)) return;
  if (before.type === "CloseParen" && statement === "call") return;
  throw new WordError("has two values side by side", at);
}

function isTestName(tokens: readonly Token[], at: number): boolean {
  const isWord = (place: number, word: string) => tokens[place]?.type === "Identifier" && tokens[place]!.value === word;
  return tokens[at]?.type === "Identifier" && tokens[at]!.value !== "not" &&
    (isWord(at - 1, "is") || isWord(at - 1, "not") && isWord(at - 2, "is"));
}
