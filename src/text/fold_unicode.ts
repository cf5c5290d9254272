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

/** Escapes, sets and beginnings of groups that are remembered. */
const REMEMBERED = /\\[^]|\[\^?\]?(?:\\[^]|[^\]\\])*\]|\((?!\?)/g;

/** A pattern that remembers no groups: the library would put them where it removes what matches. */
function withoutGroups(pattern: string): string {
  return pattern.replaceAll(REMEMBERED, (part) => part === "(" ? "(?:" : part);
}

/**
 * A pattern in which `(?i:...)` folds the two letters that have forms beyond ASCII.
 *
 * @returns null where such a group has letters beyond ASCII, some that one character folds to together, characters by
 *   their numbers, or sets in sets.
 */
export function foldedPattern(pattern: string): string | null {
  let out = "", at = 0;
  for (let from = pattern.indexOf(OPEN); from >= 0; from = pattern.indexOf(OPEN, at)) {
    const end = endOfGroup(pattern, from + OPEN.length), body = pattern.slice(from + OPEN.length, end);
    const folded = foldedBody(body);
    if (folded === null) return null;
    out += pattern.slice(at, from) + OPEN + folded;
    at = end;
  }
  return out + pattern.slice(at);
}

/** The place of the `)` of a group, or the end of the pattern. */
function endOfGroup(pattern: string, start: number): number {
  let depth = 0, inSet = false;
  for (let at = start; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === "\\") at++;
    else if (inSet) inSet = character !== "]";
    else if (character === "[") {
      inSet = true;
      // The first character of a set may be the one that else closes it.
      if (pattern[at + 1] === "^") at++;
      if (pattern[at + 1] === "]") at++;
    } else if (character === "(") depth++;
    else if (character === ")" && depth-- === 0) return at;
  }
  return pattern.length;
}

/** What a group holds: sets, escapes, and anything else, character by character. */
const PARTS = /\[\^?\]?(?:\\.|[^\]\\])*\]|\\.(?:\{[^}]*\})?|[^]/gu;

function foldedBody(body: string): string | null {
  if (/\\[xu]/.test(body) || TOGETHER.test(body.replaceAll(/\[[^]*?\]/g, " "))) return null;
  // A letter that has another case.
  if (Array.from(body).some((c) => c > "\u007f" && c.toLowerCase() !== c.toUpperCase())) return null;
  let out = "";
  for (const [part] of body.matchAll(PARTS)) {
    if (part.length > 1 && part.startsWith("[")) {
      if (part.slice(1).includes("[") || part.includes("&&")) return null;
      const others = FOLDED.filter(([letter]) => holds(part, letter)).map(([, other]) => other).join("");
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
