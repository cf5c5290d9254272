/** What the operation cases share: formats, shapes, inputs. */
import type { Backend } from "../../../src/model/backend.ts";
import type { ModelConfig } from "../../../src/checkpoint/model_config.ts";
import type { TensorName } from "../../../src/model/gpt_oss.ts";
import { roundToBf16 } from "../../../src/formats/bf16.ts";
import { type InputFormat, NO_QDQ } from "../../../src/formats/input.ts";
import { integers, normals } from "../../formats/seeded.ts";
import type { Observation } from "../compare.ts";
import { randomModel, type RandomModelOptions, testConfig } from "../random_model.ts";

/** A backend with the graph's tensors. */
export type Graph = Backend<TensorName>;

/** Every input format. To add one: a line here. */
export const INPUTS: readonly InputFormat[] = [
  NO_QDQ,
  { kind: "mx", element: "e2m1", rule: "even" },
  { kind: "mx", element: "e3m2", rule: "even" },
  { kind: "mx", element: "e2m3", rule: "even" },
  { kind: "mx", element: "e2m1", rule: "floor" },
  { kind: "mx", element: "e3m2", rule: "floor" },
  { kind: "mx", element: "e2m3", rule: "rceil" },
  { kind: "mx", element: "e4m3fn", rule: "rceil" },
  { kind: "fp8_static", scale: Math.fround(0.0123) },
  { kind: "fp8_token" },
];

/** "mx e2m1 even", "fp8_static", ... */
export function inputName(input: InputFormat): string {
  return input.kind === "mx" ? `mx ${input.element} ${input.rule}` : input.kind;
}

export const DTYPES = ["f32", "bf16"] as const;

/** Whole blocks everywhere, as in GPT-OSS. */
export const EVEN = testConfig({});
/** Widths that are no multiple of 32, or of 4; odd counts. Only without MX weights, which want whole blocks. */
export const UNEVEN = testConfig({
  hidden: 75,
  intermediate: 42,
  experts: 5,
  topK: 3,
  heads: 6,
  kvHeads: 3,
  headDim: 16,
});
/** hidden = heads * D, so that o_proj is square. */
export const SQUARE = testConfig({ hidden: 128, heads: 2, kvHeads: 1 });

export const TOKENS = [1, 2, 19];

/** Fills the first rows of a tensor with random numbers of about that size. */
export function fill(backend: Graph, name: TensorName, rows: number, seed: number, deviation = 1): void {
  const tensor = backend.tensors[name];
  backend.write(tensor, normals(seed, rows * tensor.width, deviation));
}

export function see(
  backend: Graph,
  name: TensorName,
  rows: number,
  label: string,
  agreement: Observation["agreement"] = "sum",
) {
  return { name: label, values: backend.read(backend.tensors[name], rows), agreement };
}

/** A routing in which experts have none, one and many of the tokens. */
export function unevenRouting(n: number, { experts, topK }: ModelConfig): { ids: Int32Array; weights: Float32Array } {
  const ids = Int32Array.from({ length: n * topK }, (_, s) => {
    const token = Math.floor(s / topK), k = s % topK;
    return token === 0 ? (experts - 1 + k) % experts : k;
  });
  return { ids, weights: normals(n, n * topK).map((x) => Math.abs(x) / topK) };
}

/** Rows for QDQ: normal ones, all magnitudes, ties, zeros and subnormals. */
export function awkwardRows(rows: number, width: number, dtypeIsBf16: boolean): Float32Array {
  const next = integers(77), normal = normals(5, rows * width);
  const values = normal.map((x, i) => {
    const row = Math.floor(i / width);
    switch (row % 6) {
      case 0:
        return x;
      case 1:
        return x * 2 ** (next() % 60 - 30);
      case 2: // multiples of an eighth: ties of every format
        return (next() % 257 - 128) / 8;
      case 3:
        return next() % 3 === 0 ? x : 0;
      case 4: // around the smallest normal number
        return x * 2 ** -(120 + next() % 25);
      default: // one large number that silences its block
        return i % 32 === 7 ? 3e37 * Math.sign(x) : x;
    }
  });
  // An activation of a bf16 model is a bf16 number.
  return dtypeIsBf16 ? values.map(roundToBf16) : values;
}

export const plain = (config: ModelConfig, options: Partial<RandomModelOptions> = {}) => () =>
  randomModel(6, { config, ...options });
