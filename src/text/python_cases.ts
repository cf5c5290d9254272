/** Texts in other cases as Python has them, where JavaScript has others; what is covered in them stays so. */
import { BLANKS } from "./python_texts.ts";
import type { Covered } from "./template_values.ts";

/** Python's `upper`. */
export function upper(text: string, covered: Covered): string {
  if (!covered.hidesLetters) return text.toUpperCase();
  return joined(text, Array.from(covered.show(text), (one) => one.toUpperCase()), covered);
}

/** Python's `lower`. */
export function lower(text: string, covered: Covered): string {
  // A sigma looks at what is around it.
  if (!covered.hidesLetters && !text.includes("\u03a3")) return text.toLowerCase();
  return joined(text, smallOf(covered.show(text)), covered);
}

/** Python's `capitalize`: all but the first letter become small. */
export function capitalized(text: string, covered: Covered): string {
  const [first, ...rest] = smallOf(covered.show(text));
  return first === undefined ? "" : joined(text, [large(firstOf(covered.show(text))), ...rest], covered);
}

/** Python's `title`: letters after other letters become small, all others large. */
export function titleCased(text: string, covered: Covered): string {
  const shown = covered.show(text), characters = Array.from(shown), small = smallOf(shown);
  let isWithin = false;
  const cased = characters.map((one, i) => {
    const form = isWithin ? small[i]! : large(one);
    isWithin = /\p{Cased}/u.test(one);
    return form;
  });
  return joined(text, cased, covered);
}

const BEGINNING = new RegExp(`[-({[<${BLANKS}]+`, "g");

/** Jinja's `title`: words begin after blanks, hyphens and opening brackets. */
export function titled(text: string, covered: Covered): string {
  const shown = covered.show(text);
  let at = 0;
  const word = (end: number) => {
    const part = shown.slice(at, end), first = firstOf(part);
    return first === "" ? [] : [first.toUpperCase(), ...smallOf(part.slice(first.length))];
  };
  const cased: string[] = [];
  for (const { 0: between, index } of shown.matchAll(BEGINNING)) {
    for (const one of word(index)) cased.push(one);
    for (const one of between) cased.push(one);
    at = index + between.length;
  }
  for (const one of word(shown.length)) cased.push(one);
  return joined(text, cased, covered);
}

/** The first character of a text, which may be two of its units; of an empty text nothing. */
function firstOf(text: string): string {
  const [first = ""] = text;
  return first;
}

/** The small form of each character, where it stands. */
function smallOf(text: string): string[] {
  const small = text.toLowerCase();
  let at = 0;
  return Array.from(text, (one) => small.slice(at, at += one.toLowerCase().length));
}

/** A character at the beginning of a word: of two letters in one the first is large. */
function large(character: string): string {
  const code = character.codePointAt(0)!, form = character.toUpperCase();
  if (code >= 0x1c4 && code <= 0x1cc) return String.fromCharCode(code - (code - 0x1c4) % 3 + 1);
  if (code >= 0x1f1 && code <= 0x1f3) return "\u01f2";
  // Georgian has no words that begin large.
  if (code >= 0x10d0 && code <= 0x10ff) return character;
  if (form.length === 1 || code > 0xffff || code === 0x149) return form;
  if (code > 0x1f00 && form.endsWith("\u0399") && code < 0x2000) {
    const below = form.slice(0, -1) + "\u0345";
    return form.length === 2 ? below.normalize() : below;
  }
  return form[0] + form.slice(1).toLowerCase();
}

/**
 * A text of other forms of its characters.
 *
 * @param forms The form of each of its characters, as shown.
 */
function joined(text: string, forms: readonly string[], covered: Covered): string {
  const shown = covered.show(text);
  if (shown === text) return forms.join("");
  const characters = Array.from(shown);
  let i = 0, result = "";
  for (const own of text) {
    const form = forms[i]!, character = characters[i++]!;
    result += own === character ? form : form === character ? own : covered.cover(form);
  }
  return result;
}
