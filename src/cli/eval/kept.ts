/** What a directory keeps of a run, for an estimate of what is left of it: entries are counted, not read. */
import { refuseSpecial } from "../../checkpoint/atomic.ts";
import { InputError, reason } from "../../errors.ts";
import { firstDifference } from "../../eval/journal.ts";
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

/**
 * The numbers of the entries of a journal that the run would refuse if it were not its own.
 *
 * @throws {InputError} if it belongs to something else.
 */
export function ownEntries(path: string, own: Own): ReadonlySet<number> {
  const { indices, other } = keptEntries(path, own);
  if (other === null) return indices;
  throw InputError.saying(
    "occupied",
    { file: path },
    words`was written with other settings (${other}); choose another ${option("out")}`,
  );
}

/** The part of some indices that are not kept, 0 to 1. */
export function partLeft(kept: ReadonlySet<number>, indices: readonly number[]): number {
  if (indices.length === 0) return 0;
  return indices.filter((index) => !kept.has(index)).length / indices.length;
}
