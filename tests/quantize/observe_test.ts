import type { ModelConfig } from "../../src/checkpoint/model_config.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { TapPoint } from "../../src/model/gpt_oss.ts";
import type { TappedOperation } from "../../src/model/operations.ts";
import { InputError } from "../../src/errors.ts";
import type { Session } from "../../src/session/session.ts";
import { observe, Observer } from "../../src/quantize/observe.ts";
import { assertEquals, assertRejects } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { openTiny, TINY } from "../model/tiny.ts";

/** Points of layer 0 of a model with four experts, two per token. */
const CONFIG = { layers: 1, experts: 4, topK: 2 } as ModelConfig;
function point(operation: TappedOperation, rows: number, values: number[], experts?: number[]): TapPoint {
  return {
    layer: 0,
    operation,
    rows,
    width: values.length / rows,
    read: () => Float32Array.from(values),
    ...(experts ? { experts: () => Int32Array.from(experts) } : {}),
  };
}
const by448 = (amax: number) => Math.fround(amax / 448);

Deno.test("Observer gives every expert the scale of the tokens that chose it, for both linears", () => {
  const observer = new Observer(CONFIG);
  observer.look(point("postNorm", 2, [1, -3, 2, 1.5]));
  observer.look(point("route", 2, [0.6, 0.4, 0.9, 0.1], [0, 2, 2, 3]));
  observer.look(point("experts.swiglu", 4, [5, 1, -7, 2, 0.5, 0.25, 9, -8]));
  // A second batch: largest magnitudes only grow.
  observer.look(point("postNorm", 1, [-2.5, 0]));
  observer.look(point("route", 1, [0.5, 0.5], [3, 0]));
  observer.look(point("experts.swiglu", 2, [1, 1, -6, 6]));
  const { inputs, unseenExperts } = observer.result();
  const scales = (name: string) => [0, 1, 2, 3].map((e) => inputs.get(`model.layers.0.mlp.experts.${e}.${name}`));
  // Expert 1 had no token: it has the largest scale, which is what a reader takes that merges them.
  assertEquals(scales("gate_up_proj"), [by448(3), by448(3), by448(3), by448(2.5)]);
  assertEquals(scales("down_proj"), [by448(6), by448(9), by448(7), by448(9)]);
  assertEquals(unseenExperts, 1);
});

Deno.test("Observer measures keys after the rotary embedding, values, and the inputs of attention's linears", () => {
  const observer = new Observer(CONFIG);
  observer.look({ ...point("embed", 1, [99, 99]), layer: -1 });
  observer.look(point("inputNorm", 1, [1, -4]));
  observer.look(point("k_proj", 1, [50, 50]));
  observer.look(point("v_proj", 1, [0.5, -0.75]));
  observer.look(point("rotary.k", 1, [-60, 10]));
  observer.look(point("attention", 1, [0.25, 0.125]));
  // A second batch, of smaller numbers but for values.
  observer.look(point("inputNorm", 1, [2, 3]));
  observer.look(point("rotary.k", 1, [5, 5]));
  observer.look(point("v_proj", 1, [0.875, 0]));
  observer.look(point("attention", 1, [0.125, 0.125]));
  observer.look({ ...point("finalNorm", 1, [99, 99]), layer: 1 });
  const { inputs, kv } = observer.result();
  assertEquals(kv, [{ k: by448(60), v: by448(0.875) }]);
  const attention = ["q", "k", "v", "o"].map((name) => inputs.get(`model.layers.0.self_attn.${name}_proj`));
  assertEquals(attention, [by448(4), by448(4), by448(4), by448(0.25)]);
});

Deno.test("Observer remembers that an input was no finite number, whatever comes after", () => {
  for (const operation of ["inputNorm", "postNorm", "rotary.k"] as const) {
    for (const wrong of [Infinity, -Infinity, NaN]) {
      const observer = new Observer(CONFIG);
      observer.look(point(operation, 1, [1, 2]));
      assertEquals(observer.finite, true);
      observer.look(point(operation, 2, [1, wrong, 2, 3]));
      observer.look(point(operation, 1, [1, 2]));
      assertEquals(observer.finite, false, `${operation} ${wrong}`);
    }
  }
});

