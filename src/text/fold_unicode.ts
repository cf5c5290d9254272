/**
 * What Hugging Face's library in JavaScript would cut otherwise than the one in Rust: groups without regard to case,
 * which Rust's expressions fold by Unicode and JavaScript's by ASCII, digits, of which Rust has more, and what is left
 * out.
 */
import { isObject } from "../json_object.ts";

/** Letters of ASCII that others fold to, and these. */
const FOLDED: readonly (readonly [letter: string, other: string])[] = [["s", "\u017f"], ["k", "\u212a"]];
/** Letters that one character folds to together. */
const TOGETHER = /ss|ff|fi|fl|st/i;
const OPEN = "(?i:";

/** Rewrites the parts of a pre-tokenizer so that they cut as they do in Rust. */
export function foldByUnicode(preTokenizer: unknown): unknown {
  if (!isObject(preTokenizer)) return preTokenizer;
  const out: Record<string, unknown> = { ...preTokenizer };
  if (out["type"] === "Digits") {
    // Numerals of all kinds, such as those of fractions.
    const pattern = { Regex: out["individual_digits"] === true ? "\\p{N}" : "\\p{N}+" };
    return { type: "Split", pattern, behavior: "Isolated", invert: false };
  }
  const { pattern, behavior, invert } = out;
  if (isObject(pattern)) {
    const { Regex: given, String: text } = pattern;
    const expression = typeof given === "string" ? foldedPattern(given) ?? given : spelled(String(text));
    out["pattern"] = { Regex: behavior === "Removed" ? withoutGroups(expression) : expression };
    // Cuts are the same between what matches and what does not, of which the library would leave out the latter.
    if (behavior === "Isolated" && invert === true) out["invert"] = false;
  }
  if (Array.isArray(out["pretokenizers"])) out["pretokenizers"] = out["pretokenizers"].map(foldByUnicode);
  return out;
}

/** The pattern of a text. */
const spelled = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

/** An escape, or anything else, one after the other; sets are found by {@linkcode partsOf}. */
const ESCAPE = /\\(?:[pPx]\{[^}]*\}|[^])|\(\?i:|[^]/uy;

/** The parts of a pattern: escapes, whole sets with those within them, beginnings of groups, any other characters. */
function* partsOf(pattern: string): Generator<string, void> {
  for (let at = 0; at < pattern.length;) {
    ESCAPE.lastIndex = at;
    const end = pattern[at] === "[" ? endOfSet(pattern, at) : at + ESCAPE.exec(pattern)![0].length;
    yield pattern.slice(at, end);
    at = end;
  }
}

/** Where a set ends. */
function endOfSet(pattern: string, start: number): number {
  let at = start + 1;
  if (pattern[at] === "^") at++;
  // The first character of a set may be the one that else closes it.
  if (pattern[at] === "]") at++;
  while (at < pattern.length && pattern[at] !== "]") {
    if (pattern[at] === "[") at = endOfSet(pattern, at);
    else at += pattern[at] === "\\" ? 2 : 1;
  }
  return at + 1;
}

/** A pattern that remembers no groups: the library would put them where it removes what matches. */
function withoutGroups(pattern: string): string {
  let out = "", before = "";
  for (const part of partsOf(pattern)) {
    // Of `(?`, the beginning of a group that is not remembered.
    out += before === "(" && part !== "?" ? "?:" + part : part;
    before = part;
  }
  return out;
}

/**
 * A pattern in which `(?i:...)` folds the two letters that have forms beyond ASCII.
 *
 * @returns null where such a group has characters beyond ASCII, some that one character folds to together, characters
 *   by their numbers, or sets with sets, properties or ranges of escapes in them.
 */
export function foldedPattern(pattern: string): string | null {
  let out = "", body: string | null = null, depth = 0;
  for (const part of partsOf(pattern)) {
    if (body === null) {
      out += part;
      if (part === OPEN) body = "";
      continue;
    }
    if (part.startsWith("(")) depth++;
    if (part === ")" && depth-- === 0) {
      const folded = foldedBody(body);
      if (folded === null) return null;
      out += folded + part;
      body = null;
      depth = 0;
    } else body += part;
  }
  return out;
}

function foldedBody(body: string): string | null {
  // Groups and {1} keep no letters apart.
  const letters = body.replaceAll(/\\.|\[[^]*?\]/g, " ").replaceAll(/\(\?i?:|[()]|\{1(?:,1)?\}/g, "");
  if (/\\[xu]|\P{ASCII}/u.test(body) || TOGETHER.test(letters)) return null;
  let out = "";
  for (const part of partsOf(body)) {
    if (part.length > 1 && part.startsWith("[")) {
      // What a set has is folded there, what \p{Lu} in it has too.
      if (part.slice(1).includes("[") || part.includes("&&") || /\\p|\\[^]-(?!\])|-\\/i.test(part)) return null;
      const others = FOLDED.filter(([letter]) => holds(part, letter)).map(([, other]) => other).join("");
      if (others !== "" && part.endsWith("-]")) return null;
      out += part.slice(0, -1) + others + "]";
    } else {
      const other = FOLDED.find(([letter]) => part.toLowerCase() === letter)?.[1];
      out += other === undefined ? part : `[${part.toLowerCase()}${part.toUpperCase()}${other}]`;
    }
  }
  return out;
}

/** Whether a set of characters and ranges, of ASCII, has a letter in either case; what else it has is left out. */
function holds(set: string, letter: string): boolean {
  const members = set.slice(1, -1).replace(/^\^/, "").replaceAll(/\\.(?:\{[^}]*\})?/g, "");
  return [letter, letter.toUpperCase()].some((one) =>
    members.includes(one) ||
    Array.from(members.matchAll(/([^])-([^])/g)).some(([, low, high]) => low! <= one && one <= high!)
  );
}
