/** Vocabulary and merges of a tokenizer.json: checked, and made into what encodes words. */
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { isObject, type JsonObject } from "../json_object.ts";
import { byteLevel, bytesOfPiece, charOfByte, isByteLevel } from "./byte_level.ts";
import { BytePairs } from "./byte_pairs.ts";
import { PairMerges } from "./merges.ts";
import { pack, Pieces } from "./pieces.ts";
import type { Scanned } from "./scanned.ts";

/** A token that is matched in the text before BPE sees it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Special tokens are structure: they are never made from text unless that is asked for. */
  readonly special: boolean;
  /** Whether it is matched once the text is normalized, and after those that are not. */
  readonly normalized: boolean;
}

/** An entry in the byte-level alphabet by its id. */
export type PieceOf = (id: number) => string | undefined;

/** What encodes words. */
export interface Encoding {
  /** BPE entries by id. */
  readonly pieces: Pieces;
  readonly pairs: BytePairs;
}

/** Vocabulary and merges, before it is known which entries are special tokens. */
export interface Words {
  readonly pieceOf: PieceOf;
  /** How many entries there are. */
  readonly count: number;
  /**
   * @param hidden Ids that text never becomes.
   * @returns null where the file is to be read as JSON.
   */
  readonly made: (hidden: ReadonlySet<number>, added: readonly AddedToken[]) => Encoding | null;
}

/** Ids above this are refused, before an array of that length is made; gpt-oss ends at 201,088. */
const MAX_ID = 4_000_000;

/** Words that were scanned. */
export function scannedWords({ vocab, merges: scanned }: Scanned, model: JsonObject): Words {
  const { bytes, starts, ends } = vocab;
  const mergesOf = (pieces: Pieces, hidden: ReadonlySet<number>): PairMerges | null => {
    // Lists that were made without knowing what is hidden have merges of it.
    if ("latest" in scanned) return hidden.size > 0 ? null : new PairMerges(pieces, scanned);
    for (let id = 0; id < pieces.count; id++) {
      // Another id is found where an entry stands there twice.
      if (starts[id] !== -1 && !hidden.has(id) && pieces.find(bytes, starts[id], ends[id]) !== id) return null;
    }
    const part = (i: number) => pieces.find(scanned.bytes, i === 0 ? 0 : scanned.ends[i - 1], scanned.ends[i]);
    return PairMerges.of(pieces, scanned.ends.length / 2, (i) => [part(2 * i), part(2 * i + 1)]);
  };
  const made = (hidden: ReadonlySet<number>): Encoding | null => {
    const pieces = new Pieces(vocab, hidden);
    for (let byte = 0; byte < 256; byte++) if (pieces.find(Uint8Array.of(byte)) < 0) return null;
    const merges = mergesOf(pieces, hidden);
    return merges && { pieces, pairs: new BytePairs(pieces, merges, model["ignore_merges"] === true) };
  };
  return {
    count: starts.reduce((count, start) => count + Number(start !== -1), 0),
    pieceOf: (id) => (starts[id] ?? -1) === -1 ? undefined : byteLevel(bytes.subarray(starts[id], ends[id])),
    made,
  };
}

/**
 * Words as JSON has them.
 *
 * @throws {InputError} naming what is wrong with them; from `made` too.
 */
export function parsedWords(path: string, model: JsonObject): Words {
  checkMerges(path, model["merges"]);
  const list = model["merges"] as readonly (string | readonly string[])[], vocab = readVocab(path, model["vocab"]);
  list.forEach((merge, i) => checkEntries(path, i, partsOf(merge), model["vocab"] as JsonObject));
  const made = (hidden: ReadonlySet<number>, added: readonly AddedToken[]): Encoding => {
    checkPieces(path, vocab, added);
    const specials = added.filter(({ id, special, content }) => special && vocab[id] === content);
    checkReached(path, list, new Set(specials.map(({ content }) => content)));
    const bytes = Array.from(
      vocab,
      (piece) => piece !== undefined && isByteLevel(piece) ? bytesOfPiece(piece) : undefined,
    );
    const pieces = new Pieces(pack(bytes), hidden), ids = new Map<string, number>();
    vocab.forEach((piece, id) => piece !== undefined && bytes[id] !== undefined && ids.set(piece, id));
    // Parts of what has the alphabet only have no other characters, and were found to be entries.
    const merges = PairMerges.of(pieces, list.length, (i) => {
      const [left, right] = partsOf(list[i]!);
      return [ids.get(left)!, ids.get(right)!];
    });
    return { pieces, pairs: new BytePairs(pieces, merges!, model["ignore_merges"] === true) };
  };
  return { pieceOf: (id) => vocab[id], count: Object.keys(model["vocab"] as JsonObject).length, made };
}