Deno.test("observe() refuses inputs that are no finite numbers, and counts tokens over all sequences", async () => {
  const done: number[] = [];
  const session = (values: number[]) =>
    ({
      reset: () => {},
      feed: (_: unknown, __: unknown, look: Observer["look"], progress: (done: number) => void) => {
        look(point("inputNorm", 1, values));
        progress(2);
        return Promise.resolve();
      },
      refuse: () => Promise.reject(new InputError("not finite")),
    }) as unknown as Session;
  const sequences = [Int32Array.of(1, 2), Int32Array.of(3, 4), Int32Array.of(5, 6)];
  const count = (tokens: number, total: number) => done.push(tokens, total);
  await observe(session([1, 2]), CONFIG, sequences, count);
  assertEquals(done, [2, 6, 4, 6, 6, 6]);
  await assertRejects(() => observe(session([1, Infinity]), CONFIG, sequences), InputError, "not finite");
});

Deno.test("observe() computes every sequence from its beginning; its largest scales are all experts'", async () => {
  const { config } = openCheckpoint(TINY);
  const ids = Int32Array.from(integers(readGolden("logits.safetensors"), "two_turns.ids"));
  const session = await openTiny({ dtype: "bf16", maxTokens: 48 });
  const twice = await observe(session, config, [ids, ids.slice(0, 30), ids]);
  const once = await observe(session, config, [ids]);
  assertEquals(twice, once);
  // Not by expert: straight from the taps.
  const largest = new Map<string, number>();
  session.reset(0);
  await session.feed({ slot: 0, tokens: ids, logits: "none" }, undefined, (tap) => {
    const name = `${tap.layer} ${tap.operation}`;
    largest.set(name, Math.max(largest.get(name) ?? 0, ...tap.read().map(Math.abs)));
  });
  await session.close();
  for (let layer = 0; layer < config.layers; layer++) {
    const most = (name: string) =>
      Math.max(
        ...Array.from({ length: config.experts }, (_, e) =>
          once.inputs.get(`model.layers.${layer}.mlp.experts.${e}.${name}`)!),
      );
    assertEquals(most("gate_up_proj"), by448(largest.get(`${layer} postNorm`)!));
    assertEquals(most("down_proj"), by448(largest.get(`${layer} experts.swiglu`)!));
    assertEquals(once.kv[layer]!.k, by448(largest.get(`${layer} rotary.k`)!));
    assertEquals(once.kv[layer]!.v, by448(largest.get(`${layer} v_proj`)!));
  }
});

Deno.test("Observer gives experts without tokens the largest scale of their layer, and counts those of all", () => {
  const observer = new Observer({ layers: 2, experts: 3, topK: 1 } as ModelConfig);
  const look = (layer: number, operation: TappedOperation, values: number[], experts: number[] = []) =>
    observer.look({ ...point(operation, values.length, values, experts), layer });
  look(0, "v_proj", [0.75, -0.5]);
  look(0, "rotary.k", [-0.25, 0.125]);
  look(0, "postNorm", [-8, 2]);
  look(0, "route", [1, 1], [0, 2]);
  look(0, "experts.swiglu", [4, -0.5]);
  look(1, "postNorm", [0.25]);
  look(1, "route", [1], [1]);
  look(1, "experts.swiglu", [0.125]);
  const { inputs, kv, unseenExperts } = observer.result();
  assertEquals([unseenExperts, kv[0]], [3, { k: by448(0.25), v: by448(0.75) }]);
  const scales = (layer: number, name: string) =>
    [0, 1, 2].map((expert) => inputs.get(`model.layers.${layer}.mlp.experts.${expert}.${name}`));
  assertEquals(scales(0, "gate_up_proj"), [8, 8, 2].map(by448));
  assertEquals(scales(0, "down_proj"), [4, 4, 0.5].map(by448));
  assertEquals(
    [scales(1, "gate_up_proj"), scales(1, "down_proj")],
    [0.25, 0.125].map((most) => new Array(3).fill(by448(most))),
  );
});
