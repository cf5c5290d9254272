/** What Python makes of texts, where JavaScript makes something else. */

/** What Python takes for blanks. */
const BLANKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009" +
  "\u200a\u2028\u2029\u202f\u205f\u3000";

/** Python's `strip`, `lstrip` and `rstrip` of a text, by default of blanks. */
export function strippedText(text: string, side: string, characters: string = BLANKS): string {
  const gone = new Set(characters);
  let start = 0, end = text.length;
  // A character of two units is looked at as a whole.
  const first = () => String.fromCodePoint(text.codePointAt(start)!);
  const last = () => text.slice(/[\udc00-\udfff]/.test(text[end - 1]!) ? end - 2 : end - 1, end);
  if (side !== "rstrip") { while (start < end && gone.has(first())) start += first().length; }
  if (side !== "lstrip") { while (end > start && gone.has(last())) end -= last().length; }
  return text.slice(start, end);
}

const BLANK_SET: ReadonlySet<string> = new Set(BLANKS);

/**
 * Python's `split` at blanks.
 *
 * @param most Blanks at which it is cut, after which the rest stays as it is; -1: all.
 */
export function wordsOf(text: string, most: number): string[] {
  const words: string[] = [];
  for (let at = 0; at < text.length;) {
    if (BLANK_SET.has(text[at]!)) {
      at++;
      continue;
    }
    if (words.length === most) return [...words, text.slice(at)];
    const start = at;
    while (at < text.length && !BLANK_SET.has(text[at]!)) at++;
    words.push(text.slice(start, at));
  }
  return words;
}

/** The first character of a text, which may be two of its units; of an empty text nothing. */
function firstOf(text: string): string {
  const [first = ""] = text;
  return first;
}

/** Python's `capitalize`: all but the first letter become small. */
export function capitalized(text: string): string {
  const first = firstOf(text);
  const large = first.toUpperCase(), [letter = ""] = large;
  // A letter that becomes two is large in the first of them only.
  return letter + large.slice(letter.length).toLowerCase() + text.slice(first.length).toLowerCase();
}

/** Jinja's `title`: words begin after blanks, hyphens and opening brackets. */
export function titled(text: string): string {
  return text.split(/([-\s({[<]+)/).map((word) => {
    const first = firstOf(word);
    return first.toUpperCase() + word.slice(first.length).toLowerCase();
  }).join("");
}

/** The number that a text is as a whole to Python's `int` or `float`; null: none. */
export function numberOf(text: string): number | null {
  const written = strippedText(text, "strip");
  if (/^[+-]?(?:inf|infinity)$/i.test(written)) return written.startsWith("-") ? -Infinity : Infinity;
  if (!/^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+)?$/i.test(written)) return null;
  return Number(written.replaceAll("_", ""));
}

/** What ends a line to Python besides a line feed. */
const LINE_ENDS: ReadonlySet<string> = new Set("\v\f\r\x1c\x1d\x1e\x85\u2028\u2029");

/** A text whose lines, as Python parts them, end with a line feed. */
export function withLineFeeds(text: string): string {
  return Array.from(text.replaceAll("\r\n", "\n"), (one) => LINE_ENDS.has(one) ? "\n" : one).join("");
}

/** Python's `title` of a text: letters after other letters become small, all others large. */
export function titleCased(text: string): string {
  return text.replace(/\p{Cased}+/gu, capitalized);
}