function readVocab(path: string, vocab: unknown): (string | undefined)[] {
  if (!isObject(vocab)) {
    throw InputError.of("wrong_value", { file: path, key: "model.vocab" }, "an object", show(vocab));
  }
  const pieces: (string | undefined)[] = [];
  for (const piece in vocab) {
    const id = vocab[piece];
    if (!isId(id)) {
      throw InputError.of("wrong_value", { file: path, key: `model.vocab[${show(piece)}]` }, "an id", show(id));
    }
    if (pieces[id] !== undefined) {
      throw InputError.saying(
        "contradiction",
        { file: path, key: "model.vocab" },
        `id ${id} belongs to both ${show(pieces[id])} and ${show(piece)}`,
      );
    }
    pieces[id] = piece;
  }
  for (let byte = 0; byte < 256; byte++) {
    // Without all of them some texts would silently lose characters.
    if (!Object.hasOwn(vocab, charOfByte(byte))) {
      throw InputError.of(
        "missing",
        { file: path, key: "model.vocab" },
        "an entry for each of the 256 bytes",
        `none for byte ${byte}`,
      );
    }
  }
  return pieces;
}

function checkMerges(path: string, merges: unknown): void {
  if (!Array.isArray(merges)) {
    throw InputError.of("wrong_value", { file: path, key: "model.merges" }, "an array", show(merges));
  }
  // Both forms exist: "a b", and ["a", "b"] since tokenizers 0.20.
  const pairs = Array.isArray(merges[0]);
  for (let i = 0; i < merges.length; i++) {
    const merge: unknown = merges[i];
    const good = pairs
      ? Array.isArray(merge) && merge.length === 2 && typeof merge[0] === "string" && typeof merge[1] === "string"
      : typeof merge === "string" && merge.indexOf(" ") > 0;
    if (!good) throw InputError.of("wrong_value", { file: path, key: `model.merges[${i}]` }, "two pieces", show(merge));
  }
}

/** What a merge joins. */
function partsOf(merge: string | readonly string[]): readonly [left: string, right: string] {
  const [left = "", right = ""] = typeof merge === "string" ? merge.split(" ", 2) : merge;
  return [left, right];
}

/** As Hugging Face's library refuses them: a merge that is left out in silence would make other tokens. */
function checkEntries(path: string, index: number, [left, right]: readonly [string, string], vocab: JsonObject): void {
  const missing = [left, right, left + right].find((piece) => !Object.hasOwn(vocab, piece));
  if (missing === undefined) return;
  const what = missing === left || missing === right ? "entries of model.vocab" : "to make an entry of model.vocab";
  throw InputError.of("contradiction", { file: path, key: `model.merges[${index}]` }, what, show(missing));
}

/** Every entry that is not an added token must be spelt in the byte-level alphabet. */
function checkPieces(path: string, pieces: readonly (string | undefined)[], added: readonly AddedToken[]): void {
  const exempt = new Set(added.map((a) => a.id));
  pieces.forEach((piece, id) => {
    if (piece === undefined || exempt.has(id) || isByteLevel(piece)) return;
    throw InputError.of(
      "wrong_value",
      { file: path, key: `model.vocab[${show(piece)}]` },
      "byte-level characters only",
    );
  });
}

/**
 * Refuses merges and bytes that are special tokens: texts would become these, or could not be written.
 *
 * @param specials Texts of those that are entries of the vocabulary.
 */
function checkReached(
  path: string,
  merges: readonly (string | readonly string[])[],
  specials: ReadonlySet<string>,
): void {
  for (const special of specials) {
    if (special.length > 1 || !isByteLevel(special)) continue;
    const what = `no special token to be the only one of a byte, ${bytesOfPiece(special)[0]}`;
    throw InputError.of("contradiction", { file: path, key: "added_tokens" }, what, show(special));
  }
  for (const [i, merge] of merges.entries()) {
    const result = partsOf(merge).join("");
    if (!specials.has(result) && isByteLevel(result)) continue;
    const what = "to make an entry that texts become, and no special one";
    throw InputError.of("contradiction", { file: path, key: `model.merges[${i}]` }, what, show(result));
  }
}

/** Whether a value is an id. */
export function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_ID;
}
