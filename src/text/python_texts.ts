/** What Python makes of texts, where JavaScript makes something else. */

/** What Python takes for blanks. */
export const BLANKS =
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009" +
  "\u200a\u2028\u2029\u202f\u205f\u3000";

/** The part that Python's `strip`, `lstrip` and `rstrip` of a text leave, by default without blanks. */
export function stripped(text: string, side: string, characters: string = BLANKS): [start: number, end: number] {
  const gone = new Set(characters);
  let start = 0, end = text.length;
  // A character of two units is looked at as a whole.
  const first = () => String.fromCodePoint(text.codePointAt(start)!);
  const last = () => text.slice(/[\udc00-\udfff]/.test(text[end - 1]!) ? end - 2 : end - 1, end);
  if (side !== "rstrip") { while (start < end && gone.has(first())) start += first().length; }
  if (side !== "lstrip") { while (end > start && gone.has(last())) end -= last().length; }
  return [start, end];
}

const BLANK_SET: ReadonlySet<string> = new Set(BLANKS);

/**
 * The parts that Python's `split` at blanks makes.
 *
 * @param most Blanks at which it is cut, after which the rest stays as it is; -1: all.
 */
export function wordsOf(text: string, most: number): [start: number, end: number][] {
  const words: [number, number][] = [];
  for (let at = 0; at < text.length;) {
    if (BLANK_SET.has(text[at]!)) {
      at++;
      continue;
    }
    if (words.length === most) return [...words, [at, text.length]];
    const start = at;
    while (at < text.length && !BLANK_SET.has(text[at]!)) at++;
    words.push([start, at]);
  }
  return words;
}

/** The same from the end on, Python's `rsplit`. */
export function lastWordsOf(text: string, most: number): [start: number, end: number][] {
  const words: [number, number][] = [];
  for (let at = text.length; at > 0;) {
    if (BLANK_SET.has(text[at - 1]!)) {
      at--;
      continue;
    }
    if (words.length === most) {
      words.push([0, at]);
      break;
    }
    const end = at;
    while (at > 0 && !BLANK_SET.has(text[at - 1]!)) at--;
    words.push([at, end]);
  }
  return words.reverse();
}

/** The number that a text is as a whole to Python's `int` or `float`; null: none. */
export function numberOf(text: string): number | null {
  const written = text.slice(...stripped(text, "strip")).replace(/\p{Nd}/gu, digitOf);
  if (/^[+-]?(?:inf|infinity)$/i.test(written)) return written.startsWith("-") ? -Infinity : Infinity;
  if (!/^[+-]?(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$/i.test(written)) {
    return null;
  }
  return Number(written.replaceAll("_", ""));
}

/** A digit of any script as one of ours: each has its ten in a row. */
function digitOf(digit: string): string {
  const code = digit.codePointAt(0)!;
  let before = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(code - before - 1))) before++;
  return String(before % 10);
}

/** What ends a line to Python. */
const LINE_ENDS = new RegExp("\r\n|[\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029]", "g");

/** The lines of a text as Python parts them, each with its end or without. */
export function linesOf(text: string, keepEnds: boolean): [start: number, end: number][] {
  const lines: [number, number][] = [];
  let start = 0;
  for (const { 0: end, index } of text.matchAll(LINE_ENDS)) {
    lines.push([start, keepEnds ? index + end.length : index]);
    start = index + end.length;
  }
  return start < text.length ? [...lines, [start, text.length]] : lines;
}
