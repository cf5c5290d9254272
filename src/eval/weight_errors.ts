/** What tells the weights of two settings apart, projection by projection: every number of every matrix is compared. */
import { pause } from "../breath.ts";
import { dirname } from "node:path";
import {
  LAYER_LINEARS,
  type LinearName,
  linearsNamed,
  type LinearSource,
  type MatrixSource,
  type ModelSource,
  type SourceFile,
} from "../checkpoint/source.ts";
import { Codec } from "../conversion/codec.ts";
import { MadeFiles, withMadeScales } from "../conversion/made_files.ts";
import { RangeReader } from "../conversion/range_reader.ts";
import { ELEMENTS } from "../formats/elements.ts";
import { blocksOf, bytesOf, STORED_FORMATS, type WeightFormat } from "../formats/format.ts";
import { type OperationName, operationWith } from "../model/operations.ts";

/** One projection of a layer, all of its experts together. */
export interface WeightDivergence {
  readonly layer: number;
  readonly operation: OperationName;
  /** How both sides store them; several formats are joined by " + ". */
  readonly formatA: string;
  readonly formatB: string;
  readonly elements: number;
  /** ||B - A|| / ||A||. */
  readonly relativeError: number;
  /** Shares of scales and of codes that are not the same; null where both sides have none in common. */
  readonly scalesChanged: number | null;
  readonly codesChanged: number | null;
  /** Numbers that are not zero under A and zero under B. */
  readonly flushed: number;
  /** Numbers that have the largest magnitude of B's format; null of plain numbers, or of equal files. */
  readonly atMax: number | null;
}

/** Compares all linears of two models of one shape. */
export async function compareWeights(
  plannedA: ModelSource,
  plannedB: ModelSource,
  onProgress?: (done: number, total: number) => void,
): Promise<WeightDivergence[]> {
  const groups = pairs(plannedA, plannedB);
  const differ = (group: Group) => !group.every(([a, b]) => sameMatrix(a.weight, plannedA, b.weight, plannedB));
  if (!groups.some(({ linears }) => differ(linears))) return groups.map((group) => untouched(group));
  const [a, b] = [await withMadeScales(plannedA), await withMadeScales(plannedB)];
  const scaled = pairs(a, b);
  const opened = groups.flatMap(({ linears }) => linears);
  using left = await Reading.open(a.files, opened.map(([{ weight }]) => weight));
  using right = await Reading.open(b.files, opened.map(([, { weight }]) => weight));
  const total = opened.length;
  let done = 0;
  const results: WeightDivergence[] = [];
  for (const [i, group] of groups.entries()) {
    const { linears } = scaled[i]!;
    if (!differ(group.linears)) {
      done += linears.length;
      results.push(untouched(group));
      continue;
    }
    const sums = new Sums();
    for (const [x, y] of linears) {
      sums.add(x.weight, left, y.weight, right);
      onProgress?.(++done, total);
      // Progress is shown, and Ctrl-C heard, between matrices.
      await pause();
    }
    results.push({ ...named(group), ...sums.result() });
  }
  return results;
}

type Group = readonly (readonly [LinearSource, LinearSource])[];

interface Projection {
  readonly layer: number;
  readonly name: LinearName | "head";
  readonly linears: Group;
}

function pairs(a: ModelSource, b: ModelSource): Projection[] {
  const layers = a.tree.layers.flatMap((left, layer) =>
    LAYER_LINEARS.map((name): Projection => {
      const right = linearsNamed(b.tree.layers[layer]!, name);
      return { layer, name, linears: linearsNamed(left, name).map((linear, i) => [linear, right[i]!] as const) };
    })
  );
  return [...layers, {
    layer: layers.length / LAYER_LINEARS.length,
    name: "head",
    linears: [[a.tree.head, b.tree.head]],
  }];
}

function named({ layer, name, linears }: Projection) {
  const formats = (side: 0 | 1) => [...new Set(linears.map((pair) => pair[side].weight.format))].join(" + ");
  const elements = linears.reduce((sum, [{ weight: { rows, cols } }]) => sum + rows * cols, 0);
  return { layer, operation: operationWith(name).name, formatA: formats(0), formatB: formats(1), elements };
}

/** A projection that both sides read from the same bytes. */
function untouched(group: Projection): WeightDivergence {
  const scales = group.linears.some(([{ weight }]) => weight.scale.kind !== "none");
  const scalesChanged = scales ? 0 : null;
  return { ...named(group), relativeError: 0, scalesChanged, codesChanged: 0, flushed: 0, atMax: null };
}

/** Whether two matrices are the same bytes of the same file, in the same format. */
function sameMatrix(a: MatrixSource, { files }: ModelSource, b: MatrixSource, { files: others }: ModelSource): boolean {
  const x = files[a.file]!, y = others[b.file]!;
  if (x.made !== undefined || y.made !== undefined) {
    const [made, other] = [x.made, y.made];
    return made !== undefined && other !== undefined && made.format === other.format &&
      a.scale.kind === b.scale.kind && place(made.from, files) === place(other.from, others);
  }
  return a.format === b.format && place(a, files) === place(b, others);
}

