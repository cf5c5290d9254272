import { readConfig } from "../../src/checkpoint/config.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { isWrittenNumber, parseWritten } from "../../src/json_numbers.ts";
import { huggingFaceConfig, quantizationConfig } from "../../src/quantize/write_quark_config.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";
import { TINY } from "../model/tiny.ts";
import { writeTiny } from "../model/tiny_layouts.ts";
import { run, type RunOptions, someScales } from "./run.ts";
import type { LayerTargets, LinearTarget, TargetScheme } from "../../src/quantize/targets.ts";

const MX_WEIGHT = {
  ...{ dtype: "fp4", is_dynamic: false, qscheme: "per_group", ch_axis: -1, group_size: 32, symmetric: null },
  ...{ round_method: "half_even", scale_type: "float", scale_format: "e8m0", scale_calculation_mode: "even" },
  ...{ mx_element_dtype: null, observer_cls: "PerBlockMXObserver", is_scale_quant: false },
};
const FP8 = {
  ...{ dtype: "fp8_e4m3", is_dynamic: false, qscheme: "per_tensor", ch_axis: null, group_size: null, symmetric: null },
  ...{ round_method: "half_even", scale_type: "float", scale_format: null, scale_calculation_mode: null },
  ...{ mx_element_dtype: null, observer_cls: "PerTensorMinMaxObserver", is_scale_quant: false },
};
const PER_CHANNEL = { ...FP8, qscheme: "per_channel", observer_cls: "PerChannelMinMaxObserver" };
const entry = (weight: unknown, input_tensors: unknown, output_tensors: unknown = null) => ({
  ...{ weight, input_tensors, output_tensors, bias: null, target_device: null },
});
const ATTENTION = ["q", "k", "v", "o"].flatMap((name) => [0, 1].map((l) => `model.layers.${l}.self_attn.${name}_proj`));
const ROUTERS = [0, 1].map((layer) => `model.layers.${layer}.mlp.router`);

/** The quantization_config of a written checkpoint of two layers. */
async function written(scheme: TargetScheme, options: RunOptions = {}): Promise<Record<string, unknown>> {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  makeCheckpoint(from, new Random(3), { shape: { ...SHAPES.tiny, experts: 2, topK: 1 }, layout: "hf_bf16" });
  await run(from.path, to.path, scheme, { scales: someScales(openCheckpoint(from.path)), ...options });
  return JSON.parse(Deno.readTextFileSync(`${to.path}/config.json`)).quantization_config;
}

Deno.test("quantizationConfig() of w_mxfp4_a_fp8 with an FP8 cache is Quark's, key for key", async () => {
  const config = await written("w_mxfp4_a_fp8", { kvScales: [{ k: 1, v: 1 }, { k: 1, v: 1 }] });
  const cached = { "*k_proj": entry(null, null, FP8), "*v_proj": entry(null, null, FP8) };
  assertEquals(config, {
    quant_method: "quark",
    quant_mode: "eager_mode",
    version: "0.11+mxoss",
    global_quant_config: entry(MX_WEIGHT, FP8),
    layer_quant_config: cached,
    layer_type_quant_config: {},
    exclude: ["lm_head", ...ATTENTION, ...ROUTERS],
    // As in Quark's own exports: it does not look for the cache of excluded modules in layer_quant_config.
    kv_cache_quant_config: cached,
    kv_cache_post_rope: true,
    softmax_quant_spec: null,
    algo_config: null,
    export: {
      kv_cache_group: ["*k_proj", "*v_proj"],
      ...{ min_kv_scale: 0, pack_method: "reorder", weight_format: "real_quantized", weight_merge_groups: null },
    },
  });
});

Deno.test("quantize() of an MXFP4 checkpoint in Quark's layout keeps in exclude all that stays as it is", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  const shape = { ...SHAPES.tiny, experts: 2, topK: 1 };
  makeCheckpoint(from, new Random(3), { shape, layout: "quark" });
  const config = (dir: string) => JSON.parse(Deno.readTextFileSync(`${dir}/config.json`));
  // Patterns, and a module that no linear is: what they stand for is named one by one.
  const exclude = ["lm_head", "*self_attn*", "re:.*router", "model.embed_tokens"], source = config(from.path);
  from.write("config.json", { ...source, quantization_config: { ...source.quantization_config, exclude } });
  await run(from.path, to.path, "w_mxfp4");
  const { quantization_config } = config(to.path);
  assertEquals(quantization_config.exclude, ["lm_head", ...ATTENTION, ...ROUTERS]);
  assertEquals(quantization_config.global_quant_config, entry(MX_WEIGHT, null));
});

