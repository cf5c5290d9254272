/**
 * Decoding and encoding of stored weights in the WASM kernels, which are many times as fast as src/formats and give the
 * same bytes (tests/wasm, tests/quantize).
 */
import { compileKernels, type Kernel, Workplace } from "../wasm.ts";
import { kindNumber, ruleNumber } from "../formats/input.ts";
import type { MatrixSource } from "../checkpoint/source.ts";
import { InputError } from "../errors.ts";
import { elementNumber, ELEMENTS } from "../formats/elements.ts";
import {
  BLOCK,
  blocksOf,
  bytesOf,
  MX_FORMAT,
  type MxElement,
  SCALE_NUMBER,
  STORED_FORMATS,
} from "../formats/format.ts";
import type { RangeReader } from "./range_reader.ts";

/**
 * Numbers that are decoded at once: an expert of the published models, so that a transposed one is read from end to
 * end.
 */
export const TILE = 1 << 24;

/** Words of the longest descriptor, rounded up. */
const DESCRIPTOR_WORDS = 16;

/** Rows of a matrix, dequantized. */
export interface Tile {
  /** Number of the first row, and how many there are. */
  readonly first: number;
  readonly rows: number;
  /** [rows, cols] float32, valid until the next tile. */
  readonly values: Float32Array;
}

/** MX blocks as they are stored; valid until the next call. */
export interface Encoded {
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
}

/** One instance of the kernels, with room for one tile. */
export class Codec {
  readonly #memory: WebAssembly.Memory;
  readonly #kernel: (name: string) => Kernel;
  readonly #descriptor: number;
  readonly #raw: number;
  readonly #rawScales: number;
  readonly #values: number;
  readonly #codes: number;
  readonly #scales: number;

