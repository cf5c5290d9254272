/**
 * Vocabulary and merges of a large tokenizer.json, read by the WASM kernels (wasm/ABI.md): the same arrays as those of
 * tokenizer_scan.ts, pieces.ts and merges.ts, sooner (bench/tokenizer.ts).
 */
import { compileKernels, type Kernel, Workplace } from "../wasm.ts";
import type { MergeLists } from "./merges.ts";
import { type PackedPieces, tablePlaces } from "./pieces.ts";
import { type MemberReader, MOST_ID, MOST_MERGES, type Scan } from "./scanned.ts";
import { scanTokenizer } from "./tokenizer_scan.ts";

/** Files that are as small are read by the script before the kernels are compiled. */
const SMALL = 2 << 20;

/**
 * Bytes of the file that lie in the kernels' memory at once: few, so that they stay in a cache, and that the kernels
 * are called often, as V8 compiles well what it has seen called.
 */
const WINDOW = 256 << 10;
/** Bytes beyond the window that are read. */
const BEYOND = 16;
const SCRATCH_BYTES = 16384, DESCRIPTOR_WORDS = 16, STATE_WORDS = 4;

/** Why a kernel stopped: at the window's end, or where the list ends. */
const MORE = 0, CLOSED = 1;

const OPEN_BRACE = 0x7b, OPEN_BRACKET = 0x5b;

/** Who reads vocabulary and merges of a file, one after the other. */
export async function scansFor(file: Uint8Array): Promise<readonly Scan[]> {
  return file.length < SMALL ? [scanTokenizer] : [kernelScan(await compileKernels()), scanTokenizer];
}

/**
 * What reads them by the kernels.
 *
 * @param windowBytes For tests: bytes of the file that are read at once.
 */
export function kernelScan(module: WebAssembly.Module, windowBytes = WINDOW): Scan {
  return (file) => {
    let lists: Lists;
    try {
      lists = new Lists(module, file, windowBytes);
    } catch (thrown) {
      // No room for the memory where a limit is set on addresses.
      if (thrown instanceof RangeError) return null;
      throw thrown;
    }
    return scanTokenizer(file, { vocabulary: lists.vocabulary, merges: lists.merges });
  };
}

/** Where what the kernels read and write lies. */
function addressesIn(workplace: Workplace, fileBytes: number, windowBytes: number) {
  const integers = (count: number) => workplace.take(4 * count);
  return {
    descriptor: integers(DESCRIPTOR_WORDS),
    state: integers(STATE_WORDS),
    scratch: workplace.take(SCRATCH_BYTES),
    window: workplace.take(windowBytes + BEYOND),
    packed: workplace.take(fileBytes),
    // Room for ids below the highest one that the script reads; that one is left to it.
    starts: integers(MOST_ID),
    ends: integers(MOST_ID),
    table: integers(tablePlaces(MOST_ID)),
    latest: integers(MOST_ID),
    earlier: integers(MOST_MERGES),
    lefts: integers(MOST_MERGES),
    results: integers(MOST_MERGES),
  };
}

type Addresses = Readonly<ReturnType<typeof addressesIn>>;

/** The kernels over a memory with room for what they make of one file. */
class Lists {
  readonly #file: Uint8Array;
  readonly #memory: WebAssembly.Memory;
  readonly #kernel: (name: string) => Kernel;
  readonly #windowBytes: number;
  readonly #at: Addresses;
  /** One more than the highest id, once the vocabulary was read. */
  #count = 0;

  constructor(module: WebAssembly.Module, file: Uint8Array, windowBytes: number) {
    const workplace = new Workplace(module);
    this.#file = file;
    this.#windowBytes = windowBytes;
    this.#at = addressesIn(workplace, file.length, windowBytes);
    ({ memory: this.#memory, kernel: this.#kernel } = workplace.open());
  }

  readonly vocabulary: MemberReader<PackedPieces> = (from) => {
    if (this.#file[from] !== OPEN_BRACE) return null;
    const { window, packed, starts, ends, table, state } = this.#at;
    const words = [window, packed, this.#file.length, starts, ends, MOST_ID, state];
    const read = this.#read("tokenizer_vocabulary", words, from + 1, [0, 0]);
    if (read === null) return null;
    const [length, count] = read.left;
    const places = tablePlaces(count), twice = this.#integers(state, 1);
    this.#integers(table, places).fill(-1);
    twice[0] = 0;
    this.#run("tokenizer_table", [packed, starts, ends, table, places - 1, state], count);
    if (twice[0] !== 0) return null;
    this.#count = count;
    const value = {
      bytes: new Uint8Array(this.#memory.buffer, packed, length).slice(),
      starts: this.#copy(starts, count),
      ends: this.#copy(ends, count),
      table: this.#copy(table, places),
    };
    return { value, to: read.to };
  };

  readonly merges: MemberReader<MergeLists> = (from) => {
    const file = this.#file, count = this.#count;
    let first = from + 1;
    while (file[first]! <= 0x20) first++;
    // Without a vocabulary it is not known what is joined.
    if (file[from] !== OPEN_BRACKET || count === 0) return null;
    const { window, packed, starts, ends, table, state, latest, earlier, lefts, results } = this.#at;
    this.#integers(latest, count).fill(-1);
    const pairs = Number(file[first] === OPEN_BRACKET);
    const entries = [packed, starts, ends, table, tablePlaces(count) - 1, count];
    const lists = [latest, earlier, lefts, results, MOST_MERGES];
    const read = this.#read("tokenizer_merges", [...entries, window, pairs, ...lists, state], first, [0, -1]);
    if (read === null) return null;
    const [merges] = read.left;
    const value = {
      latest: this.#copy(latest, count),
      earlier: this.#copy(earlier, merges),
      lefts: this.#copy(lefts, merges),
      results: this.#copy(results, merges),
    };
    return { value, to: read.to };
  };

  /**
   * Runs a kernel that reads the file, window by window.
   *
   * @param from Where in the file it begins.
   * @param begin What its state is at first beside the place.
   * @returns What is left of that, and where the list ends; null where it is not written as expected.
   */
  #read(
    name: string,
    words: readonly number[],
    from: number,
    begin: readonly [number, number],
  ): { readonly left: readonly [number, number]; readonly to: number } | null {
    const { state: address, window } = this.#at, state = this.#integers(address, STATE_WORDS);
    const target = new Uint8Array(this.#memory.buffer, window, this.#windowBytes);
    state.set([0, ...begin, MORE]);
    for (let at = from; at < this.#file.length;) {
      const bytes = this.#file.subarray(at, at + this.#windowBytes);
      target.set(bytes);
      state[0] = 0;
      this.#run(name, words, bytes.length);
      const read = state[0]!, why = state[3];
      at += read;
      if (why === CLOSED) return { left: [state[1]!, state[2]!], to: at };
      // Not one entry in a whole window, or something else.
      if (why !== MORE || read === 0) return null;
    }
    return null;
  }

  #run(name: string, words: readonly number[], units: number): void {
    const { descriptor, scratch } = this.#at;
    this.#integers(descriptor, words.length).set(words);
    this.#kernel(name)(descriptor, 0, units, scratch);
  }

  #integers(address: number, count: number): Int32Array {
    return new Int32Array(this.#memory.buffer, address, count);
  }

  #copy(address: number, count: number): Int32Array {
    return this.#integers(address, count).slice();
  }
}
