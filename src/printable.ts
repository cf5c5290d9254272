/**
 * Text from outside (a file's name, a tensor's, a tokenizer's token, a model's reply) as it may be shown to a person.
 * Every other way to a terminal, a table or a report leads through here.
 */

/**
 * What a terminal or a browser would obey, or would not show at all: control characters of both sets (ESC, BEL, CSI),
 * signs that turn the direction of writing, characters without width, line and paragraph separators, halves of
 * surrogate pairs. The two selectors that only choose between an emoji's forms stay.
 */
const OBEYED = /[[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]--[\t\n\ufe0e\ufe0f]]/gv;

/**
 * Text with everything of that kind written as `\u001b`; tabs and line breaks stay. Of JSON it makes JSON with the same
 * meaning.
 */
export function printable(text: string): string {
  return text.replaceAll(OBEYED, escaped);
}

/** The same for what must stay on one line: tabs and line breaks are written as `\u000a`, too. */
export function printableLine(text: string): string {
  return printable(text).replaceAll(/[\t\n]/g, escaped);
}

/** JSON of a value whose texts come from outside, safe to be shown and with the same meaning. */
export function printableJson(value: unknown, indent?: number): string {
  return printable(JSON.stringify(value, null, indent));
}

/** Every UTF-16 unit of a character as JSON spells it. */
function escaped(character: string): string {
  return Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`,
  ).join("");
}
