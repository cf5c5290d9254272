/** Tensors that no layout reads: refused by name, but for a table that follows from the config and draft heads. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { inverseFrequencies } from "../../src/checkpoint/frequencies.ts";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { type Layout, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { float32ToBf16 } from "../../src/formats/bf16.ts";
import { assert, assertEquals } from "../assert.ts";
import { refusal, rewrite, type StoredNumbers, TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

const SHAPE = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };
const byte: StoredNumbers = { dtype: "U8", shape: [1], bytes: new Uint8Array(1) };
const nothing: StoredNumbers = { dtype: "BF16", shape: [0, 4], bytes: new Uint8Array(0) };

/** A checkpoint with further tensors. */
function withTensors(more: Readonly<Record<string, StoredNumbers>>, layout: Layout = "hf_mxfp4"): TemporaryDirectory {
  const dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout });
  rewrite(`${dir.path}/model.safetensors`, (tensors) => {
    for (const [name, tensor] of Object.entries(more)) tensors.set(name, tensor);
  });
  return dir;
}

const UNKNOWN: readonly string[] = [
  ...["model.embed_positions.weight", "model.layers.0.layer_scalar", "model.layers.1.self_attn.q_norm.weight"],
  ...["lm_head.bias", "model.layers.0.mlp.shared_expert.up_proj.weight", "logit_scale", "score.weight", "x"],
  ...["vision_tower.patch.weight", "model.layers.1.rotary_emb.cos_cached", "xmtp.head.weight", "mtpx", "model.mtp"],
  ...["inv_freq", "xrotary_emb.inv_freq", "transformer.h.0.weight", "base_model.model.lm_head.weight"],
];

for (const layout of ["hf_mxfp4", "hf_bf16", "quark", "original"] as const) {
  Deno.test(`openCheckpoint() refuses a tensor that is not known in layout ${layout}, by file and name`, () => {
    for (const name of layout === "hf_mxfp4" ? UNKNOWN : UNKNOWN.slice(0, 3)) {
      for (const tensor of [byte, nothing]) {
        using dir = withTensors({ [name]: tensor }, layout);
        assertEquals(
          refusal(() => openCheckpoint(dir.path), dir.path, InputError),
          `model.safetensors: tensor ${name}: expected none of that name, got one: what it does to the model is not ` +
            "known",
        );
      }
    }
  });
}

Deno.test("openCheckpoint() names the shard that a tensor which is not known is in", () => {
  using dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "hf_mxfp4", shards: 2 });
  const shards = [...Deno.readDirSync(dir.path)].map(({ name }) => name).filter((name) => name.endsWith("safetensors"));
  const shard = shards.sort()[1]!, index = `${dir.path}/model.safetensors.index.json`;
  rewrite(`${dir.path}/${shard}`, (tensors) => void tensors.set("model.embed_positions.weight", byte));
  for (const isListed of [true, false]) {
    const json = JSON.parse(Deno.readTextFileSync(index));
    delete json.metadata;
    if (isListed) json.weight_map["model.embed_positions.weight"] = shard;
    else delete json.weight_map["model.embed_positions.weight"];
    Deno.writeTextFileSync(index, JSON.stringify(json));
    const line = refusal(() => openCheckpoint(dir.path), dir.path, InputError);
    assert(line.startsWith(`${shard}: tensor model.embed_positions.weight: expected none of that name, got one`), line);
  }
});

Deno.test("openCheckpoint() says that heads which draft tokens are not read, where the config has them", () => {
  const heads = ["mtp.fc.weight", "mtp.layers.0.mlp.experts.7.gate_up_proj.weight", "model.mtp.norm.weight"];
  using one = withTensors({ "mtp.fc.weight": byte });
  using all = withTensors(Object.fromEntries(heads.map((name) => [name, byte])));
  const said = (dir: TemporaryDirectory) => openCheckpoint(dir.path).warnings.map((line) => line.split("/").at(-1));
  for (const heads of [0, null]) {
    all.write("config.json", { ...randomConfig(SHAPE, "hf_mxfp4"), num_nextn_predict_layers: heads });
    assertEquals(
      refusal(() => openCheckpoint(all.path), all.path, InputError),
      "model.safetensors: tensor mtp.fc.weight: expected none of that name, got one: what it does to the model is " +
        "not known",
    );
  }
  for (const key of ["num_nextn_predict_layers", "num_mtp_layers", "mtp_num_hidden_layers"]) {
    for (const dir of [one, all]) dir.write("config.json", { ...randomConfig(SHAPE, "hf_mxfp4"), [key]: 1 });
    const rest = "not read: they draft tokens after the next one, and no logits depend on them";
    assertEquals(said(one), [`model.safetensors: mtp.fc.weight ${rest}`]);
    assertEquals(said(all), [`model.safetensors: mtp.fc.weight and 2 more ${rest}`]);
  }
});

