/**
 * What a change of settings does to a model: both are computed on the same tokens, teacher-forced, and compared operation by operation,
 * layer by layer, and in their predictions.
 */
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { ModelSource } from "../checkpoint/source.ts";
import { InputError } from "../errors.ts";
import { type Operation, OPERATIONS } from "../model/gpt_oss.ts";
import type { Session } from "../model/session.ts";
import type { KvFormat } from "../quant/format.ts";
import { type ErrorSummary, ErrorSums, type OutlierChannel, relativeErrorOf, type RowSums } from "./error_sums.ts";
import { type ComparedOperation, lockstep, type Observer, type Pair } from "./lockstep.ts";
import { argmax, klDivergence, logProbability } from "./logits_distance.ts";
import type { Numerics } from "./noise.ts";
import { QuantizedCounter, type QuantizedCounts, quantizedTensors } from "./quantized_tensors.ts";
import { RouterFlips, type RouterSummary } from "./router_flips.ts";
import { blockMean, type Interval } from "./statistics.ts";
import { explainedError, findSuspects, type Suspect, tolerance } from "./suspects.ts";

/** One of the two settings, opened. */
export interface Side extends Numerics {
  readonly session: Session;
  readonly config: ModelConfig;
  /** The weights and what happens to the inputs of linears, as the session computes them. */
  readonly source: ModelSource;
  readonly kvFormat: KvFormat;
}

/** Options of {@linkcode compareSides}. */
export interface DivergenceOptions {
  /** Relative error above which a layer is named. */
  readonly alarm: number;
  /** Called after each piece with tokens done of all. */
  readonly onProgress?: (done: number, total: number) => void | Promise<void>;
}

/** Distance of one operation's results. */
export interface OperationDivergence {
  readonly layer: number;
  readonly operation: ComparedOperation;
  /** Each side on its own: errors of earlier operations included. */
  readonly total: ErrorSummary;
  /** Rows of an expert operation that have no counterpart, because a token went to other experts. */
  readonly unmatchedRows: number;
  /** The operation alone, on equal inputs; null where neither side can be given the other's. */
  readonly own: ErrorSummary | null;
  /** Relative error that the declared difference of the settings' number formats accounts for. */
  readonly explained: number;
  /** Channels of the result that stand out, by their own error where it is known. */
  readonly outliers: readonly OutlierChannel[];
}

/** Distance of the predictions. */
export interface LogitsDivergence {
  readonly positions: number;
  /** KL(A || B) in nats. */
  readonly meanKl: number;
  readonly maxKl: number;
  /** Where the largest is: sequence and position in it. */
  readonly maxKlAt: { readonly sequence: number; readonly position: number };
  /** Share of positions where both hold the same token for the likeliest. */
  readonly top1Agreement: number;
  readonly perplexityA: number;
  readonly perplexityB: number;
  /** Mean of log p_A - log p_B of the next token, over blocks of {@linkcode NLL_BLOCK} tokens. */
  readonly nllIncrease: Interval & { readonly mean: number };
  /** KL of every position, sequence after sequence. */
  readonly kl: readonly number[];
  /** Per position 1 where the likeliest token is the same, else 0. */
  readonly agrees: readonly (0 | 1)[];
}

/** A tensor that is quantized on either side. */
export interface TensorCounts {
  readonly name: string;
  readonly layer: number;
  /** Null where that side leaves the tensor as it is. */
  readonly a: QuantizedCounts | null;
  readonly b: QuantizedCounts | null;
}

/** The whole comparison. */
export interface Divergence {
  readonly tokens: number;
  readonly sequences: number;
  readonly logits: LogitsDivergence;
  readonly alarm: number;
  /** The first operation of the pass whose total error exceeds the alarm line. */
  readonly firstAboveAlarm: { layer: number; operation: ComparedOperation; relativeError: number } | null;
  /** In the order of the pass. */
  readonly operations: readonly OperationDivergence[];
  /** Operations whose own error is far above what the settings explain, in the order of the pass. */
  readonly suspects: readonly Suspect[];
  readonly router: RouterSummary;
  readonly tensors: readonly TensorCounts[];
}

/** Tokens of a block whose mean counts as one observation of the perplexity's change. */
export const NLL_BLOCK = 32;

/** @throws {InputError} if the models have different shapes. */
export function checkComparable(a: ModelConfig, b: ModelConfig): void {
  for (
    const name of [
      "layers",
      "hidden",
      "intermediate",
      "experts",
      "topK",
      "heads",
      "kvHeads",
      "headDim",
      "vocab",
    ] as const
  ) {
    if (a[name] !== b[name]) {
      throw new InputError(`compare: expected models of one shape, but A has ${name} ${a[name]} and B ${b[name]}`);
    }
  }
}

/**
 * Compares two settings on token sequences. What is held at a time is bounded by one piece (`maxTokens` of the sessions).
 *
 * @throws {InputError} if the models have different shapes.
 */
