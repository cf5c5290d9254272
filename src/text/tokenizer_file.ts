/** Reads tokenizer.json and tokenizer_config.json, and refuses what a byte-level BPE tokenizer cannot be. */
import { printable, show } from "../describe.ts";
import { parseJson, readable, readWhole } from "../read.ts";
import { InputError } from "../errors.ts";
import { bytesOfPiece, charOfByte, isByteLevel } from "./byte_level.ts";
import { BytePairs } from "./byte_pairs.ts";
import { PairMerges } from "./merges.ts";
import { Pieces } from "./pieces.ts";
import { checkParts } from "./tokenizer_parts.ts";

/** Any JSON object. */
export type JsonObject = { readonly [key: string]: unknown };

/** A token that is matched in the text before BPE sees it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Special tokens are structure: they are never made from text unless that is asked for. */
  readonly special: boolean;
}

/** A tokenizer.json that was checked. */
export interface TokenizerFile {
  /** Path of tokenizer.json, for messages. */
  readonly path: string;
  /** The whole file, for the library; without vocabulary and merges where {@linkcode TokenizerFile.pairs} has them. */
  readonly json: JsonObject;
  /** BPE entries by id. */
  readonly pieces: Pieces;
  /** What encodes words; null: the library has to, as merges and vocabulary do not fit together. */
  readonly pairs: BytePairs | null;
  readonly added: readonly AddedToken[];
  /** tokenizer_config.json, or an empty object where there is none. */
  readonly config: JsonObject;
}

/** gpt-oss-20b's tokenizer.json has 28 MB. */
const MAX_FILE_BYTES = 40_000_000;
/** gpt-oss's chat template has 17 KB. */
const MAX_TEXT_BYTES = 1 << 20;
/** UTF-16 units of an added token. */
const MAX_CONTENT = 256;

/** Ids above this are refused, before an array of that length is made; gpt-oss ends at 201,088. */
const MAX_ID = 4_000_000;

/**
 * Reads a JSON object from a file.
 *
 * @returns null if there is no such file.
 * @throws {InputError} if it cannot be read, is too large, or is not a JSON object.
 */
export function readJsonObject(path: string): JsonObject | null {
  const bytes = readIfThere(path, MAX_FILE_BYTES);
  if (bytes === null) return null;
  const value = parseJson(bytes, path);
  if (!isObject(value)) throw InputError.of("malformed", { file: path }, "a JSON object", show(value));
  return value;
}

/**
 * Reads a text file of the checkpoint.
 *
 * @returns null if there is no such file.
 * @throws {InputError} if it cannot be read, is too large, or is not UTF-8.
 */
export function readText(path: string): string | null {
  const bytes = readIfThere(path, MAX_TEXT_BYTES);
  if (bytes === null) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw InputError.of("malformed", { file: path }, "UTF-8", "other bytes");
  }
}

function readIfThere(path: string, mostBytes: number): Uint8Array<ArrayBuffer> | null {
  const found = readable(path, () => {
    try {
      return Deno.lstatSync(path);
    } catch (thrown) {
      if (thrown instanceof Deno.errors.NotFound) return null;
      throw thrown;
    }
  });
  return found === null ? null : readWhole(path, mostBytes);
}

/**
 * Reads the tokenizer of a checkpoint directory.
 *
 * @throws {InputError} naming the file and what is wrong with it.
 */
export function readTokenizerFile(dir: string): TokenizerFile {
  const path = `${dir}/tokenizer.json`;
  const configPath = `${dir}/tokenizer_config.json`;
  const json = readJsonObject(path), config = readJsonObject(configPath);
  if (json === null) {
    throw InputError.saying("missing", { file: path }, "not found, expected the checkpoint's tokenizer");
  }
  const model = json["model"];
  if (!isObject(model)) throw InputError.of("wrong_value", { file: path, key: "model" }, "an object", show(model));
  if (model["type"] !== "BPE") {
    throw InputError.of("wrong_value", { file: path, key: "model.type" }, '"BPE"', show(model["type"]));
  }
  checkParts(path, json);
  if (!hasByteLevel(json["pre_tokenizer"])) {
    throw InputError.of(
      "wrong_value",
      { file: path, key: "pre_tokenizer" },
      "one that ends in ByteLevel",
      show(json["pre_tokenizer"]),
    );
  }
  checkMerges(path, model["merges"]);
  const vocab = readVocab(path, model["vocab"]);
  const added = readAdded(path, json["added_tokens"], vocab);
  addFromConfig(configPath, config ?? {}, vocab, added);
  checkPieces(path, vocab, added);
  return { path, json, ...pairsOf(vocab, model, added), added, config: config ?? {} };
}