  private constructor(module: WebAssembly.Module, matrices: readonly MatrixSource[]) {
    const workplace = new Workplace(module), take = (bytes: number) => workplace.take(bytes);
    const most = (size: (m: MatrixSource) => number) => matrices.reduce((sum, m) => Math.max(sum, size(m)), 0);
    const elements = most((m) => tileRows(m) * m.cols);
    this.#descriptor = take(4 * DESCRIPTOR_WORDS);
    this.#raw = take(most(rawBytes));
    this.#rawScales = take(most((m) => Math.max(4, blocksOf(m.cols)) * tileRows(m)));
    this.#values = take(4 * elements);
    this.#codes = take(2 * elements);
    this.#scales = take(blocksOf(elements));
    ({ memory: this.#memory, kernel: this.#kernel } = workplace.open());
  }

  /** @param matrices Those that will be decoded: they decide how much memory is taken. */
  static async open(matrices: readonly MatrixSource[]): Promise<Codec> {
    return new Codec(await compileKernels(), matrices);
  }

  /**
   * A matrix in natural order, tile by tile.
   *
   * @throws {InputError} for a number that is NaN or infinite: no format that is written has it.
   */
  *tiles(matrix: MatrixSource, reader: RangeReader): Generator<Tile> {
    const { rows, cols } = matrix, height = tileRows(matrix);
    for (let first = 0; first < rows; first += height) {
      const count = Math.min(height, rows - first);
      const rowStride = this.#readRows(matrix, reader, first, count);
      const { scale } = matrix;
      let scaleWord = 0, scaleStride = 0;
      if (scale.kind === "e8m0") {
        scaleWord = this.#rawScales;
        scaleStride = blocksOf(cols);
        const bytes = this.#bytes(scaleWord, count * scaleStride);
        reader.rows({ ...scale, offset: scale.offset + first * scale.rowStride, rowBytes: scaleStride }, count, bytes);
      } else if (scale.kind === "tensor") {
        scaleWord = new Uint32Array(Float32Array.of(scale.value).buffer)[0]!;
      } else if (scale.kind === "row") {
        scaleWord = this.#rawScales;
        new Float32Array(this.#memory.buffer, scaleWord, count).set(scale.values.subarray(first, first + count));
      }
      const record = [STORED_FORMATS[matrix.format].wasm, matrix.transposed ? 1 : 0, count, cols, this.#raw, rowStride];
      this.#run("decode", [this.#values, cols, ...record, scaleWord, scaleStride, SCALE_NUMBER[scale.kind]], count);
      const values = new Float32Array(this.#memory.buffer, this.#values, count * cols);
      refuseInfinite(values, matrix, first, reader);
      yield { first, rows: count, values };
    }
  }

  /** Encodes the current tile as MX blocks by the rule `even`; its columns must be whole blocks. */
  encodeMx({ values }: Tile, element: MxElement): Encoded {
    const blocks = values.length / BLOCK, input = { kind: "mx", element, rule: "even" } as const;
    this.#run(
      "encode_blocks",
      [this.#codes, this.#scales, this.#values, kindNumber(input), ruleNumber(input.rule)],
      blocks,
    );
    return {
      codes: this.#bytes(this.#codes, bytesOf(MX_FORMAT[element], values.length)),
      scales: this.#bytes(this.#scales, blocks),
    };
  }

  /**
   * Encodes the current tile as FP8 e4m3, which overwrites it.
   *
   * @param scaleOf Scale of a row of the matrix: what its numbers are divided by.
   */
  encodeFp8({ values, first, rows }: Tile, scaleOf: (row: number) => number): Uint8Array {
    const cols = values.length / rows;
    for (let row = 0; row < rows; row++) {
      const scale = scaleOf(first + row);
      for (let i = row * cols; i < (row + 1) * cols; i++) values[i] = values[i]! / scale;
    }
    this.#run("encode", [this.#codes, this.#values, elementNumber("e4m3fn")], values.length);
    return this.#bytes(this.#codes, values.length);
  }

  /** Encodes the current tile as bfloat16, nearest, ties to even. */
  encodeBf16({ values }: Tile): Uint8Array {
    const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const codes = new Uint16Array(this.#memory.buffer, this.#codes, values.length);
    // All are finite: no NaN's payload can carry into the sign.
    for (let i = 0; i < words.length; i++) {
      const bits = words[i]!;
      codes[i] = (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
    }
    return this.#bytes(this.#codes, 2 * values.length);
  }

  /** Reads rows as they are stored; gives the bytes between the starts of stored rows. */
  #readRows(matrix: MatrixSource, reader: RangeReader, first: number, count: number): number {
    const { format, transposed, cols, file, offset, rowBytes, rowStride } = matrix;
    // Of a transposed matrix, every stored row has a piece of each of these rows.
    const [lines, bytes, start] = transposed
      ? [cols, bytesOf(format, count), offset + bytesOf(format, first)]
      : [count, rowBytes, offset + first * rowStride];
    const into = this.#bytes(this.#raw, lines * bytes);
    reader.rows({ file, offset: start, rowBytes: bytes, rowStride }, lines, into);
    return bytes;
  }

  #bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, address, length);
  }

  #run(kernel: string, words: readonly number[], units: number): void {
    new Uint32Array(this.#memory.buffer, this.#descriptor, words.length).set(words);
    this.#kernel(kernel)(this.#descriptor, 0, units, 0);
  }
}

/** The largest number of FP8 e4m3. */
export const FP8_MAX = ELEMENTS.e4m3fn.max;

function tileRows({ rows, cols }: MatrixSource): number {
  return Math.max(1, Math.min(rows, Math.floor(TILE / Math.max(1, cols))));
}

function rawBytes(matrix: MatrixSource): number {
  const { transposed, cols, rowBytes, format } = matrix, rows = tileRows(matrix);
  return transposed ? cols * bytesOf(format, rows) : rows * rowBytes;
}

const EXPONENT = 0x7f800000;

function refuseInfinite(values: Float32Array, { name, cols }: MatrixSource, first: number, reader: RangeReader): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let found = false;
  for (let i = 0; i < bits.length; i++) found ||= (bits[i]! & EXPONENT) === EXPONENT;
  if (!found) return;
  const at = values.findIndex((value) => !Number.isFinite(value));
  const place = `row ${first + Math.floor(at / cols)}, column ${at % cols}`;
  throw InputError.of("wrong_value", { file: reader.dir, tensor: name }, "finite numbers", `${values[at]} in ${place}`);
}
