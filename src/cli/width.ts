/**
 * How much room text takes on a terminal. A wide character (CJK, most emoji) takes two columns, an accent none.
 *
 * Widths come from the package that `string-width` is built on. That one also sets up ICU's rules of graphemes, which
 * every start would pay for; what joins wide characters, U+200D, is never sent to a terminal (printable.ts).
 */
import { eastAsianWidth } from "get-east-asian-width";

const ASCII = /^[\x20-\x7e]*$/;
/** Marks that are drawn over the character before them. */
const MARK = /^[\p{Mn}\p{Me}]$/u;
/** Asks for the emoji of the character before it, which is wide where the character alone is not. */
const EMOJI_SELECTOR = "\ufe0f";

/** Columns that a line takes. */
export function widthOf(line: string): number {
  if (ASCII.test(line)) return line.length;
  let columns = 0;
  for (const character of line) columns += widthOfOne(character);
  return columns;
}

function widthOfOne(character: string): number {
  if (character === EMOJI_SELECTOR) return 1;
  return MARK.test(character) ? 0 : eastAsianWidth(character.codePointAt(0)!);
}

/** The line with blanks after it, or before it, up to a number of columns. */
export function padTo(line: string, columns: number, side: "before" | "after" = "after"): string {
  const blanks = " ".repeat(Math.max(0, columns - widthOf(line)));
  return side === "before" ? blanks + line : line + blanks;
}

/** The longest beginning of a line that takes no more than so many columns; accents stay with their characters. */
export function cutTo(line: string, columns: number): string {
  let room = columns, end = 0;
  for (const character of line) {
    room -= widthOfOne(character);
    if (room < 0) break;
    end += character.length;
  }
  return line.slice(0, end);
}
