/** Places that the command line names, looked at before anything is computed for them. */
import { basename, dirname } from "node:path";
import { kindOf, TemporaryFile, writeWhole } from "../checkpoint/atomic.ts";
import { READ_BESIDE_WEIGHTS } from "../checkpoint/checkpoint.ts";
import { isReadAsWeights } from "../checkpoint/files.ts";
import { refuseTarget } from "../checkpoint/write_safetensors.ts";
import { InputError, type Subject } from "../errors.ts";
import { UsageError } from "./spelling.ts";

/**
 * Refuses a file that must not be written, or cannot be: one beside it is made and removed. Of a model's files none is
 * replaced, by force neither, and none is added that would be read as one.
 *
 * @throws {UsageError} as {@linkcode refuseTarget} and {@linkcode TemporaryFile}, with the option's name.
 * @throws {FailureError} when the disk is full or fails.
 */
export function refuseOut(path: string, force: boolean): void {
  try {
    refuseTarget(path, force);
    if (isOfModel(dirname(path), basename(path)) || OF_MODELS.test(path) && exists(path)) {
      refuseModel(dirname(path), path);
    }
    new TemporaryFile(path)[Symbol.dispose]();
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    throw new UsageError({ ...thrown.mistake, subject: { option: "out", ...thrown.subject } });
  }
}

/**
 * Writes the file of `--out`, unless another run has written one there since {@linkcode refuseOut} looked.
 *
 * @throws {UsageError} where there is one and `force` is not set.
 * @throws As {@linkcode writeWhole}.
 */
export function writeOutFile(path: string, content: string, force: boolean): void {
  refuseOut(path, force);
  writeWhole(path, content);
}

/**
 * Refuses a directory that has a model: results do not belong among its files, which are copied and hashed as a whole.
 *
 * @param out What `--out` is, for messages.
 * @throws {UsageError} if it has a config and weights.
 */
export function refuseModel(dir: string, out = dir): void {
  let names: readonly string[];
  try {
    names = [...Deno.readDirSync(dir)].map(({ name }) => name);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    // Whoever writes there says so.
    return;
  }
  if (!names.includes("config.json") || !names.some(isWeights)) return;
  throw UsageError.of("occupied", { option: "out", file: out }, "a place outside a model's directory", "one in it");
}

/** What files of models are called; others beside them are what somebody wrote there before. */
const OF_MODELS = /(?:^|[/\\])model[^/\\]*\.safetensors$|\.(?:json|jinja)$/;

/** Whether a file of that name would be read as one of the model in a directory. */
function isOfModel(dir: string, name: string): boolean {
  try {
    return READ_BESIDE_WEIGHTS.has(name) || isReadAsWeights(dir, name);
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    // Of an index that cannot be read nobody knows what it names.
    return true;
  }
}

const isWeights = (path: string): boolean => path.endsWith(".safetensors");

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    return false;
  }
}

/**
 * Refuses a directory that is not there.
 *
 * @param asked What names it, for messages.
 * @throws {UsageError} if nothing is there.
 */
export function refuseAbsent(path: string, asked: Pick<Subject, "option"> = {}): void {
  lookAt(path, { ...asked, file: path });
}

/**
 * Refuses what is no directory.
 *
 * @param asked What names it, for messages.
 * @throws {UsageError} if nothing, or a file, is there.
 */
export function refuseNoDirectory(path: string, asked: Pick<Subject, "option"> = {}): void {
  const subject = { ...asked, file: path };
  const found = lookAt(path, subject);
  if (found?.isDirectory === false) throw UsageError.of("wrong_value", subject, "a directory", kindOf(found));
}

/**
 * Refuses a file where a directory is to be made, or is there.
 *
 * @param asked What names it, for messages.
 * @throws {UsageError} if there is one.
 */
export function refuseFile(path: string, asked: Pick<Subject, "option">): void {
  let found: Deno.FileInfo;
  try {
    found = Deno.statSync(path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    return;
  }
  if (!found.isDirectory) throw UsageError.of("wrong_value", { ...asked, file: path }, "a directory", kindOf(found));
}

/** Null where the system does not say: whoever reads or writes there will. */
function lookAt(path: string, subject: Subject): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (thrown) {
    const { NotFound, NotADirectory } = Deno.errors;
    // No system has a name as long as that.
    const tooLong = thrown instanceof Error && "code" in thrown && thrown.code === "ENAMETOOLONG";
    if (!(thrown instanceof NotFound || thrown instanceof NotADirectory || tooLong)) return null;
    throw UsageError.of("missing", subject, "a directory", "nothing of that name");
  }
}
