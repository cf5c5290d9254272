/**
 * The two large members of a tokenizer.json, vocabulary and merges, read from its bytes: as JavaScript's values they
 * would be a million strings. Only what is written as such files are is read here; of anything else nothing is said,
 * and the file is to be read as JSON, which also finds the words for what is wrong with it.
 */
import { byteOfCode } from "./byte_level.ts";
import type { PackedPieces } from "./pieces.ts";
import {
  type MemberReader,
  type MemberReaders,
  type MergeParts,
  MOST_ID,
  MOST_MERGES,
  type Scanned,
} from "./scanned.ts";

const QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, COLON = 0x3a, SPACE = 0x20;
const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d, OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;

/** The file is not written as expected. */
class Unusual extends Error {}

/** Reads the members; null where the file is not written as such files are. */
export function scanTokenizer(file: Uint8Array, readers: MemberReaders | null = null): Scanned | null {
  try {
    return new Scan(file).read(readers);
  } catch (thrown) {
    if (thrown instanceof Unusual) return null;
    throw thrown;
  }
}

/** A place in the file. */
class Scan {
  readonly #file: Uint8Array;
  readonly #words: DataView;
  #at = 0;
  /** Texts that were read, as bytes. */
  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;

  constructor(file: Uint8Array) {
    this.#file = file;
    this.#words = new DataView(file.buffer, file.byteOffset, file.length);
  }

  read(readers: MemberReaders | null): Scanned {
    let vocab: Member<PackedPieces> | null = null, merges: Member<Scanned["merges"]> | null = null, model = false;
    for (const key of this.#members()) {
      if (key !== "model") {
        this.#skip();
        continue;
      }
      if (model) throw new Unusual();
      model = true;
      for (const inner of this.#members()) {
        // Read at once, not passed over first: they are nearly all of the file.
        if (inner === "vocab" && vocab === null) vocab = this.#member(() => this.#vocab(), readers?.vocabulary);
        else if (inner === "merges" && merges === null) merges = this.#member(() => this.#merges(), readers?.merges);
        else if (inner === "vocab" || inner === "merges") throw new Unusual();
        else this.#skip();
      }
    }
    this.#blanks();
    if (this.#at !== this.#file.length || vocab === null || merges === null) throw new Unusual();
    return { vocab: vocab.value, merges: merges.value, rest: this.#without(vocab, merges) };
  }

  /** Reads a value, and where it stands; the reader, where there is one, instead. */
  #member<T, R>(read: () => T, reader: MemberReader<R> | undefined): Member<T | R> {
    const from = this.#at;
    if (reader !== undefined) {
      const found = reader(from);
      if (found === null) throw new Unusual();
      this.#at = found.to;
      return { from, ...found };
    }
    // Its texts take fewer bytes than are left; what is never written takes no memory.
    this.#bytes = new Uint8Array(this.#file.length - from);
    this.#end = 0;
    return { from, value: read(), to: this.#at };
  }

  #without(vocab: Member<unknown>, merges: Member<unknown>): Uint8Array<ArrayBuffer> {
    const file = this.#file, [first, second] = vocab.from < merges.from ? [vocab, merges] : [merges, vocab];
    const empty = (member: Member<unknown>) => new TextEncoder().encode(member === vocab ? "{}" : "[]");
    const pieces = [
      ...[file.subarray(0, first.from), empty(first), file.subarray(first.to, second.from)],
      ...[empty(second), file.subarray(second.to)],
    ];
    const rest = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of pieces) {
      rest.set(piece, at);
      at += piece.length;
    }
    return rest;
  }

