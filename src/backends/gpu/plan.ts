/**
 * Where each matrix and vector of the checkpoint goes in device memory, and in which pieces the files are read for
 * that. Pure arithmetic; nothing is allocated here.
 *
 * Weights keep the layout of the file, so that a stretch of the file is usually one copy. They are only moved where the
 * kernels need another alignment, or where a rank takes a part of each row.
 */
import {
  type LayerTree,
  linearsOf,
  type LinearSource,
  type MatrixSource,
  type ModelSource,
  vectorsOf,
  type VectorSource,
} from "../../checkpoint/source.ts";
import { blocksOf, bytesOf } from "../../formats/format.ts";

/** Alignment in bytes that kernels need of weights, scales and biases. */
const ALIGNMENT = 16;
/**
 * Alignment in bytes of the start of a stretch (neighbouring tensors of a file that are copied at once), so that rows
 * of common widths lie in cache lines as in the file.
 */
const STRETCH_ALIGNMENT = 256;
/** Up to this many unused bytes between two tensors of a file are read and dropped rather than skipped. */
const LARGEST_GAP = 65_536;

/**
 * Bytes of a file that go to device memory: `pieces` of `pieceBytes`, `stride` apart in the file and side by side in
 * memory.
 */
export interface Placement {
  readonly file: number;
  readonly offset: number;
  readonly pieces: number;
  readonly pieceBytes: number;
  readonly stride: number;
  /** Offset in the weights' buffer; known once {@linkcode planWeights} is done. */
  address: number;
}

/** Where a matrix and its scales are. */
export interface PlacedMatrix {
  readonly weight: Placement | null;
  readonly scale: Placement | null;
  /** Bytes between rows (of stored rows, if transposed) and between rows of e8m0 scales, in memory. */
  readonly rowStride: number;
  readonly scaleStride: number;
  /** float32 scales per row, uploaded from the source's own array. */
  readonly rowScales: Constant | null;
}

/** float32 numbers that are not copied from a file but computed on the host. */
export interface Constant {
  readonly values: Float32Array;
  address: number;
}

/** One read of a file and the copies that follow from it. */
export interface Chunk {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  /** Pieces to be moved together first; null where the bytes are copied as they are. */
  readonly compact: { readonly pieces: number; readonly pieceBytes: number; readonly stride: number } | null;
  readonly copies: readonly { readonly at: number; readonly bytes: number; readonly address: number }[];
}

/** The whole plan. */
export interface WeightPlan {
  /** Size of the buffer. */
  readonly bytes: number;
  /** Bytes of the files among them. */
  readonly weightBytes: number;
  readonly matrices: ReadonlyMap<MatrixSource, PlacedMatrix>;
  readonly vectors: ReadonlyMap<VectorSource, Placement>;
  readonly constants: readonly Constant[];
  readonly placements: readonly Placement[];
}

/** Lays out all weights of a source. */
export function planWeights(source: ModelSource): WeightPlan {
  const collector = new Collector();
  const { tree } = source;
  collector.matrix(tree.embedding);
  tree.layers.forEach((layer) => collector.layer(layer));
  collector.vector(tree.norm);
  collector.linear(tree.head);
  const placements = [...collector.placements.values()].sort((a, b) => a.file - b.file || a.offset - b.offset);
  let end = 0, previous: Placement | null = null;
  for (const placement of placements) {
    placement.address = addressAfter(previous, end, placement);
    end = Math.max(end, placement.address + placement.pieces * placement.pieceBytes);
    previous = placement;
  }
  const weightBytes = placements.reduce((sum, p) => sum + p.pieces * p.pieceBytes, 0);
  for (const constant of collector.constants) {
    constant.address = align(end, ALIGNMENT);
    end = constant.address + constant.values.byteLength;
  }
  return {
    bytes: align(Math.max(end, 1), STRETCH_ALIGNMENT),
    weightBytes,
    matrices: collector.matrices,
    vectors: collector.vectors,
    constants: collector.constants,
    placements,
  };
}

const align = (x: number, to: number) => Math.ceil(x / to) * to;

/** At the distance that the file has it from its neighbour, where alignment allows that; else in a new stretch. */
function addressAfter(previous: Placement | null, end: number, next: Placement): number {
  if (previous && previous.file === next.file && previous.pieces === 1 && next.pieces === 1) {
    const gap = next.offset - (previous.offset + previous.pieceBytes);
    const address = previous.address + (next.offset - previous.offset);
    if (gap >= 0 && gap <= LARGEST_GAP && address % ALIGNMENT === 0 && address >= end) return address;
  }
  return align(end, STRETCH_ALIGNMENT);
}

