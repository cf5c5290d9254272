/**
 * What a change of settings does to a model: both are computed on the same tokens, teacher-forced, and compared
 * operation by operation, layer by layer, and in their predictions.
 */
import { OperationSums } from "./operation_sums.ts";
import type { Divergence, LogitsDivergence, Side, TensorCounts } from "./comparison.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { InputError } from "../errors.ts";
import type { Origin } from "./intervals.ts";
import { largestPlaces, pooledShares } from "./largest_places.ts";
import { operation as operationOf, type OperationName, placeInPass } from "../model/operations.ts";
import { lockstep, type Observer, type Pair } from "./lockstep.ts";
import { originOf, summarizePredictions } from "./prediction_summary.ts";
import { type ForcedSequence, PredictionRecorder } from "./predictions.ts";
import { QuantizedChanges } from "./quantized_changes.ts";
import { QuantizedCounter, type QuantizedTensor, quantizedTensors } from "./quantized_tensors.ts";
import { RouterFlips } from "./router_flips.ts";
import { explainedError, findSuspects, tolerance } from "./suspects.ts";

/** Options of {@linkcode compareSides}. */
export interface DivergenceOptions {
  /** Relative error above which a layer is named. */
  readonly alarm: number;
  /** Called after each piece with tokens done of all. */
  readonly onProgress?: (done: number, total: number) => void | Promise<void>;
}

/** A sequence of {@linkcode compareSides}. */
export type ComparedTokens = Omit<ForcedSequence, "index">;

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
      throw InputError.of(
        "wrong_value",
        { name: "layer by layer" },
        `models of one shape, but A has ${name} ${a[name]} and B ${b[name]}`,
      );
    }
  }
}

/**
 * Compares two settings on token sequences. What is held at a time is bounded by one piece (`maxTokens` of the
 * sessions).
 *
 * @throws {InputError} if the models have different shapes.
 */
export async function compareSides(
  a: Side,
  b: Side,
  sequences: readonly ComparedTokens[],
  options: DivergenceOptions,
): Promise<Divergence> {
  checkComparable(a.config, b.config);
  const total = sequences.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const measures = new Measures(a, b, options.alarm, originOf(sequences));
  let before = 0;
  await options.onProgress?.(0, total);
  for (const [index, sequence] of sequences.entries()) {
    const { tokens } = sequence;
    measures.begin(index, sequence);
    await lockstep(a, b, tokens, measures, (done) => options.onProgress?.(before + done, total));
    before += tokens.length;
  }
  return measures.result(total, sequences.length);
}

/** Everything that is summed up while the two are computed. */
class Measures implements Observer {
  readonly #operations = new Map<string, OperationSums>();
  readonly #flips: RouterFlips;
  readonly #counters: ReturnType<typeof pairCounters>;
  readonly #recorders: PredictionRecorder[] = [];
  #tokens: Int32Array = new Int32Array(0);
  #sequence = 0;
  /** Router logits of A, for the margins of flips. */
  #routerLogits: Float32Array = new Float32Array(0);

  constructor(readonly a: Side, readonly b: Side, readonly alarm: number, readonly origin: Origin) {
    this.#flips = new RouterFlips(a.config, origin);
    this.#counters = pairCounters(a, b, origin);
  }

  begin(sequence: number, { tokens, replyFrom }: ComparedTokens): void {
    this.#sequence = sequence;
    this.#tokens = tokens;
    this.#recorders.push(new PredictionRecorder({ index: sequence, tokens, replyFrom }, true));
  }

  free(pair: Pair): void {
    const sums = this.#sums(pair);
    if (pair.operation === "router") this.#routerLogits = pair.a;
    if (pair.operation === "route") {
      const at = { sequence: this.#sequence, start: pair.start, tokens: this.#tokens };
      this.#flips.add(pair, this.#routerLogits, at);
    }
    sums.addFree(pair, this.a.config, this.#sequence);
    for (const { layer, operation, a, b, changes } of this.#counters) {
      if (layer !== pair.layer || operation !== pair.operation) continue;
      const perToken = operationOf(operation).rows === "slot" ? this.a.config.topK : 1;
      const origin = { sequence: this.#sequence, start: pair.start, perToken };
      changes?.add(pair, origin);
      a?.add(pair.a, pair.width, origin);
      b?.add(pair.b, pair.width, origin);
    }
  }

  forced(pair: Pair): void {
    this.#sums(pair).addForced(pair, this.a.config, this.#sequence);
  }

  logits(_position: number, a: Float32Array, b: Float32Array): void {
    this.#recorders.at(-1)!.add(a, b);
  }

  result(tokens: number, sequences: number): Divergence {
    const operations = [...this.#operations.values()].map((sums) => sums.result());
    const first = operations.find((o) => !(o.total.relativeError <= this.alarm));
    const tensors = this.#counters.map(({ name, layer, a, b, changes }): TensorCounts => ({
      name,
      layer,
      a: a?.counts() ?? null,
      b: b?.counts() ?? null,
      changes: changes?.result() ?? null,
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
      largest: largestPlaces([...this.#operations.values()], this.#counters),
      pooled: pooledShares(this.#counters),
    };
  }

  #logits(): LogitsDivergence {
    const sequences = this.#recorders.map((recorder) => recorder.result());
    return { summary: summarizePredictions(sequences), sequences };
  }

  #sums(pair: Pair): OperationSums {
    const key = keyOf(pair);
    let sums = this.#operations.get(key);
    if (sums === undefined) {
      const width = pair.operation === "route" ? this.a.config.experts : pair.width;
      const { a, b, origin } = this, { layer, operation } = pair;
      const explained = explainedError(layer, operation, a, b);
      sums = new OperationSums(layer, operation, width, explained, tolerance(explained, a, b), origin);
      this.#operations.set(key, sums);
    }
    return sums;
  }
}

function keyOf({ layer, operation }: { layer: number; operation: OperationName }): string {
  return `${layer} ${operation}`;
}

function pairCounters(a: Side, b: Side, origin: Origin) {
  const tensorsA = quantizedTensors(a.source, a), tensorsB = quantizedTensors(b.source, b);
  const names = new Map([...tensorsA, ...tensorsB].map((t) => [`${t.layer} ${t.name}`, t]));
  const inOrder = [...names.values()].sort((x, y) =>
    x.layer - y.layer || placeInPass(x.operation) - placeInPass(y.operation)
  );
  return inOrder.map(({ name, layer, operation }) => {
    const [left, right] = [tensorsA, tensorsB].map((all) => all.find((t) => t.name === name && t.layer === layer));
    const counter = (tensor: QuantizedTensor | undefined) =>
      tensor === undefined ? null : new QuantizedCounter(tensor, origin);
    const changes = QuantizedChanges.of(left, right, origin);
    return { name, layer, operation, a: counter(left), b: counter(right), changes };
  });
}
