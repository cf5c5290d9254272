/** Goes through the words of a chat template. */
import { TagError } from "./template_tags.ts";
import type { Word } from "./template_words.ts";

/** How deep statements and brackets may stand within each other: Python compiles no template that is as deep. */
const MAX_NESTING = 200;

/** Reads words one by one. */
export class Reader {
  #at = 0;
  #depth = 0;

  constructor(readonly words: readonly Word[]) {}

  /** The word that comes next. */
  get word(): Word {
    return this.words[this.#at]!;
  }

  /** The one after it. */
  get after(): Word {
    return this.words[Math.min(this.#at + 1, this.words.length - 1)]!;
  }

  /** Takes the next word. */
  take(): Word {
    const word = this.word;
    if (word.type !== "end") this.#at++;
    return word;
  }

  /** Whether the next word is a sign, or of a kind. */
  is(...types: string[]): boolean {
    return types.includes(this.word.type);
  }

  /** Whether the next word is one of these names. */
  isName(...names: string[]): boolean {
    return this.word.type === "name" && names.includes(this.word.value as string);
  }

  /** Takes the next word if it is a sign, or of a kind. */
  skip(type: string): boolean {
    const found = this.is(type);
    if (found) this.take();
    return found;
  }

  /** Takes the next word if it is a name. */
  skipName(name: string): boolean {
    const found = this.isName(name);
    if (found) this.take();
    return found;
  }

  /** Takes the next word, which has to be a sign or of a kind. */
  expect(type: string): Word {
    return this.is(type) ? this.take() : this.fail(`has ${this.shown()}, expected ${type}`);
  }

  /** Takes the next word, which has to be a name. */
  expectName(name: string): void {
    if (!this.skipName(name)) this.fail(`has ${this.shown()}, expected ${name}`);
  }

  /** The next word for messages. */
  shown(): string {
    const { type, value } = this.word;
    return type === "text" ? JSON.stringify(value) : type === "data" ? "a text" : String(value || type);
  }

  /** Reads what may hold more of its kind. */
  within<T>(read: () => T): T {
    if (++this.#depth > MAX_NESTING) this.fail(`stands more than ${MAX_NESTING} deep in statements and brackets`);
    const result = read();
    this.#depth--;
    return result;
  }

  fail(message: string, line = this.word.line): never {
    throw new TagError(message, line);
  }
}
