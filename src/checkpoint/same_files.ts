/**
 * Whether processes of different hosts read the same model below one path: another one of the same shape would compute
 * fluent nonsense with the rest of the first. Whole files of 60 GB would take minutes to compare, so samples of every
 * part are: two checkpoints that were trained differently differ nearly everywhere. A byte that a disk lost is not
 * found this way.
 */
import { createHash } from "node:crypto";
import { isVirtual } from "../assets.ts";
import { pause } from "../breath.ts";
import { InputError } from "../errors.ts";
import { readable, readExactly } from "../read.ts";
import { isHeld, openStored, type StoredFile } from "../stored_files.ts";
import { isMade, linearsOf, type MatrixSource, type ModelSource, vectorsOf } from "./source.ts";

/** A file as a process knows it. */
export interface SampledFile {
  readonly path: string;
  /** Its size. */
  readonly bytes: number;
  /** Where samples of {@linkcode SAMPLE_BYTES} or what the file has left begin, ascending. */
  readonly places: readonly number[];
  /** Of the samples, one after the other, in hexadecimal. */
  readonly sha256: string;
}

/** One page of a disk, which costs no more than a byte of it. */
const SAMPLE_BYTES = 4096;
/** Most samples of a file: some hundred of 15 files take a second from a network's disk. */
const MOST_SAMPLES = 256;

/**
 * Samples the files of a model: their beginnings, which hold names and shapes, and the middle of each matrix and
 * vector, or of as many, evenly chosen.
 *
 * @throws {InputError} if a file cannot be read.
 */
export function sampleFiles(source: ModelSource): SampledFile[] {
  const places = middlesOf(source);
  return source.files.flatMap((file, i) => {
    // What the program brings along goes by its version; what is made, by what it is made from.
    const { path, bytes } = file;
    if (isMade(file) || isVirtual(path) || isHeld(path)) return [];
    const all = [...places.get(i) ?? []].sort((a, b) => a - b), count = Math.min(all.length, MOST_SAMPLES - 1);
    const chosen = [0, ...Array.from({ length: count }, (_, k) => all[Math.floor(k * all.length / count)]!)];
    return [{ path, bytes, places: chosen, sha256: readable(path, () => digestOf(path, bytes, chosen)) }];
  });
}

/**
 * Refuses files that are not the sampled ones.
 *
 * @param who Whose files these are, for the message.
 * @throws {InputError} naming the first that is missing, unreadable or another.
 */
export async function refuseOthers(files: readonly SampledFile[], who: string): Promise<void> {
  for (const { path, bytes, places, sha256 } of files) {
    // A slow disk is not to keep the process from saying that it is there.
    await pause();
    const refuse = (got: string) => InputError.of("contradiction", { file: path }, "the same file for all ranks", got);
    const other = `another one for ${who}`;
    const size = sizeOf(path);
    if (size === null) throw refuse(`none that can be read for ${who}`);
    if (size !== bytes) throw refuse(`${other}: ${size} bytes, where rank 0 has ${bytes}`);
    if (readable(path, () => digestOf(path, bytes, places)) !== sha256) throw refuse(`${other}: its contents differ`);
  }
}

function sizeOf(path: string): number | null {
  try {
    using file = openStored(path);
    return file.statSync().size;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    return null;
  }
}

function digestOf(path: string, bytes: number, places: readonly number[]): string {
  using file: StoredFile = openStored(path);
  const digest = createHash("sha256");
  for (const place of places) digest.update(readExactly(file, path, place, Math.min(SAMPLE_BYTES, bytes - place)));
  return digest.digest("hex");
}

/** By file: the middle of everything that lies there. */
function middlesOf({ files, tree }: ModelSource): Map<number, Set<number>> {
  const places = new Map<number, Set<number>>();
  const add = (file: number, place: number) => places.set(file, (places.get(file) ?? new Set()).add(Math.floor(place)));
  const matrix = ({ file, offset, rows, cols, transposed, rowStride, scale }: MatrixSource) => {
    const stored = transposed ? cols : rows;
    add(file, offset + Math.floor(stored / 2) * rowStride);
    if (scale.kind === "e8m0") add(scale.file, scale.offset + Math.floor(rows / 2) * scale.rowStride);
  };
  const linears = [...tree.layers.flatMap(linearsOf), tree.head];
  for (const one of [tree.embedding, ...linears.map(({ weight }) => weight)]) matrix(one);
  for (const { made } of files) if (made !== undefined) matrix(made.from);
  for (const vector of [...tree.layers.flatMap(vectorsOf), tree.norm, ...linears.flatMap(({ bias }) => bias ?? [])]) {
    add(vector.file, vector.offset);
  }
  return places;
}
