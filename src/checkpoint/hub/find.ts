/** From what a user calls a model to the directory that it lies in. No socket is opened: what is not there is said. */
import { environmentVariable } from "../../environment.ts";
import { InputError } from "../../errors.ts";
import { hubFolder } from "./environment.ts";
import {
  completingCommand,
  downloadCommand,
  isDirectory,
  repositoryFolder,
  repositoryName,
  repositoryOf,
  snapshotAt,
  snapshotDirectory,
  splitRevision,
} from "./repository.ts";

/** Whether a text can only be meant as a name: there is nothing of that path, and it has the form of one. */
export function namesRepository(model: string): boolean {
  return !exists(model) && !isRepositoryFolder(splitRevision(model)[0]) && repositoryName(model) !== null;
}

/** Folder of the cache that a model is looked for in; null where the environment may not be looked at. */
export type CacheFolder = () => string | null;

/**
 * The cache that the environment names; null where the environment may not be looked at.
 *
 * @throws {InputError} where it names none.
 */
export function environmentCache(): string | null {
  try {
    // An empty variable is the working directory's folder to huggingface_hub.
    return hubFolder(environmentVariable) || ".";
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) return null;
    throw thrown;
  }
}

/**
 * Directory of a model that is named by a path, by a repository's folder in a cache (`.../models--org--name`, with
 * `@revision` after it or not), or by its name on the Hugging Face Hub (`org/name@revision`). A path that is there
 * wins.
 *
 * @param cache It is asked for names only.
 * @throws {InputError} naming where a model was looked for, and the command that downloads it.
 */
export function findModel(model: string, cache: CacheFolder = environmentCache): string {
  if (isRepositoryFolder(model)) return inFolder(model, null);
  if (exists(model)) return model;
  const [folder, revision] = splitRevision(model);
  if (revision !== null && isRepositoryFolder(folder)) return inFolder(folder, revision);
  refuseAddress(model);
  const name = repositoryName(model);
  // Whoever opens it says what is wrong with it.
  if (name === null) return model;
  const place = cache(), own = place === null ? null : repositoryFolder(place, name.repository);
  if (own !== null && isDirectory(own)) return snapshotDirectory(own, name);
  // A word alone is hardly ever meant as a name of the Hub.
  if (!name.repository.includes("/")) return model;
  const problem = place === null
    ? "no such directory, and the variables that say where the Hugging Face cache is may not be read; to download it: "
    : `neither a directory nor in the Hugging Face cache ${place}; to download it: `;
  throw InputError.saying("missing", { file: model }, `${problem}${downloadCommand(name)}`);
}

/** `https://HOST/org/name`, with or without more after it, or `hf://org/name`: what people copy from a page. */
const ADDRESS = /^(?:https?:\/\/[^/]+\/|hf:\/\/)(?:models\/)?([^/]+\/[^/?#@]+)/;

/** Refuses an address on the web, with the name that it holds. */
function refuseAddress(model: string): void {
  const name = ADDRESS.exec(model)?.[1];
  if (name === undefined || repositoryName(name) === null) return;
  const problem = `an address, and nothing is downloaded here; the model's name is ${name}`;
  throw InputError.saying("wrong_value", { file: model }, problem);
}

function inFolder(folder: string, revision: string | null): string {
  const root = folder.replace(/[/\\]+$/, "");
  return snapshotDirectory(root, { repository: repositoryOf(root)!, revision });
}

function isRepositoryFolder(path: string): boolean {
  return repositoryOf(path) !== null && isDirectory(`${path}/snapshots`);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (thrown) {
    // Whoever opens it says why it cannot be looked at.
    return !(thrown instanceof Deno.errors.NotFound || thrown instanceof Deno.errors.NotADirectory);
  }
}

/**
 * Runs what reads a model's files; a file that is missing in a snapshot of the cache is one that was not downloaded.
 *
 * @param dir The model's directory.
 * @throws {InputError} with the command that completes the snapshot, where that would help.
 */
export function orIncomplete<T>(dir: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    throw incomplete(dir, thrown);
  }
}

/** An error about a file that a snapshot lacks with the command that completes it; any other as it is. */
export function incomplete(dir: string, thrown: unknown): unknown {
  if (!(thrown instanceof InputError) || thrown.code !== "missing") return thrown;
  const { file, tensor, key } = thrown.subject, snapshot = snapshotAt(dir);
  if (snapshot === null || tensor !== undefined || key !== undefined || !file?.startsWith(dir)) return thrown;
  const problem = `${thrown.complaint()}; the snapshot is incomplete, complete it by: ${completingCommand(snapshot)}`;
  return InputError.saying("missing", thrown.subject, problem);
}