export async function compareSides(
  a: Side,
  b: Side,
  sequences: readonly Int32Array[],
  options: DivergenceOptions,
): Promise<Divergence> {
  checkComparable(a.config, b.config);
  const total = sequences.reduce((sum, s) => sum + s.length, 0);
  const measures = new Measures(a, b, options.alarm);
  let before = 0;
  for (const [index, tokens] of sequences.entries()) {
    measures.begin(index, tokens);
    await lockstep(a, b, tokens, measures, (done) => options.onProgress?.(before + done, total));
    before += tokens.length;
  }
  return measures.result(total, sequences.length);
}

/** Everything that is summed up while the two are computed. */
class Measures implements Observer {
  readonly #operations = new Map<string, OperationSums>();
  readonly #flips: RouterFlips;
  readonly #counters: { name: string; layer: number; a: QuantizedCounter | null; b: QuantizedCounter | null }[];
  readonly #kl: number[] = [];
  readonly #agrees: (0 | 1)[] = [];
  readonly #nllA: number[] = [];
  readonly #nllB: number[] = [];
  #tokens: Int32Array = new Int32Array(0);
  #sequence = 0;
  #worst = { kl: -1, sequence: 0, position: 0 };
  /** Router logits of A, for the margins of flips. */
  #routerLogits: Float32Array = new Float32Array(0);

  constructor(readonly a: Side, readonly b: Side, readonly alarm: number) {
    this.#flips = new RouterFlips(a.config);
    this.#counters = pairCounters(a, b);
  }

  begin(sequence: number, tokens: Int32Array): void {
    this.#sequence = sequence;
    this.#tokens = tokens;
  }

