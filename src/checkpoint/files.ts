/** Finds the safetensors files of a checkpoint, none of which may lie outside its directory. */
import { joined } from "../paths.ts";
import { entriesStored, type FileFacts, lstatStored } from "../stored_files.ts";
import { dirname } from "node:path";
import * as z from "zod";
import { InputError } from "../errors.ts";
import { isObject, type JsonObject } from "../json_object.ts";
import { printable, show } from "../describe.ts";
import { foreignDirectory } from "../foreign.ts";
import { kindOf } from "./atomic.ts";
import { MAX_TENSORS } from "./header.ts";
import { readable, readJson } from "../read.ts";
import { MAX_HEADER_BYTES, type OpenedSafetensors, openSafetensors, type TensorInfo } from "./safetensors.ts";
import { validate } from "../validate.ts";

/** A tensor and the file it is in. */
export interface StoredTensor extends TensorInfo {
  /** Index into {@linkcode WeightFiles.files}. */
  readonly file: number;
}

/** The safetensors files of a checkpoint and what they hold together. */
export interface WeightFiles {
  readonly files: readonly OpenedSafetensors[];
  /** Every tensor of every file, by name; no name stands in two files. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
/** Largest index: a header's limit, as it lists the same names. */
const MAX_INDEX_BYTES = 100_000_000;

/** What huggingface_hub puts into a snapshot directory (and its subdirectories): links to files named by their hash. */
const CACHE_LINK = /^(?:\.\.[/\\]){2,3}blobs[/\\](?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** What newer ones put in place of a blob that they keep for all repositories once, from a repository's `blobs`. */
const SHARED_BLOB = /^\.\.[/\\]\.\.[/\\]blobs[/\\][0-9a-f]{2}[/\\][0-9a-f]{64}$/;

const WEIGHT_MAP = { error: "an object from tensors to shards" };
const Index = z.looseObject({
  metadata: z.looseObject({ total_size: z.unknown().optional() }, { error: "an object" }).nullish(),
  weight_map: z.custom<JsonObject>(
    isObject,
    WEIGHT_MAP,
  ),
}, { error: "an object" });

/**
 * Path of a file in a directory, or null if there is none.
 *
 * @throws {InputError} for a link that is not one of a Hugging Face cache, and for anything else that is not a file.
 */
export function fileIn(dir: string, name: string): string | null {
  const path = joined(dir, name);
  const found = lookAt(path);
  if (found === null) return null;
  if (found.isFile) return path;
  if (!found.isSymlink) {
    throw InputError.of("wrong_value", { file: path }, "a file", kindOf(found));
  }
  const target = readable(path, () => Deno.readLinkSync(path));
  if (!CACHE_LINK.test(target)) {
    throw InputError.of(
      "wrong_value",
      { file: path },
      "a file, or a link ../../blobs/<hash> as in a Hugging Face cache",
      `a link to ${printable(target)}`,
    );
  }
  if (!isBlob(joined(dir, target))) {
    throw InputError.of("missing", { file: path }, `its link ${target} to lead to a file`, "none");
  }
  return path;
}

/** Whether a path is a blob of the cache: a file, or a link to one that several repositories share. */
function isBlob(path: string): boolean {
  const found = lookAt(path);
  if (!found?.isSymlink) return found?.isFile ?? false;
  const target = readable(path, () => Deno.readLinkSync(path));
  return SHARED_BLOB.test(target) && (lookAt(`${dirname(path)}/${target}`)?.isFile ?? false);
}

/** Like `lstat`, null for nothing. */
function lookAt(path: string): FileFacts | null {
  return readable(path, () => {
    try {
      return lstatStored(path);
    } catch (thrown) {
      if (thrown instanceof Deno.errors.NotFound) return null;
      throw thrown;
    }
  });
}

/**
 * Opens the files of a checkpoint: model.safetensors, or the shards of model.safetensors.index.json, or else every
 * *.safetensors (OpenAI's own layout has shards without an index).
 *
 * @param onWarning Called with one line for each oddity that does not change the model.
 * @throws {InputError} when there are none, one is malformed, or index and shards contradict each other.
 */
export function openWeightFiles(dir: string, onWarning: (line: string) => void): WeightFiles {
  const single = fileIn(dir, SINGLE), index = fileIn(dir, INDEX);
  if (single !== null) {
    if (index === null) return openAll([single], dir);
    refuseOtherShards(index);
  }
  if (index !== null) return openShards(dir, index, onWarning);
  const names = safetensorsIn(dir);
  if (names.length === 0) {
    const expected = `${SINGLE}, ${INDEX} or other *.safetensors files`, foreign = foreignDirectory(dir);
    if (foreign !== null) throw InputError.of("unsupported", { file: dir }, expected, foreign);
    throw InputError.of("missing", { file: dir }, expected, "none of them");
  }
  return openAll(names.map((name) => listedIn(dir, name)), dir);
}

/**
 * Refuses an index of other files than the one beside it: transformers reads that file, and vLLM those of the index.
 *
 * @throws {InputError} naming the first of them.
 */
function refuseOtherShards(index: string): void {
  const { weight_map } = validate(Index, readJson(index, MAX_INDEX_BYTES), index);
  const other = shardEntries(weight_map, index).find(([, name]) => name !== SINGLE);
  if (other === undefined) return;
  const subject = { file: index, key: `weight_map.${printable(other[0])}` };
  throw InputError.of("contradiction", subject, `${SINGLE}, which is there too`, `"${printable(other[1])}"`);
}

/**
 * Path of a file that the directory lists.
 *
 * @throws {InputError} where there is none of that name: where it is not UTF-8, Deno lists another.
 */
function listedIn(dir: string, name: string): string {
  const path = fileIn(dir, name);
  if (path !== null) return path;
  const got = name.includes("\ufffd") ? "one of other bytes" : "nothing of that name any more";
  throw InputError.of("missing", { file: joined(dir, name) }, "a file whose name is UTF-8", got);
}

/** Whether a directory has safetensors files, or an index of such. */
export function hasWeightFiles(dir: string): boolean {
  return [SINGLE, INDEX].some((name) => lookAt(joined(dir, name)) !== null) || safetensorsIn(dir).length > 0;
}

/** Whether the weights of the model in a directory are, or would be, looked for in a file of that name. */
export function isReadAsWeights(dir: string, name: string): boolean {
  const [single, index] = [SINGLE, INDEX].map((one) => lookAt(joined(dir, one)) !== null);
  if (name === SINGLE || name === INDEX) return true;
  if (!index) return !single && name.endsWith(".safetensors") && !name.startsWith(".");
  const path = joined(dir, INDEX);
  return Object.values(validate(Index, readJson(path, MAX_INDEX_BYTES), path).weight_map).includes(name);
}

function openShards(dir: string, index: string, onWarning: (line: string) => void): WeightFiles {
  const { metadata, weight_map } = validate(Index, readJson(index, MAX_INDEX_BYTES), index);
  const entries = shardEntries(weight_map, index);
  const names = [...new Set(entries.map(([, name]) => name))].sort();
  if (names.length === 0) throw InputError.of("missing", { file: index, key: "weight_map" }, "tensors", "none");
  // All names before any file: a name that leaves the directory must not even be looked up.
  for (const name of names) {
    if (!isFileName(name)) {
      throw InputError.of(
        "wrong_value",
        { file: index },
        "shards to be files of this directory",
        `"${printable(name)}"`,
      );
    }
  }
  const paths = names.map((name) => {
    const path = fileIn(dir, name);
    if (path === null) {
      throw InputError.of("missing", { file: index }, `shard ${printable(name)} beside it`, "no such file");
    }
    return path;
  });
  const weights = openAll(paths, dir);
  for (const [tensor, name] of entries) {
    const file = weights.tensors.get(tensor)?.file;
    if (file !== undefined && names[file] === name) continue;
    const found = file === undefined ? "no shard" : printable(names[file]!);
    throw InputError.of(
      "contradiction",
      { file: index },
      `tensor ${printable(tensor)} in ${printable(name)}, found it in ${found}`,
    );
  }
  const extra = weights.tensors.size - entries.length;
  if (extra > 0) onWarning(`${index}: weight_map lacks ${extra} of the tensors that its shards hold`);
  checkTotal(index, metadata?.total_size, weights, onWarning);
  return weights;
}

/** Tensors and their shards. One by one, since a validator's list of what is wrong would have an entry for each. */
function shardEntries(map: Readonly<Record<string, unknown>>, index: string): [tensor: string, shard: string][] {
  const entries = Object.entries(map);
  if (entries.length > MAX_TENSORS) {
    throw InputError.of(
      "too_large",
      { file: index, key: "weight_map" },
      `at most ${MAX_TENSORS} tensors`,
      entries.length,
    );
  }
  for (const [tensor, name] of entries) {
    if (typeof name === "string") continue;
    throw InputError.of(
      "wrong_value",
      { file: index, key: `weight_map.${printable(tensor)}` },
      "a shard's file name",
      show(name),
    );
  }
  return entries as [string, string][];
}

/** `total_size` is the bytes of all tensors; nothing depends on it, so a wrong one is worth a warning only. */
function checkTotal(
  index: string,
  claimed: unknown,
  { tensors }: WeightFiles,
  onWarning: (line: string) => void,
): void {
  if (claimed === undefined || claimed === null) return;
  let total = 0;
  for (const { bytes } of tensors.values()) total += bytes;
  if (claimed !== total) {
    onWarning(`${index}: total_size: expected ${total}, the bytes of all tensors, got ${show(claimed)}`);
  }
}

/** Opens files one after the other, so that many with the same tensors end at the second. */
function openAll(paths: readonly string[], dir: string): WeightFiles {
  const files: OpenedSafetensors[] = [];
  const tensors = new Map<string, StoredTensor>();
  let headerBytes = 0;
  for (const [file, path] of paths.entries()) {
    const opened = openSafetensors(path, {
      bytes: MAX_HEADER_BYTES - headerBytes,
      tensors: MAX_TENSORS - tensors.size,
    });
    files.push(opened);
    headerBytes += opened.dataStart;
    for (const tensor of opened.tensors.values()) {
      const other = tensors.get(tensor.name);
      if (other !== undefined) {
        throw InputError.saying(
          "contradiction",
          { file: dir },
          `tensor ${printable(tensor.name)} stands in two files, ${files[other.file]!.path} and ${path}`,
        );
      }
      tensors.set(tensor.name, { ...tensor, file });
    }
  }
  return { files, tensors };
}

/** A name of a file in a directory, not a path; `:` would reach another drive or stream on Windows. */
function isFileName(name: string): boolean {
  return name !== "." && name !== ".." && /^[^/\\:\p{C}]{1,255}$/u.test(name);
}

function safetensorsIn(dir: string): string[] {
  const entries = readable(dir, () => entriesStored(dir));
  // Names with a dot in front are what file systems and downloaders leave.
  return entries.map(({ name }) => name).filter((name) => name.endsWith(".safetensors") && !name.startsWith("."))
    .sort();
}
