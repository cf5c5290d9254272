/**
 * Reads planned file ranges into WASM memories, by one thread or by all that will compute with them.
 *
 * The system gives a page to the thread that writes to it first, from the memory that is nearest to that thread's core.
 * Weights that one thread has read lie beside one socket of a machine that has two, and all others wait for that one's
 * memory. So threads take pieces as they become free, and pages come to lie beside all of them.
 */
import type { SourceFile } from "../../checkpoint/source.ts";
import type { MadeFiles } from "../../conversion/made_files.ts";
import { isHeld } from "../../stored_files.ts";
import { type Piece, PieceReader, piecesOf, type SharedFile, type Target } from "./pieces.ts";
import { bytesToLoad } from "./plan.ts";

/** Bytes by which reading is shared out. */
interface Sizes {
  /** Most that a thread reads before it looks for another piece. */
  readonly piece: number;
  /** For each thread from which on one more is worth its start. */
  readonly worthAThread: number;
}

/** Looking costs nothing beside 4 MiB; a start keeps the thread that makes it for 20 ms, in which it could read 64. */
const SIZES: Sizes = { piece: 4 << 20, worthAThread: 64 << 20 };

/** What threads read together, for a message to each of them. */
export interface SharedReading {
  readonly files: readonly SharedFile[];
  /** Float64: {@linkcode FIELDS} numbers of each piece. */
  readonly pieces: SharedArrayBuffer;
  /** Int32: see {@linkcode NEXT}. */
  readonly state: SharedArrayBuffer;
}

/** Words of a shared piece. */
const FIELDS = 7;
/**
 * Int32 indices into the state, those that threads change on cache lines of their own: the first piece that nobody has
 * taken, pieces that were read, pieces that are left to the driver, and a word of each piece, 1 where it is left.
 */
const NEXT = 0, READ = 32, LEFT = 64, WHICH = 96;

/** The driving side of a reading. */
export class Reading {
  readonly #files: readonly SourceFile[];
  readonly #targets: readonly Target[];
  readonly #pieces: readonly Piece[];
  readonly #total: number;
  readonly #shared: SharedReading;
  readonly #sizes: Sizes;
  #over = false;

  /**
   * Plans the reading of all targets.
   *
   * @param sizes For tests.
   */
  constructor(files: readonly SourceFile[], targets: readonly Target[], sizes: Sizes = SIZES) {
    this.#files = files;
    this.#targets = targets;
    this.#pieces = piecesOf(targets, sizes.piece);
    this.#total = targets.reduce((sum, target) => sum + bytesToLoad(target), 0);
    this.#shared = share(files, this.#pieces);
    this.#sizes = sizes;
  }

  /**
   * For the other threads; null where they have nothing to do, or would not find the files: some are held in this
   * thread's memory.
   */
  get shared(): SharedReading | null {
    const alone = this.#over || this.#total <= this.#sizes.worthAThread || this.#files.some(({ path }) => isHeld(path));
    return alone ? null : this.#shared;
  }

  /**
   * Reads everything, together with all threads that were sent {@linkcode shared} and those that are started now.
   *
   * @param made Makes the files that are made; null where there are none.
   * @throws {InputError} when a file ends early: it changed since it was checked.
   */
  run(made: MadeFiles | null = null, crew: Crew = ALONE, onProgress?: (done: number, total: number) => void): void {
    const state = new Int32Array(this.#shared.state), pieces = this.#pieces, all = pieces.length;
    const total = this.#total, { worthAThread } = this.#sizes;
    const read = () => Atomics.load(state, READ), left = () => Atomics.load(state, LEFT);
    const progress = (done: number) => onProgress?.(done === all ? total : Math.floor(total * done / all), total);
    using reader = new PieceReader(this.#shared.files, this.#targets.map(({ view }) => view), made);
    try {
      for (let i = take(state, all), more = this.shared !== null; i < all; i = take(state, all)) {
        if (more && total * (all - i) / all > (crew.workers + 1) * worthAThread) more = crew.startOne();
        if (this.#shared.files[pieces[i]!.file]!.made) leave(state, i, pieces[i]!, reader);
        else {
          reader.read(pieces[i]!);
          Atomics.add(state, READ, 1);
        }
        progress(read());
      }
      for (let done = read(); done + left() < all; done = read()) {
        progress(done);
        Atomics.wait(state, READ, done, 20);
      }
      let done = read();
      pieces.forEach((piece, i) => {
        if (Atomics.load(state, WHICH + i) === 0) return;
        reader.read(piece);
        progress(++done);
      });
    } finally {
      // Where this thread failed the others need read no more.
      Atomics.store(state, NEXT, all);
      this.#over = true;
    }
  }
}

/** The other threads. */
interface Crew {
  readonly workers: number;
  /** Starts one more; false: all are started. */
  startOne(): boolean;
}

const ALONE: Crew = { workers: 0, startOne: () => false };

function share(files: readonly SourceFile[], pieces: readonly Piece[]): SharedReading {
  const words = new SharedArrayBuffer(8 * FIELDS * pieces.length);
  new Float64Array(words).set(
    pieces.flatMap((p) => [p.memory, p.file, p.offset, p.pieces, p.pieceBytes, p.stride, p.address]),
  );
  return {
    files: files.map((file) => ({
      path: file.path,
      bytes: file.bytes,
      random: file.random,
      made: file.made !== undefined,
    })),
    pieces: words,
    state: new SharedArrayBuffer(4 * (WHICH + pieces.length)),
  };
}

/** The next piece that nobody has taken; `count`: there is none. */
const take = (state: Int32Array, count: number): number =>
  Atomics.load(state, NEXT) < count ? Math.min(count, Atomics.add(state, NEXT, 1)) : count;

/** Leaves a piece to the driver, which gets its pages from here. */
function leave(state: Int32Array, index: number, piece: Piece, reader: PieceReader): void {
  reader.touch(piece);
  Atomics.store(state, WHICH + index, 1);
  Atomics.add(state, LEFT, 1);
}

/** What the other threads do: take pieces until none are left. What one cannot read the driver reads, and says why. */
export function readShared({ files, pieces, state: buffer }: SharedReading, memories: readonly WebAssembly.Memory[]) {
  const words = new Float64Array(pieces), state = new Int32Array(buffer), all = words.length / FIELDS;
  const views = memories.map(({ buffer }) => new Uint8Array(buffer));
  using reader = new PieceReader(files, views, null);
  for (let i = take(state, all); i < all; i = take(state, all)) {
    const [memory, file, offset, pieces, pieceBytes, stride, address] = words.subarray(
      FIELDS * i,
    ) as unknown as readonly [number, number, number, number, number, number, number];
    const piece: Piece = { memory, file, offset, pieces, pieceBytes, stride, address };
    if (files[file]!.made || !tries(() => reader.read(piece))) leave(state, i, piece, reader);
    else Atomics.add(state, READ, 1);
    Atomics.notify(state, READ);
  }
}

function tries(work: () => void): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}