  free(pair: Pair): void {
    const sums = this.#sums(pair);
    if (pair.operation === "router") this.#routerLogits = pair.a;
    if (pair.operation === "route") {
      const at = { sequence: this.#sequence, start: pair.start, tokens: this.#tokens };
      this.#flips.add(pair, this.#routerLogits, at);
    }
    sums.addFree(pair, this.a.config);
    for (const { layer, a, b } of this.#counters) {
      if (layer !== pair.layer) continue;
      if (a?.tensor.operation === pair.operation) a.add(pair.a, pair.width);
      if (b?.tensor.operation === pair.operation) b.add(pair.b, pair.width);
    }
  }

  forced(pair: Pair): void {
    this.#sums(pair).addForced(pair, this.a.config);
  }

  logits(position: number, a: Float32Array, b: Float32Array): void {
    const kl = klDivergence(a, b);
    this.#kl.push(kl);
    this.#agrees.push(argmax(a) === argmax(b) ? 1 : 0);
    // A NaN must not hide behind a comparison that it fails.
    if (!(kl <= this.#worst.kl)) this.#worst = { kl, sequence: this.#sequence, position };
    const next = this.#tokens[position + 1];
    if (next === undefined) return;
    this.#nllA.push(-logProbability(a, next));
    this.#nllB.push(-logProbability(b, next));
  }

  result(tokens: number, sequences: number): Divergence {
    const operations = [...this.#operations.values()].map((sums) => sums.result());
    const first = operations.find((o) => !(o.total.relativeError <= this.alarm));
    const tensors = this.#counters.map(({ name, layer, a, b }): TensorCounts => ({
      name,
      layer,
      a: a?.counts() ?? null,
      b: b?.counts() ?? null,
    }));
    const details = new Map([...this.#operations].map(([key, sums]) => [key, sums.details()]));
    return {
      tokens,
      sequences,
      logits: this.#logits(),
      alarm: this.alarm,
      firstAboveAlarm: first
        ? { layer: first.layer, operation: first.operation, relativeError: first.total.relativeError }
        : null,
      operations,
      suspects: findSuspects(operations, (o) => details.get(keyOf(o))!, tensors, this.a, this.b),
      router: this.#flips.summary(),
      tensors,
    };
  }

  #logits(): LogitsDivergence {
    const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
    return {
      positions: this.#kl.length,
      meanKl: mean(this.#kl),
      maxKl: this.#worst.kl,
      maxKlAt: { sequence: this.#worst.sequence, position: this.#worst.position },
      top1Agreement: mean(this.#agrees),
      perplexityA: Math.exp(mean(this.#nllA)),
      perplexityB: Math.exp(mean(this.#nllB)),
      nllIncrease: blockMean(this.#nllB.map((x, i) => x - this.#nllA[i]!), NLL_BLOCK),
      kl: this.#kl,
      agrees: this.#agrees,
    };
  }

  #sums(pair: Pair): OperationSums {
    const key = keyOf(pair);
    let sums = this.#operations.get(key);
    if (sums === undefined) {
      const width = pair.operation === "route" ? this.a.config.experts : pair.width;
      const explained = explainedError(pair.layer, pair.operation, this.a, this.b);
      sums = new OperationSums(pair.layer, pair.operation, width, explained, tolerance(explained, this.a, this.b));
      this.#operations.set(key, sums);
    }
    return sums;
  }
}

function keyOf({ layer, operation }: { layer: number; operation: ComparedOperation }): string {
  return `${layer} ${operation}`;
}

function pairCounters(a: Side, b: Side) {
  const tensorsA = quantizedTensors(a.source, a.kvFormat), tensorsB = quantizedTensors(b.source, b.kvFormat);
  const names = new Map([...tensorsA, ...tensorsB].map((t) => [`${t.layer} ${t.name}`, t]));
  const order = (t: { layer: number; operation: Operation }) =>
    t.layer * OPERATIONS.length + OPERATIONS.indexOf(t.operation);
  return [...names.values()].sort((x, y) => order(x) - order(y)).map(({ name, layer }) => {
    const find = (tensors: typeof tensorsA) => {
      const tensor = tensors.find((t) => t.name === name && t.layer === layer);
      return tensor === undefined ? null : new QuantizedCounter(tensor);
    };
    return { name, layer, a: find(tensorsA), b: find(tensorsB) };
  });
}

/** What is known about the rows of an operation besides its sums. */
export interface RowDetails {
  /** Lowest position whose own error is more than can be explained, or null; and the share of such rows. */
  readonly firstPosition: number | null;
  readonly affectedRows: number;
  /** Own relative error per expert, for operations inside the experts. */
  readonly experts: ReadonlyMap<number, number>;
}

/** Sums of one operation in one layer. */
class OperationSums {
  readonly #free: ErrorSums;
  readonly #forced: ErrorSums;
  /** Without channels: there are many experts. */
  readonly #perExpert = new Map<number, RowSums>();
  #unmatched = 0;
  #affected = 0;
  #firstPosition: number | null = null;

  /** @param tolerance Own relative error from which a row is not explained. */
  constructor(
    readonly layer: number,
    readonly operation: ComparedOperation,
    readonly width: number,
    readonly explained: number,
    readonly tolerance: number,
  ) {
    this.#free = new ErrorSums(width);
    this.#forced = new ErrorSums(width);
  }

  addFree(pair: Pair, config: ModelConfig): void {
    forEachRow(pair, config, (atA, atB, a, b) => {
      if (atB === null) this.#unmatched++;
      else this.#free.add(a, atA, b, atB);
    });
  }

  addForced(pair: Pair, config: ModelConfig): void {
    const perToken = isSlotRows(this.operation) ? config.topK : 1;
    forEachRow(pair, config, (atA, atB, a, b, row) => {
      if (atB === null) return;
      const sums = this.#forced.add(a, atA, b, atB);
      if (perToken > 1) this.#addExpert(pair.expertsA![row]!, sums);
      if (relativeErrorOf(sums) <= this.tolerance) return;
      this.#affected++;
      const position = pair.start + Math.floor(row / perToken);
      this.#firstPosition = Math.min(this.#firstPosition ?? position, position);
    });
  }

  #addExpert(expert: number, { signal, error }: RowSums): void {
    const before = this.#perExpert.get(expert) ?? { signal: 0, error: 0 };
    this.#perExpert.set(expert, { signal: before.signal + signal, error: before.error + error });
  }

  result(): OperationDivergence {
    const own = this.#forced.rows > 0 ? this.#forced : null;
    return {
      layer: this.layer,
      operation: this.operation,
      total: this.#free.summary(),
      unmatchedRows: this.#unmatched,
      own: own?.summary() ?? null,
      explained: this.explained,
      outliers: (own !== null && own.summary().relativeError > 0 ? own : this.#free).outliers(),
    };
  }

  details(): RowDetails {
    return {
      firstPosition: this.#firstPosition,
      affectedRows: this.#forced.rows === 0 ? 0 : this.#affected / this.#forced.rows,
      experts: new Map([...this.#perExpert].map(([expert, sums]) => [expert, relativeErrorOf(sums)])),
    };
  }
}

/** Whether rows are (token, k-th chosen expert) pairs. */
function isSlotRows(operation: ComparedOperation): boolean {
  return operation === "experts.gate_up_proj" || operation === "experts.swiglu" || operation === "experts.down_proj";
}

/** Calls `use` with the offsets of every row of A and of its counterpart in B, null where there is none. */
function forEachRow(
  pair: Pair,
  { topK, experts }: ModelConfig,
  use: (atA: number, atB: number | null, a: Float32Array, b: Float32Array, row: number) => void,
): void {
  const { a, b, width, rows, expertsA, expertsB } = pair;
  if (pair.operation === "route") {
    // As weights of all experts, most of them zero: the same choice in another order is no difference.
    const left = new Float32Array(experts), right = new Float32Array(experts);
    for (let t = 0; t < rows; t++) {
      left.fill(0);
      right.fill(0);
      for (let k = 0; k < topK; k++) {
        left[expertsA![t * topK + k]!] = a[t * topK + k]!;
        right[expertsB![t * topK + k]!] = b[t * topK + k]!;
      }
      use(0, 0, left, right, t);
    }
    return;
  }
  const slots = isSlotRows(pair.operation);
  for (let row = 0; row < rows; row++) {
    let other: number | null = row;
    if (slots) {
      const first = row - row % topK;
      const k = expertsB!.subarray(first, first + topK).indexOf(expertsA![row]!);
      other = k < 0 ? null : first + k;
    }
    use(row * width, other === null ? null : other * width, a, b, row);
  }
}
