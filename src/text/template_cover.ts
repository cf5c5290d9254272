/** Characters that stand for others while a chat template is rendered; see chat_template.ts. */
import { InputError } from "../errors.ts";
import { isWrittenNumber, writtenNames } from "../json_numbers.ts";
import { isObject, type JsonObject } from "../json_object.ts";
import type { Covered } from "./template_values.ts";

/**
 * Private-use areas, where the replacements come from: of as many UTF-16 units as the character that they stand for, so
 * that lengths stay.
 */
const PRIVATE: Readonly<Record<number, readonly [start: number, end: number]>> = {
  1: [0xe000, 0xf8ff],
  2: [0xf0000, 0xffffd],
};

/** All of them, and those of one unit, which are found sooner. */
const STANDS = /[\ue000-\uf8ff\u{f0000}-\u{ffffd}]/gu, SHORT_STANDS = /[\ue000-\uf8ff]/g;

/** Texts that are kept as shown, in characters. */
const LONG = 64;

/** Entries of an object whose order is not JavaScript's; null: it is. */
function inWrittenOrder(value: JsonObject): [string, unknown][] | null {
  if (value instanceof Map) return [...value as Map<string, unknown>];
  return writtenNames(value)?.map((name) => [name, value[name]]) ?? null;
}

/**
 * Replaces characters of special tokens by characters that nothing else uses, and back; and written numbers, which
 * templates cannot hold, by texts between two such characters.
 */
export class Cover implements Covered {
  readonly #quote: string;
  readonly #numbers: RegExp;
  readonly #hidden = new Map<string, string>();
  readonly #shown = new Map<string, string>();
  readonly #pattern: RegExp;
  /** What may be a replacement. */
  readonly #stands: RegExp;
  readonly hidesLetters: boolean;
  /** What was shown last: templates look for one thing after another in a text. */
  #last: readonly [text: string, shown: string] = ["", ""];

  /**
   * @param specials Names of special tokens.
   * @param taken Text whose characters cannot serve as replacements.
   */
  constructor(specials: Iterable<string>, taken: string) {
    const used = new Set(taken.match(STANDS)), at = { 1: PRIVATE[1]![0], 2: PRIVATE[2]![0] };
    const next = (units: 1 | 2) => {
      while (used.has(String.fromCodePoint(at[units]))) at[units]++;
      if (at[units] > PRIVATE[units]![1]) {
        throw InputError.saying(
          "wrong_value",
          { name: "messages" },
          "use every private-use character of Unicode, expected one that is free",
        );
      }
      return String.fromCodePoint(at[units]++);
    };
    for (const name of specials) {
      // Every special token needs at least one character that no outside string can supply; punctuation distorts texts
      // least.
      const signs = [...name].filter((char) => !/[\p{L}\p{N}\s_-]/u.test(char));
      for (const char of signs.length > 0 ? signs : [...name].slice(0, 1)) {
        if (this.#hidden.has(char)) continue;
        const stand = next(char.length as 1 | 2);
        this.#hidden.set(char, stand);
        this.#shown.set(stand, char);
      }
    }
    const isShort = this.#hidden.keys().every(({ length }) => length === 1);
    this.#stands = isShort ? SHORT_STANDS : STANDS;
    this.hidesLetters = this.#hidden.keys().some((char) => /[\p{L}\p{M}\p{N}]/u.test(char));
    this.#pattern = new RegExp(
      [...this.#hidden.keys()].map((c) => c.replace(/[\\^$.*+?()[\]{}|/]/, "\\$&")).join("|") || "(?!)",
      isShort ? "g" : "gu",
    );
    const quote = this.#quote = next(1);
    this.#numbers = new RegExp(`${quote}([^${quote}]*)${quote}`, "g");
  }

  numberIn(text: string): string | null {
    const quote = this.#quote, end = text.length - 1;
    return end > 1 && text.startsWith(quote) && text.indexOf(quote, 1) === end ? text.slice(1, end) : null;
  }

  quoted(written: string): string {
    return `${this.#quote}${written}${this.#quote}`;
  }

  keyIn(key: string): string {
    return key.startsWith(this.#quote) ? key.slice(1) : key;
  }

  cover(text: string): string {
    return text.replace(this.#pattern, (char) => this.#hidden.get(char)!);
  }

  show(text: string): string {
    const [asked, shown] = this.#last;
    if (text === asked) return shown;
    const result = text.replace(this.#stands, (char) => this.#shown.get(char) ?? char);
    if (text.length >= LONG) this.#last = [text, result];
    return result;
  }

  /** The text as people read it, numbers too. */
  read(text: string): string {
    return this.show(text.replace(this.#numbers, "$1"));
  }

  /** A copy of a JSON-like value in which all strings, keys too, are covered; those of a Map keep their order. */
  hide(value: unknown): unknown {
    if (typeof value === "string") return this.cover(value);
    if (Array.isArray(value)) return value.map((item) => this.hide(item));
    if (isWrittenNumber(value)) return this.#hideNumber(value.rawJSON);
    if (typeof value === "number") return this.#hideNumber(String(value));
    const entries = isObject(value) ? inWrittenOrder(value) : null;
    if (entries !== null) {
      return Object.fromEntries(entries.map(([key, item]) => [this.#quote + this.cover(key), this.hide(item)]));
    }
    if (!isObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.cover(key), this.hide(item)]));
  }

  /** A number that JavaScript writes as it is written, or a text that stands for it: for 1e+22, too, a float. */
  #hideNumber(written: string): number | string {
    const number = Number(written), isOurs = !Number.isInteger(number) || Number.isSafeInteger(number);
    return isOurs && String(number) === written ? number : this.quoted(written);
  }
}