Deno.test("quantizationConfig() has a spec for every format of weights and inputs", async () => {
  const overall = async (scheme: TargetScheme) => (await written(scheme))["global_quant_config"];
  const mx = (dtype: string, is_dynamic: boolean) => ({ ...MX_WEIGHT, dtype, is_dynamic });
  assertEquals(await overall("w_mxfp4"), entry(MX_WEIGHT, null));
  assertEquals(await overall("w_mxfp4_a_mxfp4"), entry(MX_WEIGHT, mx("fp4", true)));
  assertEquals(await overall("w_mxfp4_a_mxfp6_e2m3"), entry(MX_WEIGHT, mx("fp6_e2m3", true)));
  assertEquals(await overall("w_mxfp6_e3m2_a_mxfp6_e3m2"), entry(mx("fp6_e3m2", false), mx("fp6_e3m2", true)));
  assertEquals(await overall("w_mxfp6_e2m3_a_fp8"), entry(mx("fp6_e2m3", false), FP8));
  assertEquals(await overall("fp8"), entry(FP8, FP8));
  assertEquals(
    await overall("ptpc_fp8"),
    entry({ ...PER_CHANNEL, ch_axis: 0 }, { ...PER_CHANNEL, ch_axis: 1, is_dynamic: true }),
  );
});

Deno.test("quantizationConfig() says nothing of a cache that is not quantized", async () => {
  const config = await written("w_mxfp4");
  assertEquals([config["kv_cache_post_rope"], config["kv_cache_quant_config"]], [false, {}]);
});

Deno.test("quantizationConfig() has entries for quantized attention and for layers of other schemes", async () => {
  const config = await written("w_mxfp4", {
    attention: "fp8",
    kvScales: [{ k: 1, v: 1 }, { k: 1, v: 1 }],
    layers: [{ first: 1, last: 1, scheme: "w_mxfp6_e3m2" }],
  });
  assertEquals(config["layer_quant_config"], {
    "*q_proj": entry(FP8, FP8),
    "*k_proj": entry(FP8, FP8, FP8),
    "*v_proj": entry(FP8, FP8, FP8),
    "*o_proj": entry(FP8, FP8),
    "model.layers.1.mlp.experts*": entry({ ...MX_WEIGHT, dtype: "fp6_e3m2" }, null),
  });
  assertEquals(config["exclude"], ["lm_head", ...ROUTERS]);
});

Deno.test("quantizationConfig() names modules one by one where layers differ, and quantized routers and heads", () => {
  type Formats = Pick<LinearTarget, "weight" | "weightScale" | "input">;
  const plain: Formats = { weight: "bf16", weightScale: "none", input: { kind: "none" } };
  const fp8: Formats = { weight: "fp8_e4m3", weightScale: "tensor", input: { kind: "fp8_static" } };
  const rows: Formats = { weight: "fp8_e4m3", weightScale: "row", input: { kind: "fp8_token" } };
  const mx = (weight: "mxfp4" | "mxfp6_e3m2"): Formats => ({ ...plain, weight, weightScale: "e8m0" });
  const target = (module: string, formats: Formats) => ({ module, ...formats }) as LinearTarget;
  const layers = [0, 1, 2].map((layer): LayerTargets => {
    const at = `model.layers.${layer}`, own = layer === 0 ? fp8 : plain;
    const expert = (name: string) =>
      target(`${at}.mlp.experts.0.${name}_proj`, mx(layer === 0 ? "mxfp6_e3m2" : "mxfp4"));
    return {
      ...{ q: target(`${at}.self_attn.q_proj`, own), k: target(`${at}.self_attn.k_proj`, own) },
      ...{ v: target(`${at}.self_attn.v_proj`, plain), o: target(`${at}.self_attn.o_proj`, fp8) },
      router: target(`${at}.mlp.router`, [plain, mx("mxfp4"), fp8][layer]!),
      ...{ gateUp: [expert("gate_up")], down: [expert("down")] },
    };
  });
  const config = quantizationConfig({ layers, head: target("lm_head", rows) }, "fp8");
  // What most layers' experts are; a router like them needs no entry.
  assertEquals(config["global_quant_config"], entry(MX_WEIGHT, null));
  const k = [0, 1, 2].map((layer) => [
    `model.layers.${layer}.self_attn.k_proj`,
    layer === 0 ? entry(FP8, FP8, FP8) : entry(null, null, FP8),
  ]);
  const cached = { ...Object.fromEntries(k), "*v_proj": entry(null, null, FP8) };
  assertEquals(config["layer_quant_config"], {
    lm_head: entry({ ...PER_CHANNEL, ch_axis: 0 }, { ...PER_CHANNEL, ch_axis: 1, is_dynamic: true }),
    "model.layers.0.self_attn.q_proj": entry(FP8, FP8),
    ...cached,
    "*o_proj": entry(FP8, FP8),
    "model.layers.0.mlp.experts*": entry({ ...MX_WEIGHT, dtype: "fp6_e3m2" }, null),
    "model.layers.2.mlp.router": entry(FP8, FP8),
  });
  assertEquals(config["kv_cache_quant_config"], cached);
  assertEquals(config["exclude"], [
    ...["q", "k"].flatMap((name) => [1, 2].map((layer) => `model.layers.${layer}.self_attn.${name}_proj`)),
    ...[0, 1, 2].map((layer) => `model.layers.${layer}.self_attn.v_proj`),
    "model.layers.0.mlp.router",
  ]);
});

