/** The files that a tokenizer is read from: tokenizer.json and what lies beside it. */
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { isObject, type JsonObject } from "../json_object.ts";
import { joined } from "../paths.ts";
import { parseJson, readable, readWhole } from "../read.ts";
import { lstatStored } from "../stored_files.ts";

/** gpt-oss-20b's tokenizer.json has 28 MB. */
const MAX_FILE_BYTES = 40_000_000;
/** gpt-oss's chat template has 17 KB. */
const MAX_TEXT_BYTES = 1 << 20;

/** What a tokenizer is read from. */
export interface TokenizerSource {
  /** Of tokenizer.json and of tokenizer_config.json, for messages. */
  readonly path: string;
  readonly configPath: string;
  /** tokenizer.json. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** tokenizer_config.json, or an empty object where there is none. */
  readonly config: JsonObject;
}

/**
 * Reads a JSON object from a file.
 *
 * @returns null if there is no such file.
 * @throws {InputError} if it cannot be read, is too large, or is not a JSON object.
 */
function readJsonObject(path: string): JsonObject | null {
  const bytes = readIfThere(path, MAX_FILE_BYTES);
  return bytes === null ? null : objectOf(bytes, path);
}

/** @throws {InputError} when a file's bytes are no JSON object. */
export function objectOf(bytes: Uint8Array<ArrayBuffer>, path: string): JsonObject {
  const value = parseJson(bytes, path);
  if (!isObject(value)) throw InputError.of("malformed", { file: path }, "a JSON object", show(value));
  return value;
}

/**
 * What tokenizer_config.json of a directory holds; nothing where there is none.
 *
 * @throws {InputError} if it cannot be read, is too large, or is not a JSON object.
 */
export function readTokenizerConfig(dir: string): JsonObject {
  return readJsonObject(joined(dir, "tokenizer_config.json")) ?? {};
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
      return lstatStored(path);
    } catch (thrown) {
      if (thrown instanceof Deno.errors.NotFound) return null;
      throw thrown;
    }
  });
  return found === null ? null : readWhole(path, mostBytes);
}

/**
 * The files of a checkpoint directory.
 *
 * @throws {InputError} when there is no tokenizer.json, or one of them cannot be read or is too large.
 */
export function tokenizerSource(dir: string): TokenizerSource {
  const path = joined(dir, "tokenizer.json");
  const configPath = joined(dir, "tokenizer_config.json");
  const bytes = readIfThere(path, MAX_FILE_BYTES);
  if (bytes === null) {
    throw InputError.saying("missing", { file: path }, "not found, expected the checkpoint's tokenizer");
  }
  return { path, bytes, configPath, config: readJsonObject(configPath) ?? {} };
}