/** Collects the ranges to be placed, equal ones once. */
class Collector {
  readonly placements = new Map<string, Placement>();
  readonly matrices = new Map<MatrixSource, PlacedMatrix>();
  readonly vectors = new Map<VectorSource, Placement>();
  readonly constants: Constant[] = [];

  #place(file: number, offset: number, pieces: number, pieceBytes: number, stride: number): Placement | null {
    if (pieces === 0 || pieceBytes === 0) return null;
    const whole = pieces === 1 || stride === pieceBytes;
    const placement: Placement = whole
      ? { file, offset, pieces: 1, pieceBytes: pieces * pieceBytes, stride: 0, address: 0 }
      : { file, offset, pieces, pieceBytes, stride, address: 0 };
    const key = [file, offset, placement.pieces, placement.pieceBytes, placement.stride].join(" ");
    const known = this.placements.get(key);
    if (known) return known;
    this.placements.set(key, placement);
    return placement;
  }

  matrix(m: MatrixSource): void {
    if (this.matrices.has(m)) return;
    const weight = this.#place(m.file, m.offset, m.transposed ? m.cols : m.rows, m.rowBytes, m.rowStride);
    let scale: Placement | null = null, rowScales: Constant | null = null, scaleStride = 0;
    if (weight && m.scale.kind === "e8m0") {
      scaleStride = blocksOf(m.cols);
      scale = this.#place(m.scale.file, m.scale.offset, m.rows, scaleStride, m.scale.rowStride);
    }
    if (weight && m.scale.kind === "row") {
      rowScales = { values: m.scale.values, address: 0 };
      this.constants.push(rowScales);
    }
    this.matrices.set(m, { weight, scale, rowStride: m.rowBytes, scaleStride, rowScales });
  }

  vector(v: VectorSource): void {
    const placement = this.#place(v.file, v.offset, 1, bytesOf(v.format, v.length), 0);
    if (placement) this.vectors.set(v, placement);
  }

  linear(l: LinearSource): void {
    this.matrix(l.weight);
    if (l.bias) this.vector(l.bias);
  }

  layer(w: LayerTree<LinearSource, VectorSource>): void {
    for (const v of vectorsOf(w)) this.vector(v);
    for (const l of linearsOf(w)) this.linear(l);
  }
}

/**
 * Cuts the placements into reads of at most `limit` bytes, in the order of the files.
 *
 * @throws {RangeError} if a piece of a row is longer than a read.
 */
export function chunksOf(placements: readonly Placement[], limit: number): Chunk[] {
  const chunks: Chunk[] = [];
  let open:
    | { file: number; offset: number; end: number; copies: { at: number; bytes: number; address: number }[] }
    | null = null;
  const close = () => {
    if (open) {
      chunks.push({
        file: open.file,
        offset: open.offset,
        bytes: open.end - open.offset,
        compact: null,
        copies: open.copies,
      });
    }
    open = null;
  };
  const add = (file: number, offset: number, bytes: number, address: number) => {
    const fits = open && open.file === file && offset >= open.end && offset - open.end <= LARGEST_GAP &&
      offset + bytes - open.offset <= limit;
    if (!fits) {
      close();
      open = { file, offset, end: offset, copies: [] };
    }
    const at = offset - open!.offset, last = open!.copies.at(-1);
    // One copy where two pieces are as far apart in memory as in the file: no tensor is placed between them.
    if (last && address - last.address === at - last.at) {
      open!.copies[open!.copies.length - 1] = { ...last, bytes: at + bytes - last.at };
    } else open!.copies.push({ at, bytes, address });
    open!.end = offset + bytes;
  };
  for (const p of placements) {
    if (p.pieces === 1) {
      for (let at = 0; at < p.pieceBytes; at += limit) {
        add(p.file, p.offset + at, Math.min(limit, p.pieceBytes - at), p.address + at);
      }
    } else {
      close();
      if (p.pieceBytes > limit) throw new RangeError(`a row of ${p.pieceBytes} bytes does not fit a read of ${limit}`);
      const group = Math.max(1, Math.floor((limit - p.pieceBytes) / p.stride) + 1);
      for (let from = 0; from < p.pieces; from += group) {
        const pieces = Math.min(group, p.pieces - from);
        const bytes = pieces * p.pieceBytes;
        chunks.push({
          file: p.file,
          offset: p.offset + from * p.stride,
          bytes: (pieces - 1) * p.stride + p.pieceBytes,
          compact: { pieces, pieceBytes: p.pieceBytes, stride: p.stride },
          copies: [{ at: 0, bytes, address: p.address + from * p.pieceBytes }],
        });
      }
    }
  }
  close();
  return chunks;
}
