/**
 * The JSON header of a safetensors file. `JSON.parse` would not do: of two tensors with one name it keeps the second in
 * silence, and it rounds integers above 2^53, so that two readers of one file could see different tensors.
 */
import { InputError } from "../errors.ts";
import { printable } from "../describe.ts";

/** One tensor as the header has it: syntax checked, meaning not. */
export interface HeaderEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes from the start of the data section. */
  readonly begin: number;
  readonly end: number;
}

/** A scanned header. */
export interface Header {
  /** In the order of the header. */
  readonly entries: readonly HeaderEntry[];
  readonly metadata: ReadonlyMap<string, string>;
}

/** No tensor has more dimensions. */
const MAX_DIMENSIONS = 16;

/** Most tensors of a checkpoint: AMD Quark's export of gpt-oss-120b, with a module for each expert, has 40,000. */
export const MAX_TENSORS = 1 << 17;

/** A string, of which messages show a part, or a word. */
const TOKEN = /"(?:[^"\\\n]|\\.){0,1000}"?|[A-Za-z]{1,1000}/y;

const QUOTE = 0x22, COMMA = 0x2c, COLON = 0x3a, BACKSLASH = 0x5c, MINUS = 0x2d, ZERO = 0x30, NINE = 0x39;
const OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d, OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d;

/**
 * Scans a header.
 *
 * @param text The header, padding included.
 * @param where What messages begin with.
 * @param most How many tensors it may hold.
 * @throws {InputError} for anything but an object of tensors, each with `dtype`, `shape` and `data_offsets` once, and
 *   `__metadata__`.
 */
export function scanHeader(text: string, where: string, most: number = MAX_TENSORS): Header {
  return new Scanner(text, where).header(most);
}

class Scanner {
  readonly #text: string;
  readonly #where: string;
  #at = 0;
  /** What is being read, for messages: nothing, the metadata, or a tensor of this name. */
  #subject: "" | "__metadata__" | { readonly tensor: string } = "";

  constructor(text: string, where: string) {
    this.#text = text;
    this.#where = where;
  }

  header(most: number): Header {
    const entries: HeaderEntry[] = [];
    const names = new Set<string>();
    let metadata: ReadonlyMap<string, string> | null = null;
    // Readers of the format take `{` for a magic number: it must be the first byte.
    if (this.#text.charCodeAt(0) !== OPEN_BRACE) this.#fail(`expected {, got ${this.#got()}`);
    this.#object((name) => {
      if (name === "__metadata__") {
        if (metadata !== null) this.#fail("__metadata__ stands there twice");
        metadata = this.#metadata();
        return;
      }
      if (names.has(name)) this.#fail(`duplicate tensor ${printable(name)}`);
      if (names.size === most) this.#fail(`expected at most ${MAX_TENSORS} tensors in a checkpoint, got more`);
      names.add(name);
      entries.push(this.#entry(name));
      this.#subject = "";
    });
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#fail(`expected its end, got ${this.#got()}`);
    return { entries, metadata: metadata ?? new Map() };
  }

