/** What `mxoss list` finds in a cache and in directories. */
import { joined } from "../paths.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { quantizedBefore } from "../checkpoint/conversions.ts";
import { commitsOf, isDirectory, MAIN, refsOf, repositoryOf } from "../checkpoint/hub/repository.ts";
import { weightBytes } from "../checkpoint/weight_bytes.ts";
import { InputError } from "../errors.ts";
import { readable } from "../read.ts";
import { foreignFile, foreignNames } from "../foreign.ts";
import { Costs } from "../model/work.ts";
import { DEFAULTS, planSetting } from "../session/setting.ts";
import { COMMAND_LINE } from "./spelling.ts";

/** A model that was found, or what lies in its place. */
export interface Listed {
  /** What `--model` takes: a name of the cache, or a path. */
  readonly name: string;
  readonly path: string;
  /** Of a repository in a cache. */
  readonly repository: string | null;
  readonly commit: string | null;
  /** Revisions that name the commit. */
  readonly refs: readonly string[];
  readonly layout: string | null;
  readonly scheme: string | null;
  /** Formats that `mxoss quantize` had found weights in, which were no longer the trained ones; the first one first. */
  readonly quantized_before: readonly string[] | null;
  /** Weights with their scales, as they are stored. */
  readonly weight_bytes: number | null;
  /** Keys and values of a conversation. */
  readonly cache_bytes: number | null;
  /** All files, also those that are not read. */
  readonly file_bytes: number;
  /** Why it cannot be run: another model, files of another tool, a part that is missing. */
  readonly problem: string | null;
}

/** What is not known of a model that cannot be opened. */
const UNKNOWN = { layout: null, scheme: null, quantized_before: null, weight_bytes: null, cache_bytes: null } as const;
/** Tokens of a conversation that memory has to hold. */
const CONTEXT = 4096;
/** How deep directories are looked into: DIR/org/name. */
const DEPTH = 2;

/** The snapshots of all models in a cache. */
export function listHub(cache: string): Listed[] {
  return orProblem(cache, () =>
    isDirectory(cache)
      ? names(cache).flatMap((entry) => {
        const folder = joined(cache, entry), repository = repositoryOf(entry);
        return repository === null ? [] : orProblem(folder, () => listRepository(folder, repository));
      })
      : []);
}

/** What was found in a directory, or the directory itself with why it cannot be looked into: others still can. */
function orProblem(dir: string, find: () => Listed[]): Listed[] {
  try {
    return find();
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    const place = { name: dir, path: dir, repository: null, commit: null, refs: [] };
    return [{ ...place, ...UNKNOWN, file_bytes: fileBytes(dir), problem: problemOf(dir, thrown) }];
  }
}

function listRepository(folder: string, repository: string): Listed[] {
  const refs = [...refsOf(folder)], commits = commitsOf(folder);
  return commits.map((commit) => {
    const own = refs.filter(([, named]) => named === commit).map(([ref]) => ref);
    const revision = own.includes(MAIN) ? "" : `@${own[0] ?? commit}`;
    const place = { name: `${repository}${revision}`, path: `${folder}/snapshots/${commit}` };
    return look({ ...place, repository, commit, refs: own });
  });
}

/** The checkpoints in a directory, or the one that it is; caches and other tools' files among them. */
export const listDirectory = (dir: string): Listed[] => orProblem(dir, () => inDirectory(dir));

function inDirectory(dir: string): Listed[] {
  if (!isDirectory(dir)) return [look({ name: dir, path: dir, repository: null, commit: null, refs: [] })];
  const root = dir.replace(/(?<=.)[/\\]+$/, ""), found = below(root, DEPTH);
  return found.length > 0 ? found : [look({ name: root, path: root, repository: null, commit: null, refs: [] })];
}

function below(dir: string, depth: number): Listed[] {
  return orProblem(dir, () => belowOf(dir, depth));
}

function belowOf(dir: string, depth: number): Listed[] {
  const entries = names(dir), repository = repositoryOf(dir);
  if (repository !== null && entries.includes("snapshots")) {
    return listRepository(dir, repository).map((listed) => ({ ...listed, name: `${dir}@${listed.commit}` }));
  }
  const caches = entries.filter((name) => repositoryOf(name) !== null);
  const itself = (): Listed[] => [look({ name: dir, path: dir, repository: null, commit: null, refs: [] })];
  if (caches.length === 0 && entries.includes("config.json")) return itself();
  const files = entries.filter((name) => /\.(?:gguf|safetensors)$/i.test(name));
  const own = caches.length === 0 && (files.length > 0 || foreignNames(entries) !== null) ? itself() : [];
  if (depth === 0 || own[0]?.problem === null) return own;
  // Of an entry that cannot be looked at, such as a link to itself, only its own row says so.
  const further = entries.filter((name) => !name.startsWith(".")).map((name) => joined(dir, name))
    .flatMap((path) => orProblem(path, () => isDirectory(path) ? below(path, depth - 1) : []));
  // A file that has nothing to do with them, such as what mxoss logits writes, may lie beside folders of checkpoints.
  const models = further.filter(({ problem }) => problem === null);
  if (own.length === 0) return further;
  // What has a row of its own is not counted a second time.
  return models.length === 0 ? own : [...own.map((row) => ({ ...row, file_bytes: bytesBeside(dir) })), ...models];
}

type Place = Pick<Listed, "name" | "path" | "repository" | "commit" | "refs">;

/** Opens a model as `mxoss inspect` does. */
function look(place: Place): Listed {
  const files = { file_bytes: fileBytes(place.path) };
  try {
    const checkpoint = openCheckpoint(place.path, { checkScales: false });
    const { promptChunk, planned: { plan, source } } = planSetting({ checkpoint, ...DEFAULTS });
    const costs = new Costs(checkpoint.config, source, plan.kvFormat);
    return {
      ...place,
      layout: checkpoint.layout,
      scheme: plan.scheme,
      quantized_before: quantizedBefore(checkpoint.conversions),
      weight_bytes: weightBytes(source),
      cache_bytes: costs.cacheBytes(1, Math.min(CONTEXT, checkpoint.config.maxPositions), promptChunk),
      ...files,
      problem: null,
    };
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    return { ...place, ...UNKNOWN, ...files, problem: problemOf(place.path, thrown) };
  }
}

/** Why it cannot be run, without the path that the row begins with. */
function problemOf(path: string, thrown: InputError): string {
  return foreignFile(path) ?? thrown.line(COMMAND_LINE).replaceAll(`${path}/`, "").replaceAll(`${path}: `, "");
}

/**
 * Bytes of all files of a model, in its directory and in folders of it. Links to files are followed, as those of a
 * cache are; what cannot be looked at counts for nothing.
 */
function fileBytes(path: string, depth = DEPTH): number {
  try {
    const { isFile, isDirectory, size } = Deno.statSync(path);
    if (isFile) return size;
    if (!isDirectory || depth < 0 || (depth < DEPTH && Deno.lstatSync(path).isSymlink)) return 0;
    return names(path).reduce((sum, name) => sum + fileBytes(joined(path, name), depth - 1), 0);
  } catch {
    return 0;
  }
}

/** Bytes of the files in a directory, without those in folders of it. */
function bytesBeside(dir: string): number {
  return names(dir).reduce((sum, name) => sum + fileBytes(joined(dir, name), -1), 0);
}

/** Names in a directory, in their order. */
function names(dir: string): string[] {
  return readable(dir, () => [...Deno.readDirSync(dir)]).map(({ name }) => name).sort();
}
