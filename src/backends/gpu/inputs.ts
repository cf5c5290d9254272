/** The inputs of linears: how a kernel reads them, and rows that are prepared once for several GEMMs. */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import { COLUMN_ORDER, type ColumnOrder, QDQ_KIND } from "../../../kernels/abi/types.ts";
import { type Input, NO_QUANTIZE, type Quantize, quantizeFor } from "./abi.ts";
import type { LaunchContext } from "./context.ts";
import type { Step } from "./operations.ts";
import { type Codes, codesIn, launchQdq, launchQuantize, type Prepared } from "./prepared.ts";
import type { GpuLinear, GpuTensor, GpuVector } from "./tensors.ts";
import { strideOf } from "./layout.ts";

/** Rows that were prepared. */
interface Known {
  readonly x: GpuTensor;
  readonly norm: GpuVector | null;
  /** How: {@linkcode Prepared}'s kind and order, how many, and the QDQ. */
  readonly key: string;
  readonly rows: Prepared;
}

export class Inputs {
  /** Prepared rows, and the tensor and QDQ that they were made of, so that linears with the same ones share them. */
  #prepared: Known[] = [];
  /** Those that the step at hand leaves. */
  #left: Known[] = [];
  readonly #unrounded = new Set<GpuTensor>();

  constructor(readonly context: LaunchContext) {}

  /** Another batch begins. */
  reset(): void {
    this.#prepared = [];
  }

  /**
   * Records that a tensor was written from outside the graph.
   *
   * @param rounded Whether they are numbers of the dtype, as those of all operations are that a linear reads.
   */
  changed(tensor: GpuTensor, rounded: boolean): void {
    this.#drop((known) => known.x === tensor);
    if (rounded) this.#unrounded.delete(tensor);
    else this.#unrounded.add(tensor);
  }

  /**
   * What a GEMM reads is rounded to the dtype, after QDQ if there is any; only tensors that were written from outside
   * may need it.
   */
  round(x: GpuTensor, { input }: GpuLinear): void {
    if (input.kind !== "none" || !this.#unrounded.delete(x)) return;
    const { calls, n } = this.context;
    calls.launch("roundRows", { x: x.range, stride: x.stride, width: x.width, n: x.rowsPerToken * n });
  }

  /** How a kernel reads rows of x. */
  of(x: GpuTensor, norm: GpuVector | null, how: Quantize): Input {
    const { config, round } = this.context.options;
    return {
      x: x.range,
      xRows: null,
      norm: norm?.range ?? null,
      xStride: x.stride,
      normFormat: norm?.format ?? 0,
      eps: config.rmsNormEps,
      kind: how.kind,
      rule: how.rule,
      scale: how.scale,
      round,
    };
  }

  /** Rows of x as codes, for the scaled matrix instructions. */
  quantize(x: GpuTensor, linear: GpuLinear, rows: number): Codes {
    const { calls, workspace: { prepared, rowScales } } = this.context;
    const out = codesIn(prepared, rows, x.width, linear, rowScales);
    const input = this.of(x, null, quantizeFor({ ...linear, multipliesCodes: true }));
    launchQuantize(calls, out, input, x.width, rows);
    this.#drop(({ rows }) => rows.range === prepared);
    return out;
  }

  /**
   * The chosen rows of x (`workspace.rows`) as the kernels of batches read them.
   *
   * @param rows How many.
   * @param entry The kernel that reads them.
   */
  choose(x: GpuTensor, linear: GpuLinear, rows: number, entry: string): Prepared {
    const { calls, workspace: { prepared, rowScales, rows: xRows } } = this.context;
    const into: Prepared = {
      range: prepared,
      stride: preparedStride(x.width, orderOf(entry)),
      bf16: true,
      order: orderOf(entry),
      scales: linear.multipliesCodes ? rowScales : null,
    };
    launchQdq(calls, into, { ...this.of(x, null, quantizeFor(linear)), xRows }, x.width, rows);
    this.#drop(({ rows }) => rows.range === prepared);
    return into;
  }

  /**
   * Rows of x as a GEMM reads them.
   *
   * @param matrixEntry The matrix kernel that reads them, if it is used.
   */
  prepare(
    x: GpuTensor,
    norm: GpuVector | null,
    linear: GpuLinear,
    rows: number,
    matrixEntry: string,
  ): Prepared {
    const { calls, options, workspace: { prepared, rowScales } } = this.context;
    const bf16 = options.matrixKernels.has(matrixEntry), order = orderOf(matrixEntry);
    const how = quantizeFor(linear);
    // A float32 GEMM reads activations as they are.
    if (!bf16 && !norm && how.kind === QDQ_KIND.none) return asTheyAre(x);
    const key = keyOf(bf16, order, rows, how), known = this.#known(x, norm, key);
    if (known) return known;
    const into: Prepared = {
      range: prepared,
      stride: preparedStride(x.width, order),
      bf16,
      order,
      scales: linear.multipliesCodes ? rowScales : null,
    };
    launchQdq(calls, into, this.of(x, norm, how), x.width, rows);
    this.#drop(({ rows }) => rows.range === prepared);
    this.#prepared.push({ x, norm, key, rows: into });
    return into;
  }

  /** The same for a matrix kernel that reads float32 rows of such numbers, too: those of x where they need no QDQ. */
  readOrPrepare(x: GpuTensor, linear: GpuLinear, rows: number, matrixEntry: string): Prepared {
    const how = quantizeFor(linear), known = this.#known(x, null, keyOf(true, orderOf(matrixEntry), rows, how));
    if (known === undefined && how.kind === QDQ_KIND.none && !linear.multipliesCodes) return asTheyAre(x);
    return this.prepare(x, null, linear, rows, matrixEntry);
  }

  #known(x: GpuTensor, norm: GpuVector | null, key: string): Prepared | undefined {
    return this.#prepared.find((one) => one.x === x && one.norm === norm && one.key === key)?.rows;
  }

