/**
 * What tokenizer.json does to a text before it is cut, as Hugging Face's Rust library does it. The one in JavaScript
 * asks JavaScript, to which other characters are blanks, and the lower case of a capital sigma at the end of a word is
 * another letter.
 */
import { COMBINING_MARKS } from "./combining_marks.ts";

/** A text that is changed. */
export type Normalize = (text: string) => string;

/** One blank at the beginning, or one of them anywhere; all are in the BMP. */
const LEADING = /^\p{White_Space}+/u, BLANK = /^\p{White_Space}$/u;

function withoutTrailing(text: string): string {
  let end = text.length;
  while (end > 0 && BLANK.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/**
 * The normalizer of a file.
 *
 * @param part As `checkParts` lets it through; null: none.
 */
export function normalizerOf(part: unknown): Normalize {
  if (part === null || part === undefined) return (text) => text;
  const { type, ...options } = part as { readonly type: string } & Readonly<Record<string, unknown>>;
  switch (type) {
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return (text) => text.normalize(type);
    case "Lowercase":
      // Letter by letter there; what stands around a letter changes no other one here.
      return (text) => text.replaceAll("\u03a3", "\u03c3").toLowerCase();
    case "StripAccents":
      return (text) => text.replaceAll(COMBINING_MARKS, "");
    case "Strip": {
      const { strip_left: left, strip_right: right } = options;
      const leading: Normalize = left === true ? (text) => text.replace(LEADING, "") : (text) => text;
      return right === true ? (text) => withoutTrailing(leading(text)) : leading;
    }
    case "Sequence": {
      const all = (options["normalizers"] as readonly unknown[]).map(normalizerOf);
      return (text) => all.reduce((changed, normalize) => normalize(changed), text);
    }
    default:
      throw new TypeError(`${type} is no normalizer that is let through`);
  }
}
