/**
 * Text to token ids and back. Texts are cut into words by Hugging Face's `tokenizers` library in JavaScript; byte-pair
 * encoding is byte_pairs.ts, as the library takes a second to learn 200,000 entries. Special tokens and the differences
 * from the Rust library that tests/goldens/text found are handled here:
 *
 * - Special tokens are matched here and never by the library, which cannot be told to read them as plain text.
 * - Rust's regular expressions fold case by Unicode: `(?i:'s)` also matches `'ſ` (U+017F) and `k` the Kelvin sign. The
 *   library folds ASCII only, so its patterns are rewritten before it sees them. So are digits, of which Rust has more.
 * - What is a blank, and lower case, differs too: normalizers.ts.
 * - What a part that cuts leaves out, or turns into other bytes, is noticed and refused.
 */
import { atOnce, byTurns, type Work } from "../breath.ts";
import { show } from "../describe.ts";
import { InputError, reason } from "../errors.ts";
import { AddedTokens, type Segment } from "./added_tokens.ts";
import { bytesOfPiece, utf8Length } from "./byte_level.ts";
import type { BytePairs } from "./byte_pairs.ts";
import { forLibrary, withBlanksOfRust, withoutWarnings } from "./library_tokenizer.ts";
import { normalizerOf } from "./normalizers.ts";
import type { Pieces } from "./pieces.ts";
import { cutsLikeO200k, safePieces } from "./safe_pieces.ts";
import { changesTexts } from "./tokenizer_parts.ts";
import type { JsonObject } from "../json_object.ts";
import { type AddedToken, type TokenizerFile, tokenizerOf } from "./tokenizer_file.ts";
import { scansFor } from "./tokenizer_kernels.ts";
import { type TokenizerSource, tokenizerSource } from "./tokenizer_source.ts";
import { largest } from "../largest.ts";

/** The part of the library's tokenizer that is used. */
interface Library {
  /** Cuts a text into words in the byte-level alphabet. */
  readonly pre_tokenizer: ((text: string) => string[]) | null;
}

/** How to read special tokens that a text spells out. */
export interface EncodeOptions {
  /**
   * true: `<|end|>` in the text becomes the special token; false (default): it is plain text. Never true for what a
   * user typed.
   */
  readonly allowSpecial?: boolean;
}

export type { Segment } from "./added_tokens.ts";

/** Words after which the encoding of a text may pause. */
const WORDS = 256;

/** A checkpoint's tokenizer. */
export class Tokenizer {
  /** Path of tokenizer.json, for messages. */
  readonly path: string;
  /** One more than the highest id that has a name. */
  readonly vocabSize: number;
  /** Ids of the special tokens by name, for example `<|end|>`. */
  readonly specials: ReadonlyMap<string, number>;
  /** tokenizer_config.json, or an empty object where there is none. */
  readonly config: JsonObject;

  readonly #cut: (text: string) => string[];
  readonly #pieces: Pieces;
  readonly #pairs: BytePairs;
  readonly #addedById: ReadonlyMap<number, AddedToken>;
  readonly #addedByName: ReadonlyMap<string, AddedToken>;
  /** Finds added tokens, and normalizes what is between them. */
  readonly #added: AddedTokens;
  /** Whether a text's bytes and its tokens' bytes must be the same. */
  readonly #lossless: boolean;
  /** Whether long texts can be cut before they are cut into words. */
  readonly #cutsSafely: boolean;
  /** Bytes of the longest token, once that was asked for. */
  #longest: number | null = null;

  /** Use {@linkcode Tokenizer.fromDirectory}. */
  constructor(file: TokenizerFile, library: Library) {
    const { path, pieces, pairs, added, config, json } = file;
    this.path = path;
    this.config = config;
    this.#cut = library.pre_tokenizer!;
    this.#pieces = pieces;
    this.#pairs = pairs;
    this.#addedById = new Map(added.map((a) => [a.id, a]));
    this.#addedByName = new Map(added.map((a) => [a.content, a]));
    this.specials = new Map(added.filter((a) => a.special).map((a) => [a.content, a.id]));
    this.vocabSize = added.reduce((size, a) => Math.max(size, a.id + 1), pieces.count);
    const normalizer = json["normalizer"] ?? null;
    this.#added = new AddedTokens(added, normalizer === null ? null : normalizerOf(normalizer), path);
    this.#lossless = normalizer === null && !changesTexts(json["pre_tokenizer"]);
    this.#cutsSafely = this.#lossless && cutsLikeO200k(json["pre_tokenizer"]);
  }