const WRITE: Readonly<Record<string, (values: Float64Array) => Uint8Array>> = {
  F64: (values) => new Uint8Array(values.slice().buffer),
  F32: (values) => new Uint8Array(Float32Array.from(values).buffer),
  F16: (values) => new Uint8Array(Float16Array.from(values).buffer),
  BF16: (values) => new Uint8Array(Uint16Array.from(values, (x) => float32ToBf16(Math.fround(x))).buffer),
};
const NAMES = ["model.rotary_emb.inv_freq", "model.layers.1.self_attn.rotary_emb.inv_freq"];
const { headDim } = SHAPE, theta = 150_000;
const yarn = { factor: 32, betaFast: 32, betaSlow: 1, originalMaxPositions: 4096, truncate: false };
const ANGLES = inverseFrequencies(headDim, { theta, yarn });
const table = (dtype: string, values: Float64Array): StoredNumbers => ({
  ...{ dtype, shape: [values.length], bytes: WRITE[dtype]!(values) },
});

Deno.test("openCheckpoint() takes a table of the rotary embedding whose numbers are those of the config", () => {
  for (const dtype of Object.keys(WRITE)) {
    using dir = withTensors(Object.fromEntries(NAMES.map((name) => [name, table(dtype, ANGLES)])));
    assertEquals(openCheckpoint(dir.path).warnings, []);
  }
});

Deno.test("openCheckpoint() refuses a table of other angles, by its first number that differs", () => {
  const changed = (change: (angle: number, i: number) => number) => ANGLES.map(change);
  const others: [what: string, angles: Float64Array][] = [
    ["plain rotary embedding", inverseFrequencies(headDim, { theta, yarn: null })],
    ["truncated", inverseFrequencies(headDim, { theta, yarn: { ...yarn, truncate: true } })],
    ["another base", inverseFrequencies(headDim, { theta: 10_000, yarn })],
    ["another factor", inverseFrequencies(headDim, { theta, yarn: { ...yarn, factor: 31 } })],
    ["NaN", changed((x, i) => i === 3 ? NaN : x)],
    ["infinity", changed((x, i) => i === 3 ? Infinity : x)],
    ["another sign", changed((x, i) => i === 3 ? -x : x)],
    ["zeros", changed(() => 0)],
  ];
  for (const [what, angles] of others) {
    for (const dtype of Object.keys(WRITE)) {
      using dir = withTensors({ [NAMES[0]!]: table(dtype, angles) });
      const line = refusal(() => openCheckpoint(dir.path), dir.path, InputError), at = /at element (\d+),/.exec(line);
      assert(at !== null && line.startsWith(`model.safetensors: tensor ${NAMES[0]}: expected `), `${what}: ${line}`);
      const i = Number(at[1]), near = (other: number) => Math.abs(other / ANGLES[i]! - 1) < 1e-9;
      assert(!near(angles[i]!) && angles.subarray(0, i).every((x, j) => Math.abs(x / ANGLES[j]! - 1) < 0.01), line);
    }
  }
});

Deno.test("a table of the rotary embedding is held to the digits of its dtype, and so is the unscaled one", () => {
  const last = ANGLES.length - 1, name = "model.rotary_emb.original_inv_freq";
  for (const [dtype, off] of [["BF16", 2 ** -7], ["F16", 2 ** -9], ["F32", 3e-5], ["F64", 3e-5]] as const) {
    // The angle of the last pair is that of few steps of float16.
    for (const at of dtype === "F16" ? [3] : [3, last]) {
      for (const sign of [1, -1]) {
        using dir = withTensors({ [name]: table(dtype, ANGLES.map((x, i) => i === at ? x * (1 + sign * off) : x)) });
        const line = refusal(() => openCheckpoint(dir.path), dir.path, InputError);
        assert(line.startsWith(`model.safetensors: tensor ${name}: expected `), line);
        assert(line.includes(` at element ${at}, which follows from the config, got `), line);
      }
    }
    using same = withTensors({ [name]: table(dtype, ANGLES) });
    assertEquals(openCheckpoint(same.path).warnings, []);
  }
});

Deno.test("openCheckpoint() refuses a table of the rotary embedding of another length or dtype", () => {
  for (const wrong of [byte, table("F32", ANGLES.subarray(1))]) {
    using dir = withTensors({ [NAMES[1]!]: wrong });
    const got = `${wrong.dtype} [${wrong.shape}]`;
    assertEquals(
      refusal(() => openCheckpoint(dir.path), dir.path, InputError),
      `model.safetensors: tensor ${NAMES[1]}: expected BF16, F16, F32 or F64 with ${headDim / 2} elements, got ${got}`,
    );
  }
});

Deno.test("a table of a layer that the model does not have is refused as such", () => {
  using dir = withTensors({ "model.layers.2.self_attn.rotary_emb.inv_freq": table("F32", ANGLES) });
  const line = refusal(() => openCheckpoint(dir.path), dir.path, InputError);
  assert(line.endsWith("expected 2 layers (num_hidden_layers), got another one"), line);
});

Deno.test("an adapter beside the weights is refused: others add it to them", () => {
  using dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "hf_mxfp4" });
  dir.write("config.json", randomConfig(SHAPE, "hf_mxfp4"));
  dir.write("adapter_config.json", { peft_type: "LORA" });
  assertEquals(
    refusal(() => openCheckpoint(dir.path), dir.path, InputError),
    "adapter_config.json: expected none beside a model's weights, got an adapter of PEFT (LoRA), which transformers " +
      "adds to them",
  );
});
