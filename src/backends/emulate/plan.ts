/**
 * The memory plan of the emulate backend: which layers live in which WASM memory, and at which address every byte range
 * of the checkpoint files lies. Pure arithmetic; nothing is allocated here.
 *
 * A wasm32 memory holds 4 GiB, so a model is cut into stages of whole layers, one memory each. Every memory starts with
 * the same areas at the same addresses (stacks, scratch, descriptors, activations), so that an activation crosses from
 * one stage to the next by a plain copy.
 */
import { WASM_PAGE } from "../../wasm.ts";
import {
  type LayerTree,
  linearsOf,
  type LinearSource,
  type MatrixSource,
  type ModelSource,
  vectorsOf,
  type VectorSource,
} from "../../checkpoint/source.ts";
import { FailureError } from "../../errors.ts";
import { blocksOf, bytesOf } from "../../formats/format.ts";

/** What one wasm32 memory can hold. The last page stays free, so that no address computation can wrap. */
export const MEMORY_CAPACITY = 65_535 * WASM_PAGE;
/** Pages of the operating system, for mapping. */
export const OS_PAGE = 4096;

/** A contiguous range of a file that is wanted in memory. */
export interface Span {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
}

/** A range of a file and the address it gets. */
export interface Run extends Span {
  readonly address: number;
}

/** Equal pieces at equal distances: the columns that a rank owns of a matrix. In memory the pieces stand together. */
export interface Strided {
  readonly file: number;
  readonly offset: number;
  readonly pieces: number;
  readonly pieceBytes: number;
  /** Bytes of the file from one piece to the next. */
  readonly stride: number;
}

/** Strided pieces and the address of the first. */
export interface StridedRun extends Strided {
  readonly address: number;
}

/** One memory. */
export interface MemoryPlan {
  /** Bytes in all, a multiple of the WASM page. */
  readonly bytes: number;
  readonly runs: readonly Run[];
  /** Only where files are read: a mapping shows the bytes between the pieces too. */
  readonly strided: readonly StridedRun[];
  /** KV cache areas of the stage's layers: layer -> address of keys; values follow after `cacheBytes(layer) / 2`. */
  readonly caches: ReadonlyMap<number, number>;
  /** First address of the area for constants (row scales). */
  readonly constants: number;
}

/** The whole plan. Stage of the embedding: 0; of the head: the last. */
export interface ModelPlan {
  readonly memories: readonly MemoryPlan[];
  readonly memoryOfLayer: readonly number[];
  /** Bytes of all runs. */
  readonly weightBytes: number;
  /** Address of digits of the head, in the last memory; absent: they are not kept. */
  readonly keptDigits?: number;
}

/** What {@linkcode planMemories} needs to know besides the source. */
export interface PlanRequest {
  readonly source: ModelSource;
  /** First free address after the areas that every memory has. */
  readonly areasEnd: number;
  /** Bytes of keys and values of a layer's cache. */
  readonly cacheBytes: (layer: number) => number;
  /** Map whole OS pages (true) or read exact ranges. */
  readonly mapped: boolean;
  /** For tests: bytes of one memory. */
  readonly capacity?: number;
}

const align = (x: number, to: number) => Math.ceil(x / to) * to;

/**
 * Cuts the model into memories.
 *
 * @throws {FailureError} if a single layer (or the embedding, or the head) does not fit one memory.
 */
export function planMemories(request: PlanRequest): ModelPlan {
  const { source, areasEnd, cacheBytes, mapped, capacity = MEMORY_CAPACITY } = request;
  const { tree } = source;
  const units: Unit[] = [
    { label: "the embedding", layer: null, ...collect(mapped, (c) => c.matrix(tree.embedding)), cache: 0 },
    ...tree.layers.map((layer, i) => ({
      label: `layer ${i}`,
      layer: i,
      ...collect(mapped, (c) => c.layer(layer)),
      cache: align(cacheBytes(i), OS_PAGE),
    })),
    {
      label: "the output head",
      layer: null,
      ...collect(mapped, (c) => {
        c.vector(tree.norm);
        c.linear(tree.head);
      }),
      cache: 0,
    },
  ];

  const memories: MemoryPlan[] = [];
  const memoryOfLayer: number[] = [];
  let stage: Unit[] = [];
  let planned: MemoryPlan | null = null;
  for (const unit of units) {
    let next = layOut([...stage, unit], areasEnd, mapped);
    if (next.bytes > capacity) {
      if (planned) memories.push(planned);
      stage = [];
      next = layOut([unit], areasEnd, mapped);
      if (next.bytes > capacity) {
        throw new FailureError(
          `${unit.label} needs ${next.bytes} bytes with its cache and work areas, but one WASM memory holds ` +
            `${capacity}; a shorter context or smaller chunks need less`,
        );
      }
    }
    stage.push(unit);
    planned = next;
    if (unit.layer !== null) memoryOfLayer.push(memories.length);
  }
  memories.push(planned!);
  const weightBytes = memories.reduce((sum, m) => sum + bytesToLoad(m), 0);
  return { memories, memoryOfLayer, weightBytes };
}