  #metadata(): ReadonlyMap<string, string> {
    this.#subject = "__metadata__";
    const metadata = new Map<string, string>();
    this.#object((key) => {
      if (metadata.has(key)) this.#fail(`duplicate key ${printable(key)}`);
      metadata.set(key, this.#string());
    });
    this.#subject = "";
    return metadata;
  }

  #entry(name: string): HeaderEntry {
    this.#subject = { tensor: name };
    let dtype: string | undefined, shape: number[] | undefined, offsets: number[] | undefined;
    this.#object((key) => {
      if (key === "dtype") {
        if (dtype !== undefined) this.#fail("dtype stands there twice");
        dtype = this.#string();
      } else if (key === "shape") {
        if (shape !== undefined) this.#fail("shape stands there twice");
        shape = this.#integers("shape", MAX_DIMENSIONS);
      } else if (key === "data_offsets") {
        if (offsets !== undefined) this.#fail("data_offsets stand there twice");
        offsets = this.#integers("data_offsets", 2);
      } else {
        this.#fail(`expected dtype, shape and data_offsets, got "${printable(key)}"`);
      }
    });
    if (dtype === undefined) this.#fail("dtype: expected a name, got nothing");
    if (shape === undefined) this.#fail("shape: expected a list, got nothing");
    const [begin, end] = offsets ?? [];
    if (begin === undefined || end === undefined) this.#fail("data_offsets: expected two integers");
    return { name, dtype: dtype!, shape: shape!, begin: begin!, end: end! };
  }

  /** An object; `member` reads the value of each key. */
  #object(member: (key: string) => void): void {
    this.#expect(OPEN_BRACE, "{");
    if (this.#take(CLOSE_BRACE)) return;
    do {
      const key = this.#string();
      this.#expect(COLON, ":");
      member(key);
    } while (this.#take(COMMA));
    this.#expect(CLOSE_BRACE, "}");
  }

  #integers(what: string, most: number): number[] {
    const values: number[] = [];
    this.#expect(OPEN_BRACKET, "[");
    if (this.#take(CLOSE_BRACKET)) return values;
    do {
      if (values.length === most) this.#fail(`${what}: expected at most ${most} integers, got more`);
      values.push(this.#integer(what));
    } while (this.#take(COMMA));
    this.#expect(CLOSE_BRACKET, "]");
    return values;
  }

  #integer(what: string): number {
    this.#skipSpace();
    const start = this.#at;
    let value = 0;
    for (let digit = this.#digit(); digit >= 0; digit = this.#digit()) {
      value = value * 10 + digit;
      // Up to here every sum was exact, so this comparison is.
      if (value > Number.MAX_SAFE_INTEGER) this.#fail(`${what}: expected an integer below 2^53, got a larger one`);
      this.#at++;
    }
    const next = this.#text[this.#at];
    if (next === "." || next === "e" || next === "E" || this.#text.charCodeAt(start) === MINUS) {
      this.#fail(`${what}: expected a non-negative integer, got another number`);
    }
    const digits = this.#at - start;
    if (digits === 0) this.#fail(`${what}: expected a non-negative integer, got ${this.#got()}`);
    if (digits > 1 && this.#text.charCodeAt(start) === ZERO) this.#fail(`${what}: expected no leading zero`);
    return value;
  }

  /** The digit at the current place, or a negative number. */
  #digit(): number {
    const code = this.#text.charCodeAt(this.#at);
    return code >= ZERO && code <= NINE ? code - ZERO : -1;
  }

  #string(): string {
    this.#expect(QUOTE, "a string");
    const start = this.#at;
    let escaped = false;
    for (;; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === QUOTE) break;
      if (code === BACKSLASH) {
        escaped = true;
        this.#at++;
      } else if (!(code >= 0x20)) {
        // A control character, or NaN at the end of the text.
        this.#fail(this.#at < this.#text.length ? "control character in a string" : "ends within a string");
      }
    }
    const raw = this.#text.slice(start, this.#at++);
    if (!escaped) return raw;
    try {
      return JSON.parse(`"${raw}"`);
    } catch {
      return this.#fail("unknown escape in a string");
    }
  }

  /** Skips the character if it is next. */
  #take(code: number): boolean {
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#at) !== code) return false;
    this.#at++;
    return true;
  }

  #expect(code: number, what: string): void {
    if (!this.#take(code)) this.#fail(`expected ${what}, got ${this.#got()}`);
  }

  #skipSpace(): void {
    for (;; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    }
  }

  #got(): string {
    const next = this.#text.codePointAt(this.#at);
    if (next === undefined) return "the end";
    // A whole string or word says more than what it begins with.
    TOKEN.lastIndex = this.#at;
    const token = TOKEN.exec(this.#text)?.[0] ?? String.fromCodePoint(next);
    return next === QUOTE ? `the string ${printable(token)}` : `"${printable(token)}"`;
  }

  #fail(what: string): never {
    const subject = this.#subject;
    const about = subject === ""
      ? ""
      : `${subject === "__metadata__" ? subject : `tensor ${printable(subject.tensor)}`}: `;
    throw InputError.saying(
      "wrong_value",
      { name: `${this.#where}: header` },
      `${about}${what} (at character ${this.#at})`,
    );
  }
}
