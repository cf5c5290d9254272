/** Runs one operation case on two backends and measures how far apart their results are. */
import type { Backend, Batch, OpenRequest } from "../../src/model/backend.ts";
import type { Dtype } from "../../src/formats/format.ts";
import { type TensorName, workspace } from "../../src/model/gpt_oss.ts";
import type { RandomModel } from "./random_model.ts";

/** Opens a backend. */
export type Opener = (request: OpenRequest<TensorName>) => Promise<Backend<TensorName>>;

/** What an operation produced, and how closely two backends must agree on it. */
export interface Observation {
  readonly name: string;
  readonly values: Float32Array | Int32Array;
  /**
   * `exact`: equal numbers, where -0 equals 0 and NaN equals NaN. `sum`: small normalized mean square error after
   * rounding to the dtype. `float32`: the same for results that stay float32 in every dtype.
   */
  readonly agreement: "exact" | "sum" | "float32";
}

/** An operation on a model; enumerated in operations.ts. */
export interface OperationCase {
  /** Operation, formats, shape. */
  readonly name: string;
  readonly dtype: Dtype;
  model(): RandomModel;
  /** Additions to the request, for instance the KV format. */
  readonly request?: Partial<Pick<OpenRequest, "kvFormat" | "maxTokens" | "slots" | "context" | "part">>;
  run(backend: Backend<TensorName>, model: RandomModel): readonly Observation[];
}

/** Largest tolerated sum of squared differences, in parts of the sum of squares, where results are float32. */
export const MAX_NMSE = 1e-12;

/**
 * bf16 results are equal but where a value lay next to the middle between two bf16 numbers: one of them may be one unit
 * off, and not many are.
 */
const MAX_NMSE_BF16 = 1e-6;
const BF16_UNIT = 2 ** -7;

/** How two backends' results differ. */
export interface Difference {
  readonly observation: string;
  readonly nmse: number;
  readonly largest: number;
}

/**
 * Runs a case on two backends, on the same weights and inputs.
 *
 * @returns The difference of each observation.
 * @throws {Error} if one is too large, naming case, observation and place.
 */
export async function compareBackends(a: Opener, b: Opener, operation: OperationCase): Promise<readonly Difference[]> {
  using model = operation.model();
  const [left, right] = [await observe(a, operation, model), await observe(b, operation, model)];
  if (left.length !== right.length || left.length === 0) {
    throw new Error(`${operation.name}: ${left.length} and ${right.length} observations`);
  }
  return left.map((observation, i) => {
    try {
      return difference(observation, right[i]!, operation.dtype);
    } catch (thrown) {
      throw new Error(`${operation.name}: ${thrown instanceof Error ? thrown.message : thrown}`);
    }
  });
}

async function observe(open: Opener, operation: OperationCase, model: RandomModel): Promise<readonly Observation[]> {
  const { config, source } = model;
  const backend = await open({
    source,
    config,
    dtype: operation.dtype,
    kvFormat: operation.dtype,
    maxTokens: 32,
    slots: 2,
    context: 64,
    tensors: workspace(config, source),
    ...operation.request,
  });
  try {
    return operation.run(backend, model);
  } finally {
    await backend.close();
  }
}

/** @throws {Error} if the difference is too large. */
export function difference(a: Observation, b: Observation, dtype: Dtype): Difference {
  if (a.values.length !== b.values.length) {
    throw new Error(`${a.name}: ${a.values.length} and ${b.values.length} values`);
  }
  let squares = 0, error = 0, largest = 0, at = 0;
  for (let i = 0; i < a.values.length; i++) {
    const x = a.values[i]!, y = b.values[i]!;
    if (x === y || Number.isNaN(x) && Number.isNaN(y)) {
      if (Number.isFinite(x)) squares += x * x;
      continue;
    }
    const apart = Math.abs(x - y);
    if (a.agreement === "exact" || !Number.isFinite(apart)) {
      throw new Error(`${a.name}[${i}]: ${x} and ${y}, expected equal numbers`);
    }
    squares += x * x;
    error += apart * apart;
    if (apart > largest) [largest, at] = [apart, i];
  }
  const nmse = error === 0 ? 0 : error / squares;
  const rounded = dtype === "bf16" && a.agreement !== "float32";
  const limit = rounded ? MAX_NMSE_BF16 : MAX_NMSE;
  // Not `nmse > limit`, which NaN would pass.
  if (!(nmse <= limit)) {
    throw new Error(
      `${a.name}: NMSE ${nmse.toExponential(2)}, expected at most ${limit}; largest at [${at}]: ` +
        `${a.values[at]} and ${b.values[at]}`,
    );
  }
  if (rounded) {
    // Where terms cancel, a float32 error may be many units of a small result.
    const rms = Math.sqrt(squares / a.values.length);
    for (let i = 0; i < a.values.length; i++) {
      const x = a.values[i]!, y = b.values[i]!;
      const allowed = BF16_UNIT * Math.max(Math.abs(x), Math.abs(y)) + 1e-5 * rms;
      if (Math.abs(x - y) > allowed) throw new Error(`${a.name}[${i}]: ${x} and ${y}, more than one bf16 unit apart`);
    }
  }
  return { observation: a.name, nmse, largest };
}

/** Registers one test per case that compares a backend with another, usually `reference`. */
export function testBackends(label: string, a: Opener, b: Opener, cases: readonly OperationCase[]): void {
  for (const operation of cases) {
    Deno.test(`${label}: ${operation.name}`, async () => {
      await compareBackends(a, b, operation);
    });
  }
}

/** `count` tokens of slot 0 from a position on. */
export function consecutive(count: number, position = 0, slot = 0, vocab = 96): Batch {
  return {
    ids: Int32Array.from({ length: count }, (_, t) => (7 * (position + t) + 3 * slot) % vocab),
    slots: new Int32Array(count).fill(slot),
    positions: Int32Array.from({ length: count }, (_, t) => position + t),
  };
}