/** Bytes of weights in a memory. */
export function bytesToLoad({ runs, strided }: Pick<MemoryPlan, "runs" | "strided">): number {
  return runs.reduce((sum, r) => sum + r.bytes, 0) + strided.reduce((sum, s) => sum + s.pieces * s.pieceBytes, 0);
}

/** A piece of the model that stays in one memory. */
interface Unit {
  readonly label: string;
  readonly layer: number | null;
  readonly spans: readonly Span[];
  readonly strided: readonly Strided[];
  readonly constants: number;
  readonly cache: number;
}

function layOut(units: readonly Unit[], areasEnd: number, mapped: boolean): MemoryPlan {
  let at = align(areasEnd, 64);
  const constants = at;
  at = align(at + units.reduce((sum, u) => sum + u.constants, 0), OS_PAGE);
  const caches = new Map<number, number>();
  for (const unit of units) {
    if (unit.layer !== null) caches.set(unit.layer, at);
    at += unit.cache;
  }
  const runs = merge(units.flatMap((u) => u.spans), mapped).map((span): Run => {
    // A mapping needs whole pages; a reading keeps the file's alignment within a vector.
    const address = mapped ? align(at, OS_PAGE) : align(at, 64) + span.offset % 64;
    at = address + span.bytes;
    return { ...span, address };
  });
  const strided = units.flatMap((u) => u.strided).map((s): StridedRun => {
    const address = align(at, 16);
    at = address + s.pieces * s.pieceBytes;
    return { ...s, address };
  });
  return { bytes: align(at + WASM_PAGE, WASM_PAGE), runs, strided, caches, constants };
}

/** Sorts spans and joins those that touch or overlap (mapped: those that share or touch an OS page). */
export function merge(spans: readonly Span[], mapped: boolean): Span[] {
  const wide = spans.filter((s) => s.bytes > 0).map((s) => {
    if (!mapped) return s;
    const offset = s.offset - s.offset % OS_PAGE;
    return { file: s.file, offset, bytes: align(s.offset + s.bytes, OS_PAGE) - offset };
  });
  wide.sort((a, b) => a.file - b.file || a.offset - b.offset);
  const merged: Span[] = [];
  for (const span of wide) {
    const last = merged.at(-1);
    if (last && last.file === span.file && span.offset <= last.offset + last.bytes) {
      const end = Math.max(last.offset + last.bytes, span.offset + span.bytes);
      merged[merged.length - 1] = { ...last, bytes: end - last.offset };
    } else merged.push(span);
  }
  return merged;
}

/** Where the rows of a matrix (or of its scales) stand in a memory, and the bytes from one to the next. */
export function rowsIn(
  memory: MemoryPlan,
  { file, offset, stride }: { file: number; offset: number; stride: number },
): { address: number; stride: number } {
  const strided = memory.strided.find((s) => s.file === file && s.offset === offset);
  if (strided) return { address: strided.address, stride: strided.pieceBytes };
  return { address: addressOf(memory, file, offset), stride };
}

/**
 * The address of a byte of a file in a memory that holds it.
 *
 * @throws {Error} if it does not hold it.
 */
export function addressOf(memory: MemoryPlan, file: number, offset: number): number {
  const { runs } = memory;
  let low = 0, high = runs.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    const run = runs[middle]!;
    if (run.file < file || run.file === file && run.offset <= offset) low = middle;
    else high = middle - 1;
  }
  const run = runs[low];
  if (!run || run.file !== file || offset < run.offset || offset >= run.offset + run.bytes) {
    throw new Error(`offset ${offset} of file ${file} is not in this memory`);
  }
  return run.address + (offset - run.offset);
}

/** Collects the stretches of files that matrices and vectors stand in. */
export class Collector {
  readonly spans: Span[] = [];
  readonly strided: Strided[] = [];
  constants = 0;

  constructor(readonly mapped: boolean) {}

  matrix(m: MatrixSource): void {
    const stored = m.transposed ? m.cols : m.rows;
    if (stored === 0 || m.rowBytes === 0) return;
    this.#rows({ file: m.file, offset: m.offset, pieces: stored, pieceBytes: m.rowBytes, stride: m.rowStride });
    if (m.scale.kind === "e8m0") {
      const { file, offset, rowStride } = m.scale;
      this.#rows({ file, offset, pieces: m.rows, pieceBytes: blocksOf(m.cols), stride: rowStride });
    }
    if (m.scale.kind === "row") this.constants += align(4 * m.rows, 16);
  }

  #rows(rows: Strided): void {
    const { file, offset, pieces, pieceBytes, stride } = rows;
    if (!this.mapped && pieces > 1 && stride > pieceBytes) this.strided.push(rows);
    else this.spans.push({ file, offset, bytes: (pieces - 1) * stride + pieceBytes });
  }

  vector(v: VectorSource): void {
    this.spans.push({ file: v.file, offset: v.offset, bytes: bytesOf(v.format, v.length) });
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

function collect(
  mapped: boolean,
  visit: (collector: Collector) => void,
): { spans: Span[]; strided: Strided[]; constants: number } {
  const collector = new Collector(mapped);
  visit(collector);
  return { spans: merge(collector.spans, false), strided: collector.strided, constants: collector.constants };
}
