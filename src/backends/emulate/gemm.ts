/** Operations that multiply by weights: linears, experts, logits. */
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import type { AlikeUnits } from "./shares.ts";
import { STORED_FORMATS } from "../../formats/format.ts";
import { kindNumber, ruleNumber, sameInput } from "../../formats/input.ts";
import { rotateRow, sameRotation } from "../../formats/rotation.ts";
import {
  type Areas,
  BF16_ROWS,
  type EmulateTensor,
  fixedStride,
  MANY_ROWS,
  PACKED_ROWS,
  padded,
  rowsToFix,
} from "./areas.ts";
import type { DescriptorWriter } from "./descriptor.ts";
import { type Machine, wordAt } from "./machine.ts";
import { SortedRows } from "./sorted_rows.ts";
import type { EmulateLinear } from "./weights.ts";

/** Output rows of one unit of the `linear` kernel. */
const LINEAR_TILE = 8;

/** What a matrix multiplies in one operation; addresses, 0 where there is no such list. */
interface LinearCall {
  /** Input rows. */
  readonly rows: number;
  /** u32 lists: which prepared row each of them is, and to which output row it goes; without: in order. */
  readonly xRows?: number;
  readonly outRows?: number;
  /** float32 by prepared row, that sums are multiplied by. */
  readonly scales: number;
  /** 1: results are rounded to bfloat16. */
  readonly round: number;
  /** Units of the matrices before this one in the operation. */
  readonly firstUnit?: number;
}

export class Gemm {
  /** Input rows that each matrix of the current operation multiplies, on average. */
  #rowsPerMatrix = 0;
  /** Whether the current operation's input rows are packed, once for all threads. */
  #packed = false;
  readonly topK: number;
  readonly experts: number;
  /** Slot rows by expert. */
  readonly sorted: SortedRows;
  /** Whether all experts of a layer quantize their input in the same way, so that it is prepared once. */
  readonly #alike = new WeakMap<readonly EmulateLinear[], boolean>();

  /**
   * @param config Of the whole model.
   * @param expertStart Number of the first one here.
   * @param round 1: GEMM inputs that are dequantized FP8 are rounded to bf16.
   */
  constructor(
    readonly machine: Machine,
    readonly areas: Areas<string>,
    { topK, experts }: Pick<ModelConfig, "topK" | "experts">,
    expertStart: number,
    readonly round: number,
  ) {
    this.topK = topK;
    this.experts = experts;
    this.sorted = new SortedRows(machine, areas, experts, expertStart);
  }

  /** outs[i] = QDQ(x) W_i^T + b_i. */
  linear(outs: readonly EmulateTensor[], x: EmulateTensor, linears: readonly EmulateLinear[]): void {
    this.#rowsPerMatrix = this.machine.n;
    // Linears with the same input format share one prepared input and run as one operation of the threads.
    for (let from = 0; from < linears.length;) {
      const first = linears[from]!;
      let to = from + 1;
      while (to < linears.length && samePreparation(first, linears[to]!)) to++;
      const m = first.memory;
      this.machine.bring(x, m);
      this.#packed = this.machine.n >= packedFrom(first) && fixedOffset(first) === 0;
      const scales = this.#prepare(first, x, this.machine.n);
      const d = this.machine.describe(m).begin(to - from);
      let units = 0, work = 0;
      for (let i = from; i < to; i++) {
        const w = linears[i]!, out = outs[i]!;
        this.#record(d, w, out, { rows: this.machine.n, scales, round: this.round, firstUnit: units });
        units += Math.ceil(w.rows / LINEAR_TILE);
        work += w.rows * w.cols * this.machine.n;
        out.home = m;
      }
      this.machine.run("linear", m, units, work / Math.max(1, units));
      from = to;
    }
    this.#packed = false;
  }

  /** Logits of some rows of x; see the contract. */
  logits(x: EmulateTensor, head: EmulateLinear, rows: Int32Array, into?: Float32Array): Float32Array {
    const m = head.memory, a = this.areas, vocab = head.rows;
    const f32 = this.machine.views[m]!.f32;
    const result = into ??
      (rows.length <= a.logitRows
        ? f32.subarray(wordAt(a.logits), wordAt(a.logits) + rows.length * vocab)
        : new Float32Array(rows.length * vocab));
    for (let from = 0; from < rows.length; from += a.logitRows) {
      const part = rows.subarray(from, from + a.logitRows), count = part.length;
      this.prepareLogits(x, head, part);
      const d = this.machine.describe(m).begin(1);
      const out = { address: a.logits, stride: vocab };
      const scales = head.multipliesCodes ? a.rowScales : 0;
      this.#record(d, head, out, { rows: count, scales, round: 0 });
      this.machine.run("linear", m, Math.ceil(head.rows / LINEAR_TILE), head.cols * LINEAR_TILE * count);
      if (into || rows.length > a.logitRows) {
        result.set(f32.subarray(wordAt(a.logits), wordAt(a.logits) + count * vocab), from * vocab);
      }
    }
    this.machine.end();
    return result;
  }