  /** The entries; an entry takes fewer bytes than its text. */
  #vocab(): PackedPieces {
    const starts: number[] = [], ends: number[] = [];
    this.#expect(OPEN_BRACE);
    do {
      const start = this.#end;
      this.#text();
      this.#expect(COLON);
      const id = this.#id();
      if ((starts[id] ?? -1) !== -1) throw new Unusual();
      // Holes of arrays would be slow.
      while (starts.length < id) starts.push(-1), ends.push(-1);
      starts[id] = start;
      ends[id] = this.#end;
    } while (this.#goesOn(CLOSE_BRACE));
    return { bytes: this.#bytes.slice(0, this.#end), starts: new Int32Array(starts), ends: new Int32Array(ends) };
  }

  #merges(): MergeParts {
    const ends: number[] = [];
    this.#expect(OPEN_BRACKET);
    this.#blanks();
    if (this.#file[this.#at] === CLOSE_BRACKET) {
      this.#at++;
      return { bytes: new Uint8Array(0), ends: new Int32Array(0) };
    }
    const pairs = this.#file[this.#at] === OPEN_BRACKET;
    do {
      if (pairs) {
        this.#expect(OPEN_BRACKET);
        this.#text();
        ends.push(this.#end);
        this.#expect(COMMA);
        this.#text();
        this.#expect(CLOSE_BRACKET);
      } else ends.push(this.#text(true));
      ends.push(this.#end);
      if (ends.length > 2 * MOST_MERGES) throw new Unusual();
    } while (this.#goesOn(CLOSE_BRACKET));
    return { bytes: this.#bytes.slice(0, this.#end), ends: new Int32Array(ends) };
  }

  /** Keys of an object; the caller passes over the value after each. */
  *#members(): Generator<string, void> {
    this.#expect(OPEN_BRACE);
    do yield this.#key(); while (this.#goesOn(CLOSE_BRACE));
  }

  #key(): string {
    this.#blanks();
    const from = this.#at;
    this.#skipText();
    const key = this.#file.subarray(from + 1, this.#at - 1);
    // It may be another way to write one that counts.
    if (key.includes(BACKSLASH)) throw new Unusual();
    this.#expect(COLON);
    this.#blanks();
    return String.fromCharCode(...key.subarray(0, 16));
  }

  /** Passes over a value, whatever it is: what stays in the file is parsed later, what is taken out is read here. */
  #skip(): void {
    const file = this.#file;
    this.#blanks();
    let at = this.#at, depth = 0;
    do {
      const byte = file[at];
      if (byte === undefined) throw new Unusual();
      if (byte === QUOTE) {
        at = afterText(file, at);
        continue;
      }
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
      at++;
      // A number or a word has no brackets around it: its first byte was passed over.
    } while (depth > 0);
    while (at < file.length && !ENDS.has(file[at]!)) at++;
    this.#at = at;
  }

  #skipText(): void {
    if (this.#file[this.#at] !== QUOTE) throw new Unusual();
    this.#at = afterText(this.#file, this.#at);
  }

  /**
   * Reads a text of the byte-level alphabet, as the bytes that it stands for.
   *
   * @param cut Whether it is two texts with a blank between them; else it has none.
   * @returns Where the first of two ends.
   */
  #text(cut = false): number {
    const file = this.#file, bytes = this.#bytes;
    this.#expect(QUOTE);
    let at = this.#at, end = this.#end, middle = -1;
    for (let byte = file[at++]!; byte !== QUOTE; byte = file[at++]!) {
      if (byte === SPACE && cut && middle < 0) {
        middle = end;
        continue;
      }
      let code = byte;
      if (byte === BACKSLASH) {
        this.#at = at;
        code = this.#escaped();
        at = this.#at;
      } else if (byte >= 0xc2 && byte <= 0xc5) {
        const next = file[at++]!;
        code = (next & 0xc0) === 0x80 ? (byte & 0x1f) << 6 | next & 0x3f : -1;
      } else if (!(byte < 0x80)) code = -1;
      const stands = code < 0 ? -1 : byteOfCode(code);
      if (stands < 0) throw new Unusual();
      bytes[end++] = stands;
    }
    if (cut && middle < 0) throw new Unusual();
    this.#at = at;
    this.#end = end;
    return middle;
  }

  /** The code of an escaped character. */
  #escaped(): number {
    const byte = this.#file[this.#at++]!;
    if (byte === QUOTE || byte === BACKSLASH) return byte;
    const digits = String.fromCharCode(...this.#file.subarray(this.#at, this.#at + 4));
    if (byte !== 0x75 || !/^[0-9a-fA-F]{4}$/.test(digits)) throw new Unusual();
    this.#at += 4;
    return parseInt(digits, 16);
  }

  #id(): number {
    const file = this.#file;
    this.#blanks();
    const from = this.#at;
    let id = 0;
    for (let digit = file[this.#at]! - 0x30; digit >= 0 && digit <= 9; digit = file[++this.#at]! - 0x30) {
      id = 10 * id + digit;
      if (id > MOST_ID) throw new Unusual();
    }
    if (this.#at === from || (file[from] === 0x30 && this.#at > from + 1)) throw new Unusual();
    return id;
  }

  /** Whether a comma follows, and not the end. */
  #goesOn(end: number): boolean {
    this.#blanks();
    const byte = this.#file[this.#at++];
    if (byte === COMMA) return true;
    if (byte === end) return false;
    throw new Unusual();
  }

  #expect(byte: number): void {
    this.#blanks();
    if (this.#file[this.#at++] !== byte) throw new Unusual();
  }

  #blanks(): void {
    const file = this.#file, words = this.#words, last = file.length - 4;
    let at = this.#at, byte = file[at]!;
    if (byte > SPACE) return;
    while (byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      at++;
      // Most of a file is blanks before its lines.
      while (at <= last && words.getInt32(at) === 0x2020_2020) at += 4;
      byte = file[at]!;
    }
    this.#at = at;
  }
}

/** The place after the text that begins with the quote at `from`. */
function afterText(file: Uint8Array, from: number): number {
  let at = from + 1;
  for (let byte = file[at]; byte !== QUOTE; byte = file[++at]) {
    if (byte === BACKSLASH) at++;
    if (at >= file.length) throw new Unusual();
  }
  return at + 1;
}

/** A value, and that it is bytes from `from` to `to` of the file. */
interface Member<T> {
  readonly value: T;
  readonly from: number;
  readonly to: number;
}

/** What ends a number or a word. */
const ENDS: ReadonlySet<number> = new Set([COMMA, CLOSE_BRACE, CLOSE_BRACKET, 0x20, 0x0a, 0x0d, 0x09]);