/** Every number of a JSON text with the keys that lead to it, as it is written. */
function numbers(text: string): Map<string, string> {
  const out = new Map<string, string>();
  const visit = (value: unknown, path: string) => {
    if (isWrittenNumber(value)) out.set(path, value.rawJSON);
    else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) visit(inner, `${path}.${key}`);
    }
  };
  visit(parseWritten(text), "");
  return out;
}

Deno.test("quantize() keeps the source's numbers, and writes floats where transformers wants them", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  Deno.copyFileSync(`${TINY}/model.safetensors`, `${from.path}/model.safetensors`);
  const source = Deno.readTextFileSync(`${TINY}/config.json`)
    .replace(
      `"rms_norm_eps": 1e-05`,
      `"rms_norm_eps": 1e-05, "task_specific_params": [12345678901234567890, 1E+2, -0.0, 1.50]`,
    )
    .replace(`"router_aux_loss_coef": 0.9`, `"router_aux_loss_coef": 1, "initializer_range": 0`);
  Deno.writeTextFileSync(`${from.path}/config.json`, source);
  await run(from.path, to.path, "w_mxfp4");
  const written = numbers(Deno.readTextFileSync(`${to.path}/config.json`));
  const expected = numbers(source).set(".router_aux_loss_coef", "1.0").set(".initializer_range", "0.0");
  assertEquals(expected.get(".swiglu_limit"), "7.0");
  assertEquals(expected.get(".task_specific_params.0"), "12345678901234567890");
  for (const [path, number] of expected) assertEquals(written.get(path), number, path);
  assertEquals(written.get(".quantization_config.export.min_kv_scale"), "0.0");

  // What was made of integers once, by version 0.1, is made whole again.
  using again = new TemporaryDirectory();
  const config = `${to.path}/config.json`;
  Deno.writeTextFileSync(config, Deno.readTextFileSync(config).replace(`"swiglu_limit": 7.0`, `"swiglu_limit": 7`));
  await run(to.path, again.path, "w_mxfp6_e3m2");
  assertEquals(numbers(Deno.readTextFileSync(`${again.path}/config.json`)).get(".swiglu_limit"), "7.0");
});

Deno.test("quantize() writes floats for OpenAI's own config", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  writeTiny(from, "original");
  await run(from.path, to.path, "w_mxfp4");
  const written = numbers(Deno.readTextFileSync(`${to.path}/config.json`));
  const floats = ["swiglu_limit", "swiglu_alpha", "rms_norm_eps", "attention_dropout", "rope_theta"]
    .concat(["factor", "beta_fast", "beta_slow"].map((key) => `rope_scaling.${key}`));
  assertEquals(floats.map((key) => written.get(`.${key}`)), [
    ...["7.0", "1.702", "1e-05", "0.0", "150000.0", "32.0", "32.0", "1.0"],
  ]);
  const integers = [...written].filter(([path]) =>
    !floats.includes(path.slice(1)) && !path.startsWith(".quantization")
  );
  for (const [path, number] of integers) assert(/^\d+$/.test(number), `${path}: ${number}`);
});

Deno.test("huggingFaceConfig() says what OpenAI's own config and others said", () => {
  using original = new TemporaryDirectory();
  writeTiny(original, "original");
  const models = [openCheckpoint(original.path).config, openCheckpoint(TINY).config];
  const { config } = openCheckpoint(TINY);
  models.push({ ...config, swigluAlpha: 1.5, swigluLimit: 6, rope: { theta: 1e4, yarn: null }, maxPositions: 999 });
  models.push({
    ...config,
    sliding: config.sliding.map(() => false),
    eosTokenIds: [3],
    padTokenId: null,
    bosTokenId: 7,
  });
  models.push({ ...config, rope: { ...config.rope, yarn: { ...config.rope.yarn!, truncate: true, betaFast: 16 } } });
  for (const model of models) {
    const { model: again, warnings } = readConfig({
      path: "config.json",
      json: JSON.parse(JSON.stringify(huggingFaceConfig(model))),
    }, null);
    assertEquals(again, model);
    assertEquals(warnings, []);
  }
  assert(models[0]!.eosTokenIds.length > 0);
});
