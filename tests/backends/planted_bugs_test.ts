/**
 * The operation list is only worth something if it finds bugs: each of these is planted in `reference`, and a case must
 * see it.
 */
import type { InputFormat } from "../../src/formats/input.ts";
import type { Backend, Linear, OpenRequest, Tensor } from "../../src/model/backend.ts";
import { openReference } from "../../src/backends/reference/open.ts";
import { reason } from "../../src/errors.ts";
import type { LinearSource, MatrixSource, ModelSource } from "../../src/checkpoint/source.ts";
import type { TensorName } from "../../src/model/gpt_oss.ts";
import type { WeightFormat } from "../../src/formats/format.ts";
import { assert, assertMatch, assertRejects } from "../assert.ts";
import type { OperationCase } from "./compare.ts";
import { compareBackends, type Opener, OPERATION_CASES } from "./operations.ts";

type Graph = Backend<TensorName>;

/** `reference` with some of its methods replaced; the others see the replaced ones too. */
function altered(alter: (backend: Graph) => Partial<Graph>): Opener {
  return async (request) => {
    const backend = await openReference(request);
    const changes = alter(backend);
    return new Proxy(backend, {
      get(target, key) {
        const value = Reflect.get(key in changes ? changes : target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };
}

/** `reference` on another request than was made. */
const asked = (change: (request: OpenRequest<TensorName>) => Partial<OpenRequest<TensorName>>): Opener => (request) =>
  openReference({ ...request, ...change(request) });

/** `reference` on a model whose linears were changed. */
const relinked = (change: (linear: LinearSource) => LinearSource): Opener =>
  asked(({ source }) => ({ source: mapLinears(source, change) }));

function mapLinears(source: ModelSource, change: (linear: LinearSource) => LinearSource): ModelSource {
  const layers = source.tree.layers.map((layer) => ({
    ...layer,
    q: change(layer.q),
    k: change(layer.k),
    v: change(layer.v),
    o: change(layer.o),
    gateUp: layer.gateUp.map(change),
    down: layer.down.map(change),
  }));
  return { ...source, tree: { ...source.tree, layers } };
}

const reweighed = (change: (weight: MatrixSource) => Partial<MatrixSource>): Opener =>
  relinked((linear) => ({ ...linear, weight: { ...linear.weight, ...change(linear.weight) } }));

const reformatted = (from: WeightFormat, to: WeightFormat): Opener =>
  reweighed(({ format }) => ({ format: format === from ? to : format }));

const requantized = (change: (input: InputFormat) => InputFormat): Opener =>
  relinked((linear) => ({ ...linear, input: change(linear.input) }));

/** Changes the numbers of a tensor after an operation. */
function after(backend: Graph, tensor: Tensor, change: (values: Float32Array) => void): void {
  const values = backend.read(tensor, tensor.rows);
  change(values);
  backend.write(tensor, values);
}

const swapNeighbours = (values: Float32Array): void => {
  for (let i = 0; i + 1 < values.length; i += 2) [values[i], values[i + 1]] = [values[i + 1]!, values[i]!];
};

/** Bug, how it is planted, and the start of the names of the cases that must see it. */
const BUGS: readonly (readonly [bug: string, open: Opener, cases: string])[] = [
  [
    "the embedding row after",
    altered((b) => ({
      embed: (out, table) => {
        b.embed(out, table);
        after(b, out, (v) => v.copyWithin(0, out.width));
      },
    })),
    "embed",
  ],
  ["a norm without epsilon", asked(({ config }) => ({ config: { ...config, rmsNormEps: 0 } })), "rmsNorm"],
  [
    "a relative error of 1e-4 in one column",
    altered((b) => ({
      linear: (outs, x, linears) => {
        b.linear(outs, x, linears);
        const { width } = outs[0]!;
        after(b, outs[0]!, (v) => v.forEach((x, i) => v[i] = i % width === 3 ? x * (1 + 1e-4) : x));
      },
    })),
    "GEMMs, bf16 weights, none input",
  ],
  [
    "scales one block late",
    reweighed(({ scale }) => ({
      scale: scale.kind === "e8m0" ? { ...scale, offset: scale.offset + 1 } : scale,
    })),
    "GEMMs, mxfp4",
  ],
  [
    "scales of FP8 rows forgotten",
    reweighed(({ scale }) => ({
      scale: scale.kind === "row" ? { kind: "none" } : scale,
    })),
    "GEMMs, fp8_e4m3 per row",
  ],
  ["e2m3 read as e3m2", reformatted("mxfp6_e2m3", "mxfp6_e3m2"), "dequantization of mxfp6_e2m3"],
  ["fnuz read as fn", reformatted("fp8_e4m3fnuz", "fp8_e4m3"), "dequantization of fp8_e4m3fnuz"],
  [
    "a transposed matrix read as it lies",
    reweighed((w) =>
      w.transposed && w.rows === w.cols ? { transposed: false } : w.transposed ? { offset: w.offset + 2 } : {}
    ),
    "GEMMs, f32 transposed",
  ],
  [
    "`floor` instead of `even`",
    requantized((i) => i.kind === "mx" ? { ...i, rule: "floor" } : i),
    "QDQ of mx e2m1 even",
  ],
  [
    "`even` instead of `rceil`",
    requantized((i) => i.kind === "mx" ? { ...i, rule: "even" } : i),
    "QDQ of mx e4m3fn rceil",
  ],
  ["no QDQ", requantized(() => ({ kind: "none" })), "QDQ of fp8_token"],
  [
    "a static scale halved",
    requantized((i) => i.kind === "fp8_static" ? { ...i, scale: i.scale / 2 } : i),
    "QDQ of fp8_static",
  ],
  ["no bias", relinked((linear) => ({ ...linear, bias: null })), "GEMMs, bf16 weights"],
  [
    "queries not rotated",
    altered((b) => ({
      rotate: (q, k) => {
        const kept = b.read(q, q.rows);
        b.rotate(q, k);
        b.write(q, kept);
      },
    })),
    "rotate",
  ],
  [
    "a window one short",
    asked(({ config }) => ({
      config: { ...config, slidingWindow: config.slidingWindow - 1 },
    })),
    "attention",
  ],
  [
    "sinks dropped",
    asked(({ source }) => ({
      source: {
        ...source,
        tree: { ...source.tree, layers: source.tree.layers.map((l) => ({ ...l, sinks: { ...l.sinks, offset: 0 } })) },
      },
    })),
    "attention",
  ],
  [
    "scales of the KV cache forgotten",
    asked(({ source }) => ({
      source: { ...source, kvScales: source.kvScales.map(() => ({ k: 1, v: 1 })) },
    })),
    "store, fp8 cache, scales 0.013",
  ],
  ["an FP8 cache in bf16", asked(() => ({ kvFormat: "bf16" })), "store, fp8"],
  ["a slot not copied", altered(() => ({ copySlot: () => {} })), "attention"],
  [
    "ties to the higher index",
    altered((b) => ({
      route: (logits) => {
        b.route(logits);
        const { ids, weights } = b.readRouting();
        b.writeRouting(ids.map((id, i) => i < 2 ? 1 - id : id), weights);
      },
    })),
    "route",
  ],
  [
    "gate and up swapped",
    altered((b) => ({
      swiglu: (out, z) => {
        after(b, z, swapNeighbours);
        b.swiglu(out, z);
      },
    })),
    "swiglu",
  ],
  ["up not clamped from below", asked(({ config }) => ({ config: { ...config, swigluLimit: 60 } })), "swiglu"],
  [
    "weights of the experts ignored",
    altered((b) => ({
      combine: (out, y) => {
        const { ids, weights } = b.readRouting();
        b.writeRouting(ids, weights.map(() => 1));
        b.combine(out, y);
      },
    })),
    "combine",
  ],
  [
    "the wrong expert",
    altered((b) => ({
      expertGateUp: (out, x, linears: readonly Linear[]) => b.expertGateUp(out, x, linears.toReversed()),
    })),
    "GEMMs, mxfp4 weights, none",
  ],
  ["an all-reduce left out", altered(() => ({ allReduce: () => {} })), "a rank's part"],
  [
    "experts counted from 0 on every rank",
    asked(({ part }) => part ? { part: { ...part, expertStart: 0 } } : {}),
    "a rank's part",
  ],
  ["no rounding", asked(() => ({ dtype: "f32" })), "rotate, even widths, bf16"],
];

for (const [bug, open, start] of BUGS) {
  Deno.test(`compareBackends() finds: ${bug}`, async () => {
    const cases = OPERATION_CASES.filter(({ name }) => name.startsWith(start));
    assert(cases.length > 0, `no case starts with ${start}`);
    for (const operation of cases) {
      const message = await compareBackends(openReference, open, operation).then(() => null, reason);
      // A crash would be another bug than the planted one.
      if (message !== null) return assertMatch(message, /NMSE|expected equal numbers|bf16 unit|differs/);
    }
    throw new Error(`none of ${cases.length} cases`);
  });
}

Deno.test("compareBackends() names case, observation and numbers", async () => {
  const [operation] = OPERATION_CASES.filter(({ name }) => name.startsWith("swiglu")) as [OperationCase];
  const bug = asked(({ config }) => ({ config: { ...config, swigluAlpha: 1.7 } }));
  await assertRejects(
    () => compareBackends(openReference, bug, operation),
    Error,
    "swiglu, even widths, f32: inputs of size",
  );
});

Deno.test("OPERATION_CASES have different names", () => {
  const names = OPERATION_CASES.map(({ name }) => name);
  assert(new Set(names).size === names.length);
});
