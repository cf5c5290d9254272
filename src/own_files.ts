/**
 * The program's own data at run time. In a checkout, a bundle or a binary they are files; fetched by https they cannot
 * be read, and are imported instead: `tools/jsr.ts` writes them as JSON modules, each with the files that are needed
 * together.
 */
import { brotliDecompressSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { asset, FETCHED } from "./assets.ts";
import { FailureError, reason } from "./errors.ts";
import { hold } from "./stored_files.ts";

/** Files that are imported together, by name. */
export type PackName = "model" | "kernels" | "kernels_cuda" | "kernels_hip" | "goldens";

/** Several files as one module. */
export interface Pack {
  /** Bytes of each, by its path in the repository, in the order in which they stand in `bytes`. */
  readonly files: Readonly<Record<string, number>>;
  /** All of them, one after the other, compressed by brotli, in base64. */
  readonly bytes: string;
  /**
   * Whether bytes at even places were put before those at odd ones: sign and exponent of bf16 numbers compress better
   * where nothing of the fractions lies between them.
   */
  readonly halved: boolean;
}

/** Where the model that comes with the program lies, in the repository. */
export const OWN_MODEL = "models/tiny-gpt-oss";

/** Path of one of the program's own data files or directories, for what opens files: {@linkcode fetchOwn} first. */
export function ownPath(path: string): string {
  return FETCHED ? asset(path).href : fileURLToPath(asset(path));
}

const fetched = new Map<PackName, Promise<void>>();

/**
 * Makes data files ready to be opened: of a program that is fetched by https they are imported now, by each thread that
 * opens them, and kept by Deno like any script. Otherwise nothing is done.
 *
 * @throws {FailureError} where the package lacks them.
 */
export async function fetchOwn(...names: readonly PackName[]): Promise<void> {
  if (!FETCHED) return;
  for (const name of names) {
    let done = fetched.get(name);
    if (done === undefined) fetched.set(name, done = importPack(name));
    await done;
  }
}

/** The same of the program's own model, where files of it are among these: what a thread was sent to open. */
export async function fetchOwnOf(files: readonly { readonly path: string }[]): Promise<void> {
  if (FETCHED && files.some(({ path }) => path.startsWith(ownPath(OWN_MODEL)))) await fetchOwn("model");
}

async function importPack(name: PackName): Promise<void> {
  let pack: Pack;
  try {
    // An address that Deno cannot see beforehand: what it sees it fetches at every start, whether or not it is needed.
    pack = (await import(asset(`packs/${name}.json`).href, { with: { type: "json" } })).default as Pack;
  } catch (thrown) {
    throw new FailureError(`the package that was fetched lacks its data (${name}): ${reason(thrown)}`);
  }
  for (const [path, bytes] of unpack(pack)) hold(ownPath(path), bytes);
}

/** The files of a pack, by their paths. */
export function* unpack({ files, bytes, halved }: Pack): Generator<[path: string, bytes: Uint8Array<ArrayBuffer>]> {
  const plain: Uint8Array = brotliDecompressSync(Uint8Array.fromBase64(bytes)),
    whole = halved ? fromHalves(plain) : plain;
  let at = 0;
  for (const [path, length] of Object.entries(files)) {
    yield [path, new Uint8Array(whole.buffer as ArrayBuffer, whole.byteOffset + at, length)];
    at += length;
  }
}

/** Bytes at even places first, then the others. */
export function halves(whole: Uint8Array): Uint8Array {
  const result = new Uint8Array(whole.length), evens = Math.ceil(whole.length / 2);
  for (let i = 0; i < evens; i++) result[i] = whole[2 * i]!;
  for (let i = evens; i < whole.length; i++) result[i] = whole[2 * (i - evens) + 1]!;
  return result;
}

/** Undoes {@linkcode halves}. */
export function fromHalves(parted: Uint8Array): Uint8Array {
  const result = new Uint8Array(parted.length), evens = Math.ceil(parted.length / 2);
  for (let i = 0; i < evens; i++) result[2 * i] = parted[i]!;
  for (let i = evens; i < parted.length; i++) result[2 * (i - evens) + 1] = parted[i]!;
  return result;
}