  /**
   * Which bf16 rows a matrix kernel reads of an input without QDQ, for a kernel that makes them of its own results;
   * null where it reads something else.
   *
   * @param range Where they are to lie.
   */
  unprepared({ input, multipliesCodes }: GpuLinear, width: number, entry: string, range: DeviceRange): Prepared | null {
    if (input.kind !== "none" || multipliesCodes || !this.context.options.matrixKernels.has(entry)) return null;
    const order = orderOf(entry);
    return { range, stride: preparedStride(width, order), bf16: true, order, scales: null };
  }

  /** Records that the step at hand leaves such rows of x. */
  leave(x: GpuTensor, rows: Prepared): void {
    const key = keyOf(true, rows.order ?? COLUMN_ORDER.natural, this.context.n, NO_QUANTIZE);
    this.#left.push({ x, norm: null, key, rows });
  }

  #drop(which: (known: Known) => boolean): void {
    this.#prepared = this.#prepared.filter((known) => !which(known));
  }

  /** Forgets prepared rows whose source changes. */
  forget(step: Step): void {
    const out = "outs" in step
      ? step.outs
      : "out" in step
      ? [step.out]
      : step.kind === "allReduce"
      ? [step.h ?? step.x]
      : "h" in step
      ? [step.h]
      : "q" in step
      ? [step.q]
      : [];
    const normed = "norm" in step && step.norm !== null && "out" in step.norm ? step.norm.out : null;
    this.#drop(({ x }) => out.includes(x) || x === normed || step.kind === "normRoute");
    this.#drop(({ rows: { range } }) => this.#left.some(({ rows }) => rows.range === range));
    this.#prepared.push(...this.#left);
    this.#left = [];
  }
}

/** {@linkcode Known.key}. */
const keyOf = (bf16: boolean, order: ColumnOrder, rows: number, { kind, rule, scale }: Quantize): string =>
  [bf16, order, rows, kind, rule, scale].join(" ");

/** Rows that nothing is done to. */
const asTheyAre = ({ range, stride }: GpuTensor): Prepared => ({ range, stride, bf16: false, scales: null });

/** Elements from one prepared row to the next: whole steps of the kernels that take 64 columns at a time. */
export const preparedStride = (width: number, order: ColumnOrder): number =>
  order === COLUMN_ORDER.wgmma ? Math.ceil(width / 64) * 64 : strideOf(width);

/** The order of columns in which a matrix kernel reads rows. */
export function orderOf(entry: string): ColumnOrder {
  if (entry.endsWith("_mxfp4_wgmma")) return COLUMN_ORDER.wgmma;
  return /batch_mxfp4_x\d+$/.test(entry) ? COLUMN_ORDER.mxfp4 : COLUMN_ORDER.natural;
}
