/** What a directory keeps of a run, for an estimate of what is left of it: entries are counted, not read. */
import { refuseSpecial } from "../../checkpoint/atomic.ts";
import { InputError, reason } from "../../errors.ts";
import { firstDifference } from "../../eval/journal.ts";
import { attemptsAt, type Others, type ShardDirectory, shardDirectory, shardsIn } from "../../eval/shards/attempts.ts";
import type { Shard } from "../../eval/shards/division.ts";
import { isObject } from "../../json_object.ts";
import { option, words } from "../../words.ts";
import { note } from "../terminal.ts";

/** What a run's own journal would belong to, and which fields of that an estimate leaves out. */
export interface Own {
  readonly header: unknown;
  readonly unknown: readonly Unknown[];
}

/** Hashes that an estimate does not make: of weights, and of formats whose scales it does not measure. */
export type Unknown = "weights_sha256" | "formats_sha256";

/** What a journal has. */
export interface KeptEntries {
  /** Numbers of the entries that are whole and that the run can take up. */
  readonly indices: ReadonlySet<number>;
  /** What it belongs to instead, in words, if that is something else. */
  readonly other: string | null;
}

const NONE: KeptEntries = { indices: new Set(), other: null };

/**
 * What is kept in a journal; nothing where there is no such file.
 *
 * @throws {InputError} where something else than a file is there, which no run writes to.
 */
export function keptEntries(path: string, { header, unknown }: Own): KeptEntries {
  if (refuseSpecial(path) === null) return NONE;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) note(`warning: ${path} is not counted: ${reason(thrown)}`);
    return NONE;
  }
  const end = text.indexOf("\n");
  // A first line without its end was being written.
  if (end < 0) return NONE;
  const other = difference(text.slice(0, end), header, unknown);
  if (other !== null) return { ...NONE, other };
  // Entries begin with their number; the first line has none, and a last one without its end is cut off.
  const indices = Array.from(text.matchAll(/^\{"index":(\d+)[,}].*\n/gm), ([, index]) => Number(index));
  return { indices: new Set(indices), other: null };
}

/** In what a journal's first line differs from a run's own, but for what is not known. */
function difference(line: string, header: unknown, unknown: readonly Unknown[]): string | null {
  const left = [...unknown, "crc32"];
  try {
    return firstDifference(without(left, JSON.parse(line)), without(left, header));
  } catch {
    return "its first line is garbled";
  }
}

function without(names: readonly string[], value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([name]) => !names.includes(name)).map(([name, of]) => [name, without(names, of)]),
  );
}

/** Files that a run takes results of one name from. */
export interface Journals {
  /** Its own, which it goes on with. */
  readonly own: readonly string[];
  /** Those of parts, or of a run that is not divided. */
  readonly adopted: readonly string[];
}

/** Those of a run that keeps nothing. */
export const NO_JOURNALS: Journals = { own: [], adopted: [] };

/** The files of results of a name, for a whole run or for a part of it. */
export function journalsOf(out: string, shard: Shard | null, name: string): Journals {
  const begun = shardsIn(out), undivided = `${out}/${name}.jsonl`;
  const parts = (of: readonly ShardDirectory[]) => of.flatMap(({ dir }) => attemptsAt(dir, name));
  if (shard === null) return { own: [undivided], adopted: parts(begun) };
  const others = begun.filter((other) => other.shard.of !== shard.of);
  return { own: attemptsAt(shardDirectory(out, shard), name), adopted: [...parts(others), undivided] };
}

/** The files of scales of a name: parts have them in common, and a whole run its own. */
export function scalesOf(out: string, shard: Shard | null, name: string): Journals {
  return { own: shard === null ? [`${out}/${name}.jsonl`] : attemptsAt(out, name), adopted: [] };
}

/**
 * The numbers of the entries of some files.
 *
 * @param others What the run does where one of its own belongs to something else.
 * @throws {InputError} if there is such a one and it is refused.
 */
export function gathered({ own, adopted }: Journals, owner: Own, others: Others): ReadonlySet<number> {
  const all = new Set<number>(), add = (indices: Iterable<number>) => [...indices].forEach((index) => all.add(index));
  for (const path of own) {
    const { indices, other } = keptEntries(path, owner);
    if (other !== null && others === "refuse") {
      throw InputError.saying(
        "occupied",
        { file: path },
        words`was written with other settings (${other}); choose another ${option("out")}`,
      );
    }
    add(indices);
  }
  for (const path of adopted) add(keptEntries(path, owner).indices);
  return all;
}

/** The part of some indices that are not kept, 0 to 1. */
export function partLeft(kept: ReadonlySet<number>, indices: readonly number[]): number {
  if (indices.length === 0) return 0;
  return indices.filter((index) => !kept.has(index)).length / indices.length;
}
