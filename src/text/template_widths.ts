/** Texts and their widths in characters, some of which are two of their units. */
import type { Make } from "./template_make.ts";

/** How many characters a text has, some of which are two of its units. */
export const charactersIn = (text: string): number =>
  text.length - (text.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0);

/** A text that is filled up to a width, in characters. */
export function padded(text: string, width: number, align: string, fill: string, make: Make): string {
  const missing = Math.max(0, width - charactersIn(text));
  make.room(text.length + missing * fill.length);
  if (align === "<") return text + fill.repeat(missing);
  if (align === ">") return fill.repeat(missing) + text;
  const left = Math.floor(missing / 2);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

/** The first characters of a text. */
export const firstOf = (text: string, most: number): string => Array.from(text).slice(0, most).join("");

/** A text in the middle: one more character is on the left where the width is odd. */
export function centered(text: string, width: number, fill: string, make: Make): string {
  const missing = Math.max(0, width - charactersIn(text));
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return padded(padded(text, charactersIn(text) + left, ">", fill, make), width, "<", fill, make);
}