const place = ({ file, offset }: MatrixSource, files: readonly SourceFile[]) => `${files[file]!.path} ${offset}`;

/** The matrices of one side. */
class Reading implements Disposable {
  private constructor(readonly codec: Codec, readonly reader: RangeReader, readonly made: MadeFiles | null) {}

  static async open(files: readonly SourceFile[], matrices: readonly MatrixSource[]): Promise<Reading> {
    const made = await MadeFiles.open(files);
    return new Reading(await Codec.open(matrices), new RangeReader(files, dirname(files[0]!.path), made), made);
  }

  /** Stored bytes of the rows of a matrix that is not transposed. */
  codes({ file, offset, rowStride, cols, format }: MatrixSource, first: number, rows: number): Uint8Array {
    const rowBytes = bytesOf(format, cols), into = new Uint8Array(rows * rowBytes);
    this.reader.rows({ file, offset: offset + first * rowStride, rowBytes, rowStride }, rows, into);
    return into;
  }

  /** Scales of the rows, one number each; none of plain numbers. */
  scales({ scale, cols }: MatrixSource, first: number, rows: number): ArrayLike<number> {
    if (scale.kind === "tensor") return first === 0 ? [scale.value] : [];
    if (scale.kind === "row") return scale.values.subarray(first, first + rows);
    if (scale.kind === "none") return [];
    const rowBytes = blocksOf(cols), into = new Uint8Array(rows * rowBytes);
    this.reader.rows({ ...scale, offset: scale.offset + first * scale.rowStride, rowBytes }, rows, into);
    return into;
  }

  [Symbol.dispose](): void {
    this.reader[Symbol.dispose]();
    this.made?.[Symbol.dispose]();
  }
}

/** Sums over pairs of matrices. */
class Sums {
  #signal = 0;
  #error = 0;
  #flushed = 0;
  #scales = 0;
  #scalesChanged = 0;
  #codes = 0;
  #codesChanged = 0;
  #atMax: number | null = null;

  add(a: MatrixSource, left: Reading, b: MatrixSource, right: Reading): void {
    const comparable = a.format === b.format && a.scale.kind === b.scale.kind && !a.transposed && !b.transposed;
    const others = right.codec.tiles(b, right.reader);
    for (const { first, rows, values } of left.codec.tiles(a, left.reader)) {
      this.#compare(values, others.next().value!.values);
      if (b.transposed) continue;
      const codes = right.codes(b, first, rows);
      this.#countLargest(codes, b.format);
      if (!comparable) continue;
      this.#compareScales(left.scales(a, first, rows), right.scales(b, first, rows));
      this.#codes += rows * a.cols;
      this.#codesChanged += changedCodes(left.codes(a, first, rows), codes, STORED_FORMATS[a.format].bits);
    }
    others.return(undefined);
  }

  #compare(a: Float32Array, b: Float32Array): void {
    let signal = 0, error = 0, flushed = 0;
    for (let i = 0; i < a.length; i++) {
      const x = a[i]!, y = b[i]!, d = y - x;
      signal += x * x;
      error += d * d;
      if (y === 0 && x !== 0) flushed++;
    }
    this.#signal += signal;
    this.#error += error;
    this.#flushed += flushed;
  }

  #compareScales(a: ArrayLike<number>, b: ArrayLike<number>): void {
    this.#scales += a.length;
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) this.#scalesChanged++;
  }

  #countLargest(codes: Uint8Array, format: WeightFormat): void {
    const { bits, element } = STORED_FORMATS[format];
    if (element === null) return;
    const { values, max } = ELEMENTS[element];
    this.#atMax ??= 0;
    eachCode(codes, bits, (code) => {
      if (Math.abs(values[code]!) === max) this.#atMax!++;
    });
  }

  result() {
    return {
      relativeError: this.#error === 0 ? 0 : Math.sqrt(this.#error / this.#signal),
      scalesChanged: this.#scales === 0 ? null : this.#scalesChanged / this.#scales,
      codesChanged: this.#codes === 0 ? null : this.#codesChanged / this.#codes,
      flushed: this.#flushed,
      atMax: this.#atMax,
    };
  }
}

/** Visits packed codes in order; of plain numbers, their bits. */
function eachCode(bytes: Uint8Array, bits: number, visit: (code: number) => void): void {
  const mask = 2 ** bits - 1, count = Math.floor(8 * bytes.length / bits);
  for (let i = 0; i < count; i++) {
    const bit = i * bits, at = bit >> 3;
    visit(((bytes[at]! | (bytes[at + 1] ?? 0) << 8) >> (bit & 7)) & mask);
  }
}

function changedCodes(a: Uint8Array, b: Uint8Array, bits: number): number {
  let changed = 0;
  if (bits >= 8) {
    const size = bits / 8;
    for (let at = 0; at < a.length; at += size) {
      for (let i = 0; i < size; i++) {
        if (a[at + i] === b[at + i]) continue;
        changed++;
        break;
      }
    }
    return changed;
  }
  const differing = a.map((byte, i) => byte ^ b[i]!);
  eachCode(differing, bits, (code) => {
    if (code !== 0) changed++;
  });
  return changed;
}
