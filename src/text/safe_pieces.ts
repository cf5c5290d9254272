/**
 * Pieces of a long text whose words are, together, the words of the whole: the library's regular expression takes a
 * second for a megabyte, in which nothing else is done.
 *
 * A text is cut only after a letter or a digit and before what is none of letter, digit, mark and `'`, and only where
 * the pattern is that of o200k. Of its branches,
 *
 * - the two of letters go on after a letter with letters, marks or `'`; they contain no digits;
 * - that of digits goes on with digits;
 * - the others contain neither letters nor digits.
 *
 * So no word reaches over such a place; and what the pattern asks about the character after it, in a class or in
 * `(?!\S)`, which stands after a blank, is answered as at the end of a text. Nothing looks back.
 */
import { isObject } from "../json_object.ts";

/** Branches of letters by case with an English ending. */
const LETTERS = [
  String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?`,
  String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?`,
];
/** Branches of signs, line ends, spaces. */
const OTHERS = [String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*`, String.raw`\s*[\r\n]+`, String.raw`\s+(?!\S)`, String.raw`\s+`];

/** How o200k cuts text into words; numbers by three digits. */
export const O200K_SPLIT: string = [...LETTERS, String.raw`\p{N}{1,3}`, ...OTHERS].join("|");
/** The same with digits one by one. */
const DIGITS_SPLIT = [...LETTERS, String.raw`\p{N}`, ...OTHERS].join("|");

/** UTF-16 units of a piece, or as many more as it takes to a place where it can be cut. */
const PIECE = 8192;
const SAFE = /[\p{L}\p{N}](?=[^\p{L}\p{N}\p{M}'])/gu;

/** Whether a pre-tokenizer of tokenizer.json cuts text by one of these patterns and does nothing else that matters. */
export function cutsLikeO200k(preTokenizer: unknown): boolean {
  const parts = isObject(preTokenizer) && preTokenizer["type"] === "Sequence" && preTokenizer["pretokenizers"];
  if (!Array.isArray(parts) || parts.length !== 2) return false;
  const [split, bytes] = parts as unknown[];
  if (!isObject(split) || !isObject(bytes) || !isObject(split["pattern"])) return false;
  return split["type"] === "Split" && split["behavior"] === "Isolated" && split["invert"] === false &&
    [O200K_SPLIT, DIGITS_SPLIT].includes(split["pattern"]["Regex"] as string) &&
    bytes["type"] === "ByteLevel" && bytes["add_prefix_space"] === false && bytes["use_regex"] === false;
}

/**
 * The pieces, in their order; few texts have no place to cut them, and are one.
 *
 * @param text Well-formed.
 * @param units Of a piece, at least.
 */
export function* safePieces(text: string, units = PIECE): Generator<string, void> {
  let at = 0;
  while (text.length - at > units) {
    SAFE.lastIndex = at + units - 1;
    if (SAFE.exec(text) === null) break;
    yield text.slice(at, SAFE.lastIndex);
    at = SAFE.lastIndex;
  }
  yield text.slice(at);
}
