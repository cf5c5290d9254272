/** Takes tokenizer.json and tokenizer_config.json apart, and refuses what a byte-level BPE tokenizer cannot be. */
import { printable, show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { isObject, type JsonObject } from "../json_object.ts";
import type { Scan } from "./scanned.ts";
import { scanTokenizer } from "./tokenizer_scan.ts";
import { objectOf, type TokenizerSource } from "./tokenizer_source.ts";
import { type AddedToken, type Encoding, isId, parsedWords, type PieceOf, scannedWords } from "./tokenizer_words.ts";

export type { AddedToken } from "./tokenizer_words.ts";
export { isObject } from "../json_object.ts";
import { bytesOfPiece, isByteLevel } from "./byte_level.ts";
import { addsPrefixSpace, checkParts, checkSettings } from "./tokenizer_parts.ts";

/** A tokenizer.json that was checked. */
export interface TokenizerFile extends Encoding {
  /** Path of tokenizer.json, for messages. */
  readonly path: string;
  /** The whole file, for the library; perhaps without vocabulary and merges. */
  readonly json: JsonObject;
  readonly added: readonly AddedToken[];
  /** tokenizer_config.json, or an empty object where there is none. */
  readonly config: JsonObject;
}

/** UTF-16 units of an added token. */
const MAX_CONTENT = 256;

/**
 * The tokenizer of files that were read, or will be written.
 *
 * @param scans Who may read vocabulary and merges, one after the other, before the whole file is read as JSON; what
 *   comes out is the same.
 * @throws {InputError} naming the file and what is wrong with it.
 */
export function tokenizerOf(source: TokenizerSource, scans: readonly Scan[] = [scanTokenizer]): TokenizerFile {
  const [scan, ...others] = scans, { path, bytes, configPath, config } = source, scanned = scan?.(bytes) ?? null;
  if (scanned === null && others.length > 0) return tokenizerOf(source, others);
  const json = objectOf(scanned?.rest ?? bytes, path);
  checkModel(path, json);
  checkSettings(configPath, config, addsPrefixSpace(json["pre_tokenizer"]));
  const model = json["model"] as JsonObject;
  const { pieceOf, count, made } = scanned === null ? parsedWords(path, model) : scannedWords(scanned, model);
  let added: AddedToken[], own: number;
  try {
    added = readAdded(path, json["added_tokens"], pieceOf);
    own = added.length;
    addFromConfig(configPath, config, pieceOf, added);
  } catch (thrown) {
    // What reads all of the file as JSON says first what is wrong with the vocabulary.
    if (scanned !== null) return tokenizerOf(source, []);
    throw thrown;
  }
  // BPE must not be able to make a special token.
  const hidden = added.filter(({ id, special, content }) => special && pieceOf(id) === content).map(({ id }) => id);
  const found = made(new Set(hidden), added);
  // What is unusual about them is said, or done, by what reads all of the file as JSON.
  if (found === null) return tokenizerOf(source, others);
  const idOf = (content: string) => isByteLevel(content) ? found.pieces.find(bytesOfPiece(content)) : -1;
  const where = (i: number) => i < own ? `${path}: added_tokens[${i}]` : `${configPath}: added_tokens_decoder`;
  checkIds(added, { pieceOf, idOf, count }, where);
  return { path, json, ...found, added, config };
}

/**
 * Refuses ids of added tokens other than those that Hugging Face's tokenizers gives them, which looks at their order
 * only: to it the texts would be other tokens.
 *
 * @param words The vocabulary: an entry by its id, the id of an entry or -1, and how many there are.
 * @param where What messages about an added token begin with.
 */
function checkIds(
  added: readonly AddedToken[],
  { pieceOf, idOf, count }: { pieceOf: PieceOf; idOf: (content: string) => number; count: number },
  where: (i: number) => string,
): void {
  let largest = -1;
  for (const [i, { id, content }] of added.entries()) {
    const entry = pieceOf(id) === content ? id : idOf(content), next = largest >= count ? largest + 1 : count;
    const given = entry >= 0 ? entry : next;
    if (id !== given) {
      const expected = `id ${given}, which Hugging Face's tokenizers gives it`;
      throw InputError.of("contradiction", { name: `${where(i)} (${printable(content)})` }, expected, id);
    }
    largest = Math.max(largest, id);
  }
}

function checkModel(path: string, json: JsonObject): void {
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
}

function readAdded(path: string, list: unknown, pieceOf: PieceOf): AddedToken[] {
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
    const flags = flagsOf(`${where} (${printable(content)})`, entry, ["special", "normalized"]);
    if (contents.has(content) || ids.has(id)) {
      throw InputError.saying(
        "contradiction",
        { name: `${where} (${printable(content)}, id ${id})` },
        "is there twice",
      );
    }
    const piece = pieceOf(id);
    if (piece !== undefined && piece !== content) {
      throw InputError.saying(
        "contradiction",
        { name: `${where} (${printable(content)})` },
        `id ${id} belongs to ${show(piece)} in model.vocab`,
      );
    }
    contents.add(content);
    ids.add(id);
    return { id, content, ...flags };
  });
}

/**
 * Kinds of an added token; what is left out as transformers has it.
 *
 * @param needed Those that are not to be left out: Hugging Face's tokenizers reads no tokenizer.json without them.
 */
function flagsOf(
  name: string,
  entry: JsonObject,
  needed: readonly string[] = [],
): { readonly special: boolean; readonly normalized: boolean } {
  for (const flag of ["lstrip", "rstrip", "single_word", "special", "normalized"]) {
    const value = entry[flag], key = { name: `${name}: ${flag}` };
    if (value === undefined) {
      if (needed.includes(flag)) throw InputError.saying("missing", key, "not there, expected true or false");
    } else if (typeof value !== "boolean") throw InputError.of("wrong_value", key, "true or false", show(value));
    else if (value && /strip|word/.test(flag)) throw InputError.of("wrong_value", key, "false", "true");
  }
  const { special, normalized } = entry;
  return { special: special === true, normalized: (normalized ?? special !== true) === true };
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
  pieceOf: PieceOf,
  added: AddedToken[],
): void {
  const decoder = config["added_tokens_decoder"];
  if (!isObject(decoder)) return;
  const ids = new Set(added.map(({ id }) => id)), contents = new Set(added.map(({ content }) => content));
  for (const [key, entry] of Object.entries(decoder)) {
    const id = Number(key);
    if (!isId(id) || !isObject(entry) || pieceOf(id) !== undefined) continue;
    const content = entry["content"];
    if (typeof content !== "string" || content === "") continue;
    if (ids.has(id) || contents.has(content)) continue;
    const where = `${path}: added_tokens_decoder.${id}`;
    checkContent(where, content);
    ids.add(id);
    contents.add(content);
    added.push({ id, content, ...flagsOf(`${where} (${printable(content)})`, entry) });
  }
}

/** Whether text reaches BPE as byte-level characters: what turns ids back into bytes relies on it. */
function hasByteLevel(preTokenizer: unknown): boolean {
  if (!isObject(preTokenizer)) return false;
  if (preTokenizer["type"] === "ByteLevel") return true;
  const parts = preTokenizer["pretokenizers"];
  return Array.isArray(parts) && hasByteLevel(parts.at(-1));
}
