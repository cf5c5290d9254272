/** Scales of the KV cache, of queries and of attention probabilities in checkpoints of layout quark. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { type QuarkOptions, type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assertEquals } from "../assert.ts";
import { rewrite, type StoredNumbers, TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

const SHAPE: Shape = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };
const ATTENTION = "model.layers.1.self_attn";
const MX4: QuarkOptions = { inputScales: true, kvScales: "output_scale" };

type Tensors = Map<string, StoredNumbers>;
const float32 = (shape: number[], ...values: number[]): StoredNumbers => ({
  dtype: "F32",
  shape,
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});

/** A checkpoint with other tensors than it was made with. */
function changed(quark: QuarkOptions, change: (tensors: Tensors) => void): TemporaryDirectory {
  const dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "quark", quark });
  rewrite(`${dir.path}/model.safetensors`, change);
  return dir;
}

Deno.test("readQuark() takes both names of a KV scale where they agree", () => {
  using dir = changed({ kvScales: "legacy" }, (t) => {
    t.set(`${ATTENTION}.k_proj.output_scale`, { ...t.get(`${ATTENTION}.k_scale`)!, shape: [1] });
  });
  assertEquals(openCheckpoint(dir.path).warnings, []);
});

Deno.test("readQuark() takes the scale that keys alone have for values too, as vLLM does", () => {
  const names = ["k_proj.output_scale", "k_scale", "kv_scale"];
  for (const name of names) {
    const only = (t: Tensors, ...values: [name: string, value: number][]) => {
      for (const old of [...names, "v_proj.output_scale", "v_scale"]) t.delete(`${ATTENTION}.${old}`);
      for (const [name, value] of values) t.set(`${ATTENTION}.${name}`, float32([1], value));
    };
    using one = changed(MX4, (t) => only(t, [name, 0.25]));
    const { source, warnings } = openCheckpoint(one.path);
    assertEquals([source.kvScales[1], source.storedKvScales, warnings], [{ k: 0.25, v: 0.25 }, 2, []]);
    using two = changed(MX4, (t) => only(t, [name, 0.25], ["v_scale", 3]));
    assertEquals(openCheckpoint(two.path).source.kvScales[1], { k: 0.25, v: 3 });
    using none = changed(MX4, (t) => only(t));
    assertEquals(openCheckpoint(none.path).source.kvScales[1], { k: 1, v: 1 });
  }
});

Deno.test("readQuark() tells of scales of queries and attention probabilities, which the plan refuses", () => {
  for (const name of ["q_proj.output_scale", "q_scale", "prob_output_scale", "prob_scale"]) {
    using dir = changed(MX4, (t) => void t.set(`${ATTENTION}.${name}`, float32([], 1)));
    const { source, warnings } = openCheckpoint(dir.path);
    assertEquals([source.attentionScales?.tensor, warnings], [`${ATTENTION}.${name}`, []]);
    assertEquals(source.attentionScales!.file, `${dir.path}/model.safetensors`);
  }
  using dir = changed(MX4, () => {});
  assertEquals(openCheckpoint(dir.path).source.attentionScales, undefined);
  using several = changed(MX4, (t) => {
    for (const layer of [1, 0]) {
      for (const name of ["prob_scale", "q_scale"]) t.set(`model.layers.${layer}.self_attn.${name}`, float32([], 1));
    }
  });
  assertEquals(openCheckpoint(several.path).source.attentionScales?.tensor, "model.layers.0.self_attn.q_scale");
});