  /** Prepares some rows of x, one after the other, for their logits. */
  prepareLogits(x: EmulateTensor, head: EmulateLinear, rows: Int32Array): void {
    this.#rowsPerMatrix = rows.length;
    this.machine.bring(x, head.memory);
    rows.forEach((row, i) => this.#prepareRows(head, i, x.address + 4 * x.stride * row, x.stride, 1));
  }

  /**
   * One GEMM of all chosen experts: tokens are grouped by expert, so that an expert's rows are decoded once for all its
   * tokens.
   *
   * Where all experts quantize their input in the same way, a row of x is prepared once; else once for each expert that
   * reads it.
   *
   * @param rows Rows of x to prepare.
   * @param shared Slot rows that share one row of x: topK for gate_up (x is per token), 1 for down.
   */
  expertLinear(
    out: EmulateTensor,
    x: EmulateTensor,
    experts: readonly EmulateLinear[],
    rows: number,
    shared: number,
    round: number,
  ): void {
    const first = experts[0], a = this.areas;
    const m = first?.memory ?? x.home;
    out.home = m;
    if (!first) return this.#zero(out);
    this.machine.bring(x, m);
    const alike = this.#areAlike(experts);
    this.#rowsPerMatrix = this.machine.n * this.topK / this.experts;
    if (alike) this.#prepare(first, x, rows);
    const scales = first.multipliesCodes ? a.rowScales : 0;
    const { i32 } = this.machine.views[m]!;
    const slotRows = this.machine.n * this.topK;
    const outRows = wordAt(a.rowLists) + slotRows, ends = this.sorted.of(m, experts.length, slotRows, outRows);
    if (experts.length < this.experts) this.#zero(out);
    // Where an input row belongs to one slot row, and none is prepared for an expert alone, it has that one's number.
    const xRows = shared === 1 && alike ? outRows : wordAt(a.rowLists), chosen = ends[experts.length - 1]!;
    if (xRows !== outRows) {
      for (let i = 0; i < chosen; i++) i32[xRows + i] = Math.floor(i32[outRows + i]! / shared);
    }
    // `ends[e]` is the end of expert e; its start is the end of the one before.
    if (!alike) this.#prepareEach(experts, ends, x, i32.subarray(xRows, xRows + slotRows));
    const d = this.machine.describe(m).begin(0);
    const parts: AlikeUnits[] = [];
    let records = 0, units = 0;
    for (let e = 0, from = 0; e < experts.length; e++) {
      const to = ends[e]!;
      if (to > from) {
        const w = experts[e]!;
        const lists = { xRows: 4 * (xRows + from), outRows: 4 * (outRows + from) };
        this.#record(d, w, out, { rows: to - from, ...lists, scales, round, firstUnit: units });
        parts.push({ units: Math.ceil(w.rows / LINEAR_TILE), work: DECODING_ROWS + to - from });
        units += parts[records++]!.units;
      }
      from = to;
    }
    i32[wordAt(a.descriptor)] = records;
    this.machine.run("linear", m, units, first.cols * LINEAR_TILE * slotRows / Math.max(1, records), parts);
  }

  /** Zeros the slot rows of the current batch. */
  #zero(out: EmulateTensor): void {
    this.machine.current(out).fill(0);
  }