/** The vocabulary as bytes, and what encodes with it. */
function pairsOf(
  vocab: readonly (string | undefined)[],
  model: JsonObject,
  added: readonly AddedToken[],
): Pick<TokenizerFile, "pieces" | "pairs"> {
  // BPE must not be able to make a special token.
  const specials = new Set(
    added.filter(({ id, special, content }) => special && vocab[id] === content).map((a) => a.id),
  );
  const bytes = Array.from(
    vocab,
    (piece) => piece !== undefined && isByteLevel(piece) ? bytesOfPiece(piece) : undefined,
  );
  const pieces = new Pieces(bytes, specials), list = model["merges"] as readonly (string | readonly string[])[];
  const ids = new Map<string, number>();
  vocab.forEach((piece, id) => piece !== undefined && bytes[id] !== undefined && ids.set(piece, id));
  const merges = PairMerges.of(pieces, list.length, (i) => {
    const merge = list[i]!, [left = "", right = ""] = typeof merge === "string" ? merge.split(" ", 2) : merge;
    return [ids.get(left) ?? -1, ids.get(right) ?? -1];
  });
  return { pieces, pairs: merges && new BytePairs(pieces, merges, model["ignore_merges"] === true) };
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

function readAdded(path: string, list: unknown, pieces: (string | undefined)[]): AddedToken[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) {
    throw InputError.of("wrong_value", { file: path, key: "added_tokens" }, "an array", show(list));
  }
  const contents = new Set<string>();
  const ids = new Set<number>();
  return list.map((entry: unknown, i) => {
    const where = `${path}: added_tokens[${i}]`;
    if (!isObject(entry)) throw InputError.of("wrong_value", { name: where }, "an object", show(entry));
    const { id, content } = entry as { id: unknown; content: unknown };
    if (!isId(id)) throw InputError.of("wrong_value", { name: `${where}: id` }, "an id", show(id));
    checkContent(where, content);
    for (const flag of ["lstrip", "rstrip", "single_word"]) {
      if (entry[flag] === true) {
        throw InputError.of("wrong_value", { name: `${where} (${printable(content)}): ${flag}` }, "false", "true");
      }
    }
    if (contents.has(content) || ids.has(id)) {
      throw InputError.saying(
        "contradiction",
        { name: `${where} (${printable(content)}, id ${id})` },
        "is there twice",
      );
    }
    if (pieces[id] !== undefined && pieces[id] !== content) {
      throw InputError.saying(
        "contradiction",
        { name: `${where} (${printable(content)})` },
        `id ${id} belongs to ${show(pieces[id])} in model.vocab`,
      );
    }
    contents.add(content);
    ids.add(id);
    return { id, content, special: entry["special"] === true };
  });
}

/** @throws {InputError} for what cannot be the text of a token. */
function checkContent(where: string, content: unknown): asserts content is string {
  if (typeof content !== "string" || content === "") {
    throw InputError.of("wrong_value", { name: `${where}: content` }, "a text", show(content));
  }
  if (content.length > MAX_CONTENT || !content.isWellFormed()) {
    throw InputError.of(
      "too_large",
      { name: `${where}: content` },
      `up to ${MAX_CONTENT} characters of Unicode`,
      show(content),
    );
  }
}

/**
 * tokenizer_config.json may name tokens that tokenizer.json lacks (`added_tokens_decoder`); where both speak, the
 * latter wins.
 */
function addFromConfig(
  path: string,
  config: JsonObject,
  pieces: readonly (string | undefined)[],
  added: AddedToken[],
): void {
  const decoder = config["added_tokens_decoder"];
  if (!isObject(decoder)) return;
  const ids = new Set(added.map(({ id }) => id)), contents = new Set(added.map(({ content }) => content));
  for (const [key, entry] of Object.entries(decoder)) {
    const id = Number(key);
    if (!isId(id) || !isObject(entry) || pieces[id] !== undefined) continue;
    const content = entry["content"];
    if (typeof content !== "string" || content === "") continue;
    if (ids.has(id) || contents.has(content)) continue;
    checkContent(`${path}: added_tokens_decoder.${id}`, content);
    ids.add(id);
    contents.add(content);
    added.push({ id, content, special: entry["special"] === true });
  }
}

/** Whether text reaches BPE as byte-level characters: what turns ids back into bytes relies on it. */
function hasByteLevel(preTokenizer: unknown): boolean {
  if (!isObject(preTokenizer)) return false;
  if (preTokenizer["type"] === "ByteLevel") return true;
  const parts = preTokenizer["pretokenizers"];
  return Array.isArray(parts) && hasByteLevel(parts.at(-1));
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

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_ID;
}