  /**
   * Loads `tokenizer.json`, and `tokenizer_config.json` if it is there, from a checkpoint directory.
   *
   * @throws {InputError} if the tokenizer is missing, garbled, or not byte-level BPE.
   */
  static async fromDirectory(dir: string): Promise<Tokenizer> {
    return await Tokenizer.fromSource(tokenizerSource(dir));
  }

  /**
   * The same of files that will be written.
   *
   * @throws {InputError} as {@linkcode Tokenizer.fromDirectory}.
   */
  static async fromSource(source: TokenizerSource): Promise<Tokenizer> {
    return await Tokenizer.#fromFile(scansFor(source.bytes).then((scans) => tokenizerOf(source, scans)));
  }

  /** The tokenizer of gpt-oss, for checkpoints that bring none; see o200k.ts. */
  static async o200kHarmony(): Promise<Tokenizer> {
    const { o200kHarmony } = await import("./o200k.ts");
    return await Tokenizer.#fromFile(o200kHarmony());
  }

  static async #fromFile(promised: TokenizerFile | Promise<TokenizerFile>): Promise<Tokenizer> {
    // The library is imported only here: programs that touch no text do not pay for it.
    const [file, { Tokenizer: Library }] = await Promise.all([promised, import("@huggingface/tokenizers")]);
    try {
      return new Tokenizer(file, withBlanksOfRust(withoutWarnings(() => new Library(forLibrary(file), {}))));
    } catch (thrown) {
      if (thrown instanceof InputError) throw thrown;
      throw InputError.saying("malformed", { file: file.path }, `not a tokenizer that can be used: ${reason(thrown)}`);
    }
  }

  /**
   * Token ids of a text. No token is added at the start or the end. Lone surrogates become U+FFFD.
   *
   * @throws {InputError} if the text comes out of the tokenizer's parts as other bytes.
   */
  encode(text: string, options: EncodeOptions = {}): Int32Array {
    return atOnce(this.#encoded(text, options));
  }

  /** The same, letting others have their turns while a long text is encoded. */
  encodeByTurns(text: string, options: EncodeOptions = {}): Promise<Int32Array> {
    return byTurns(this.#encoded(text, options));
  }

  /**
   * Token ids of a sequence of segments. Special tokens come from `special` segments alone; neighbouring texts are one
   * text to BPE.
   *
   * @throws {InputError} if the tokenizer lacks a special token that a segment names.
   */
  encodeSegments(segments: Iterable<Segment>): Int32Array {
    return atOnce(this.#encodedSegments(segments));
  }

  /** The same, letting others have their turns. */
  encodeSegmentsByTurns(segments: Iterable<Segment>): Promise<Int32Array> {
    return byTurns(this.#encodedSegments(segments));
  }

  *#encoded(text: string, { allowSpecial = false }: EncodeOptions): Work<Int32Array> {
    const ids: number[] = [];
    for (const part of this.#added.parts(text.toWellFormed(), allowSpecial)) {
      if (typeof part === "string") yield* this.#encodePlain(part, ids);
      else ids.push(part.id);
    }
    return Int32Array.from(ids);
  }

  *#encodedSegments(segments: Iterable<Segment>): Work<Int32Array> {
    const ids: number[] = [];
    let text = "";
    for (const segment of [...segments, null]) {
      if (segment !== null && "text" in segment) {
        text += segment.text;
        continue;
      }
      for (const id of yield* this.#encoded(text, {})) ids.push(id);
      text = "";
      if (segment !== null) ids.push(this.requireSpecial(segment.special));
    }
    return Int32Array.from(ids);
  }

  /**
   * How many tokens a text has at least, told without making them.
   *
   * @param units Its UTF-16 units.
   */
  fewestTokens(units: number): number {
    // A normalizer may leave out what it is given.
    if (!this.#lossless) return Math.min(units, 1);
    const names = this.#addedByName.keys().map(utf8Length);
    this.#longest ??= Math.max(1, this.#pieces.longest(), largest(names));
    return Math.ceil(units / this.#longest);
  }

  /** Id of a special token, for example `<|end|>`; undefined if the tokenizer has none of this name. */
  special(name: string): number | undefined {
    return this.specials.get(name);
  }

  /**
   * Id of a special token that must exist.
   *
   * @throws {InputError} if the tokenizer has none of this name.
   */
  requireSpecial(name: string): number {
    const id = this.specials.get(name);
    if (id === undefined) {
      throw InputError.of("missing", { file: this.path, key: "added_tokens" }, `the special token ${name}`, "none");
    }
    return id;
  }

  /**
   * Whether an id is structure instead of text: a special token, or an id of the model's padded vocabulary that has no
   * name.
   */
  isSpecial(id: number): boolean {
    return this.#addedById.get(id)?.special ?? !this.#pieces.has(id);
  }

  /**
   * The bytes that a token stands for; they need not be whole UTF-8 characters. Special tokens give their name, ids
   * without a name `<|reserved_ID|>`.
   */
  bytes(id: number): Uint8Array<ArrayBuffer> {
    const added = this.#addedById.get(id);
    // An entry of the vocabulary stays what it was before it was added too: `é` is also how one byte is spelt.
    if (added !== undefined && (added.special || !this.#pieces.has(id))) {
      return new TextEncoder().encode(added.content);
    }
    return this.#pieces.has(id) ? this.#pieces.bytes(id) : new TextEncoder().encode(`<|reserved_${id}|>`);
  }

  /**
   * Copies {@linkcode bytes} into `target` from `at` on.
   *
   * @returns Where they end; beyond the target where it has no room for them, and then nothing is copied.
   */
  copyBytes(id: number, target: Uint8Array, at: number): number {
    if (this.#pieces.has(id) && !this.#addedById.has(id)) return this.#pieces.copyTo(id, target, at);
    const bytes = this.bytes(id), end = at + bytes.length;
    if (end <= target.length) target.set(bytes, at);
    return end;
  }

  /** Name of a special token, `<|reserved_ID|>` for an id without a name, null for a token of text. */
  specialName(id: number): string | null {
    if (!this.isSpecial(id)) return null;
    return this.#addedById.get(id)?.content ?? `<|reserved_${id}|>`;
  }

  /** Splits a text at the special tokens that it spells out. */
  split(text: string): Segment[] {
    return this.#added.segments(text);
  }

  /** Ids of a normalized text without added tokens, some at a time. */
  *#idsOf(text: string): Generator<readonly number[], void> {
    for (const piece of this.#cutsSafely ? safePieces(text) : [text]) {
      for (const word of this.#cut(piece)) {
        const steps = this.#pairs.steps(word, bytesOfPiece);
        let step = steps.next();
        for (; !step.done; step = steps.next()) yield [];
        yield step.value;
      }
    }
  }

  /** Appends the ids of a normalized text without added tokens. */
  *#encodePlain(text: string, into: number[]): Work<void> {
    let bytes = 0, words = 0;
    for (const ids of this.#idsOf(text)) {
      for (const id of ids) {
        into.push(id);
        bytes += this.#pieces.byteLength(id);
      }
      // A long word pauses by giving nothing.
      if (ids.length === 0 || ++words % WORDS === 0) yield;
    }
    if (this.#lossless && bytes !== utf8Length(text)) {
      throw InputError.of(
        "contradiction",
        { file: this.path, key: "pre_tokenizer" },
        `one that keeps every byte of a text, but ${show(text.slice(0, 40))} comes out as ${bytes} of ${
          utf8Length(text)
        } bytes`,
      );
    }
  }
}