  #areAlike(experts: readonly EmulateLinear[]): boolean {
    let alike = this.#alike.get(experts);
    if (alike === undefined) {
      alike = experts.every((expert) => samePreparation(expert, experts[0]!));
      this.#alike.set(experts, alike);
    }
    return alike;
  }

  /**
   * Prepares every row for the expert that reads it.
   *
   * @param ends End of each expert's rows in the list.
   * @param xRows Rows of x to prepare; then the prepared rows, which stand in the order of the list.
   */
  #prepareEach(experts: readonly EmulateLinear[], ends: Int32Array, x: EmulateTensor, xRows: Int32Array): void {
    experts.forEach((expert, e) => {
      for (let at = e === 0 ? 0 : ends[e - 1]!; at < ends[e]!; at++) {
        const row = x.address + 4 * x.stride * xRows[at]!;
        this.#prepareRows(expert, at, row, x.stride, 1);
        xRows[at] = at;
      }
    });
  }

  /**
   * Prepares the first `rows` rows of x as the input of a linear.
   *
   * @returns Address of the rows' scales where the epilogue must apply them, else 0.
   */
  #prepare(linear: EmulateLinear, x: EmulateTensor, rows: number): number {
    this.#prepareRows(linear, 0, x.address, x.stride, rows);
    return linear.multipliesCodes ? this.areas.rowScales : 0;
  }

  /**
   * Prepares rows.
   *
   * @param first Place of the first one among the prepared rows.
   * @param x Address of the first one; they are `stride` elements apart.
   */
  #prepareRows(linear: EmulateLinear, first: number, x: number, stride: number, rows: number): void {
    const { input, cols, memory, rotation } = linear, a = this.areas;
    if (rotation !== null) {
      const { f32 } = this.machine.views[memory]!, from = wordAt(x), to = wordAt(a.rotated), width = padded(cols);
      for (let r = 0; r < rows; r++) {
        const row = f32.subarray(from + r * stride, from + r * stride + cols);
        rotateRow(row, rotation, this.round === 1, f32.subarray(to + r * width, to + r * width + cols));
      }
      x = a.rotated;
      stride = width;
    }
    const rule = input.kind === "mx" ? ruleNumber(input.rule) : 0,
      scale = input.kind === "fp8_static" ? input.scale : 0;
    const out = a.prepared + 4 * padded(cols) * first, rowScales = a.rowScales + 4 * first;
    const offset = this.#fixedOffset(linear), fixed = offset === 0 ? 0 : a.fixed + fixedStride(cols) * first;
    const outStride = this.#packed ? 0 : padded(cols), together = this.#packed ? PACKED_ROWS : 1;
    // What stands after these areas is the cache: rows beyond their end would make other logits, not an error.
    if (
      4 * padded(cols) * (first + rows) > a.preparedBytes ||
      fixed !== 0 && fixedStride(cols) * (first + rows) > a.fixedBytes
    ) throw new RangeError(`no room for ${first + rows} prepared rows of ${cols} columns`);
    this.machine.describe(memory).begin(out, outStride, x, stride, cols, kindNumber(input), rule).f32(scale)
      .u32(this.round, linear.multipliesCodes ? rowScales : 0, fixed, fixedStride(cols), offset, rows);
    this.machine.run("prepare", memory, Math.ceil(rows / together), 4 * cols * together);
  }

  /** {@linkcode fixedOffset}, or 0 where so many rows share a matrix that fixed ones are of no use. */
  #fixedOffset(linear: EmulateLinear): number {
    const most = rowsToFix(linear.format === STORED_FORMATS.mxfp4.wasm, linear.input);
    return this.#rowsPerMatrix < most ? fixedOffset(linear) : 0;
  }

  /** One record of the `linear` kernel, whose fields wasm/ABI.md describes. */
  #record(
    d: DescriptorWriter,
    w: EmulateLinear,
    out: { readonly address: number; readonly stride: number },
    { rows, xRows = 0, outRows = 0, scales, round, firstUnit = 0 }: LinearCall,
  ): void {
    d.u32(w.format, w.transposed, w.rows, w.cols, w.weight, w.rowStride, w.scale, w.scaleStride, w.scaleKind);
    const stride = this.#packed ? 0 : padded(w.cols);
    d.u32(w.bias, w.biasFormat, this.areas.prepared, stride, out.address, out.stride, rows, xRows, outRows);
    d.u32(scales, round, firstUnit, this.#fixedOffset(w) === 0 ? 0 : this.areas.fixed, fixedStride(w.cols), 0);
  }
}

/** Input rows that take as long to multiply as weights to decode; see docs/measurements/gemm.md. */
const DECODING_ROWS = 5;

/** What the kernels add to a linear's weights as integers, see "Fixed rows" in wasm/ABI.md; 0: they multiply floats. */
function fixedOffset({ format, transposed }: EmulateLinear): number {
  if (transposed !== 0) return 0;
  return format === STORED_FORMATS.mxfp4.wasm ? 12 : format === STORED_FORMATS.mxfp6_e2m3.wasm ? 60 : 0;
}

/** Input rows from which on they are packed together where they multiply floats, once for all threads. */
function packedFrom({ format, transposed }: EmulateLinear): number {
  return format === STORED_FORMATS.bf16.wasm && transposed === 0 ? BF16_ROWS + 1 : MANY_ROWS;
}

/** Whether two linears read their input prepared in the same way. */
function samePreparation(a: EmulateLinear, b: EmulateLinear): boolean {
  return fixedOffset(a) === fixedOffset(b) && a.multipliesCodes === b.multipliesCodes &&
    sameRotation(a.rotation, b.rotation) &&
    sameInput(a.input, b.input);
}
