/** Repositories in a Hugging Face cache: `models--org--name/refs/<revision>` names a commit, `snapshots` has it. */
import { joined } from "../../paths.ts";
import { InputError } from "../../errors.ts";
import { printable } from "../../describe.ts";
import { readable } from "../../read.ts";

/** A model by its name on the Hub. */
export interface RepositoryName {
  /** `org/name`, or `name` alone. */
  readonly repository: string;
  /** A branch, a tag, `refs/pr/N` or a commit; null where none was named, which stands for `main`. */
  readonly revision: string | null;
}

/** The revision that is meant where none is named. */
export const MAIN = "main";

/** What huggingface_hub takes for the name of a repository (`validate_repo_id`). */
const REPOSITORY = /^(?:\b[\w\-.]{1,96}\b\/)?\b[\w\-.]{1,96}\b$/;
/** What git takes for a branch or a tag, by and large, and nothing that would leave the folder of refs. */
const REVISION = /^(?!.*\.\.)[^\s~^:?*[\\\p{C}@/.][^\s~^:?*[\\\p{C}]*$/u;
/** A commit, which is looked for among the snapshots and not among the refs. */
const COMMIT = /^[0-9a-f]{40}$/;
/** A directory beside others: what a ref may hold. */
const PLAIN_NAME = /^\w[\w.-]*$/;
/** A repository's folder in a cache. */
const FOLDER = /^models--(.+)$/;
/** Bytes of a ref that are read. */
const MAX_REF_BYTES = 256;

/** Reads `org/name`, `org/name@revision` or `name`; null where a text can be no such name. */
export function repositoryName(text: string): RepositoryName | null {
  const [repository, revision] = splitRevision(text);
  if (!REPOSITORY.test(repository) || /--|\.\./.test(repository) || repository.endsWith(".git")) return null;
  return revision === null || REVISION.test(revision) ? { repository, revision } : null;
}

/** What stands before the first `@`, and after it. */
export function splitRevision(text: string): [text: string, revision: string | null] {
  const at = text.indexOf("@");
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

/** The folder of a repository in a cache. */
export function repositoryFolder(cache: string, repository: string): string {
  return joined(cache, `models--${repository.replaceAll("/", "--")}`);
}

/** The repository whose folder has this name or path; null for other folders. */
export function repositoryOf(folder: string): string | null {
  const name = /([^/\\]+)[/\\]*$/.exec(folder)?.[1] ?? "";
  return FOLDER.exec(name)?.[1]?.replaceAll("--", "/") ?? null;
}

/** A snapshot of a repository: all of its files at one commit, or those that were downloaded. */
export interface Snapshot {
  readonly repository: string;
  readonly commit: string;
  /** The repository's folder. */
  readonly folder: string;
}

/** The snapshot that a directory is, by its path alone; null for any other directory. */
export function snapshotOf(dir: string): Snapshot | null {
  const [, folder, commit] = /^(.*)[/\\]snapshots[/\\]([^/\\]+)[/\\]*$/.exec(dir) ?? [];
  const repository = folder === undefined ? null : repositoryOf(folder);
  return repository === null ? null : { repository, commit: commit!, folder: folder! };
}

/** The same of a directory that is there, wherever links lead. */
export function snapshotAt(dir: string): Snapshot | null {
  try {
    return snapshotOf(Deno.realPathSync(dir));
  } catch {
    return null;
  }
}

/** `org/name@commit` of a snapshot's directory; null for any other. */
export function snapshotName(dir: string): string | null {
  const found = snapshotAt(dir);
  return found === null ? null : `${found.repository}@${found.commit}`;
}

/** The command that downloads a model, or the rest of it. */
export function downloadCommand({ repository, revision }: RepositoryName): string {
  return `hf download ${repository}${revision === null || revision === MAIN ? "" : ` --revision ${revision}`}`;
}

/** The command that completes a snapshot. */
export function completingCommand({ repository, commit, folder }: Snapshot): string {
  const main = commitOf(folder, MAIN);
  return downloadCommand({ repository, revision: main === commit ? null : commit });
}

/**
 * Directory of the snapshot that a revision names.
 *
 * @param folder The repository's folder, which is there.
 * @param name What messages name, and what a download would be asked for.
 * @throws {InputError} naming the folder and the download, where the revision or its snapshot is not there.
 */
export function snapshotDirectory(folder: string, name: RepositoryName): string {
  const revision = name.revision ?? MAIN, subject = { file: folder };
  const commit = COMMIT.test(revision) ? revision : commitOf(folder, revision);
  // As huggingface_hub's try_to_load_from_cache has it: what is no ref may be a snapshot.
  const dir = `${folder}/snapshots/${commit ?? revision}`;
  if (PLAIN_NAME.test(commit ?? revision) && isDirectory(dir)) return dir;
  const download = `to download it: ${downloadCommand(name)}`;
  if (commit !== null && commit !== revision) {
    const problem = `revision ${revision} is ${printable(commit)}, whose snapshot is not there; ${download}`;
    throw InputError.saying("missing", subject, problem);
  }
  const there = [...refsOf(folder).keys()].slice(0, 5).join(", ");
  const others = there === "" ? "" : ` (there are: ${printable(there)})`;
  throw InputError.saying("missing", subject, `no revision ${revision}${others}; ${download}`);
}

/** The commit that a ref names; null where there is no such ref. */
function commitOf(folder: string, revision: string): string | null {
  const path = `${folder}/refs/${revision}`;
  if (!isFile(path)) return null;
  return readable(path, () => {
    const { size } = Deno.statSync(path);
    if (size > MAX_REF_BYTES) throw InputError.of("too_large", { file: path }, "a commit", `${size} bytes`);
    return Deno.readTextFileSync(path).trim();
  });
}

/** Commits by revision, in the order of the revisions. */
export function refsOf(folder: string, below = ""): Map<string, string> {
  const refs = new Map<string, string>();
  for (const { name, isDirectory } of entriesOf(`${folder}/refs/${below}`)) {
    if (name.startsWith(".")) continue;
    if (isDirectory) refsOf(folder, `${below}${name}/`).forEach((commit, ref) => refs.set(ref, commit));
    else refs.set(`${below}${name}`, commitOf(folder, `${below}${name}`) ?? "");
  }
  return refs;
}

/** Commits of all snapshots of a repository, in their order. */
export function commitsOf(folder: string): string[] {
  return entriesOf(`${folder}/snapshots`).filter((entry) => entry.isDirectory && PLAIN_NAME.test(entry.name))
    .map(({ name }) => name);
}

/** Entries of a directory by name; none where it is not there. */
function entriesOf(dir: string): Deno.DirEntry[] {
  if (!isDirectory(dir)) return [];
  return readable(dir, () => [...Deno.readDirSync(dir)]).sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Whether a path, links followed, is a directory. */
export function isDirectory(path: string): boolean {
  return lookAt(path)?.isDirectory ?? false;
}

function isFile(path: string): boolean {
  return lookAt(path)?.isFile ?? false;
}

/** What a path leads to, links followed; null where it leads nowhere, or through something that is no directory. */
function lookAt(path: string): Deno.FileInfo | null {
  return readable(path, () => {
    try {
      return Deno.statSync(path);
    } catch (thrown) {
      if (thrown instanceof Deno.errors.NotFound || thrown instanceof Deno.errors.NotADirectory) return null;
      throw thrown;
    }
  });
}
