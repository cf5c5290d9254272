/** What other tools say of a quantization in places that are not config.json of Hugging Face's kind. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { assertEquals } from "../assert.ts";
import { refusal, TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { entry, FP4_INPUT, FP4_WEIGHT, quark } from "./quark/quark_specs.ts";
import { Random } from "./random.ts";

const SHAPE = { ...SHAPES.tiny, layers: 1, hidden: 64, intermediate: 32, experts: 2, topK: 1, vocab: 40 };

Deno.test("a file of ModelOpt's beside a config without quantization_config is refused", () => {
  using dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "hf_bf16" });
  dir.write("hf_quant_config.json", { producer: { name: "modelopt" }, quantization: { kv_cache_quant_algo: "FP8" } });
  assertEquals(
    refusal(() => openCheckpoint(dir.path), dir.path, InputError),
    "hf_quant_config.json: expected quantization_config in config.json to say how the model is quantized, got a file " +
      "of NVIDIA ModelOpt's",
  );
  // Where config.json says it too, that counts.
  const quantization_config = { quant_method: "mxfp4" };
  dir.write("config.json", { ...randomConfig(SHAPE, "hf_bf16"), quantization_config });
  assertEquals(openCheckpoint(dir.path).layout, "hf_bf16");
});

Deno.test("quantization_config counts in a config of OpenAI's own kind too", () => {
  using dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "original" });
  const config = randomConfig(SHAPE, "original"), options = { dtype: "bf16", kvCacheDtype: "auto" } as const;
  assertEquals(planModel(openCheckpoint(dir.path), options).plan.scheme, "w_mxfp4");
  dir.write("config.json", { ...config, quantization_config: quark(entry(FP4_WEIGHT, FP4_INPUT)) });
  assertEquals(planModel(openCheckpoint(dir.path), options).plan.scheme, "w_mxfp4_a_mxfp4");
  dir.write("config.json", { ...config, quantization_config: { quant_method: "gptq" } });
  assertEquals(
    refusal(() => openCheckpoint(dir.path), dir.path, InputError),
    'config.json: quantization_config.quant_method: expected "mxfp4" or "quark", got "gptq"',
  );
});

Deno.test("a config is Quark's by its global_quant_config too, where it names no method", () => {
  using dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "quark", quark: { experts: "blocks" } });
  const options = { dtype: "bf16", kvCacheDtype: "auto" } as const;
  const { quant_method: _, ...unnamed } = quark(entry(FP4_WEIGHT, FP4_INPUT));
  const write = (quantization_config: unknown) => {
    dir.write("config.json", { ...randomConfig(SHAPE, "quark"), quantization_config });
  };
  write(unnamed);
  const checkpoint = openCheckpoint(dir.path);
  assertEquals([checkpoint.layout, checkpoint.warnings], ["quark", []]);
  assertEquals(planModel(checkpoint, options).plan.scheme, "w_mxfp4_a_mxfp4");
  // Whoever else has written it says nothing that is known.
  write({ config_groups: {} });
  assertEquals(
    refusal(() => openCheckpoint(dir.path), dir.path, InputError),
    'config.json: quantization_config.quant_method: expected "mxfp4" or "quark", got nothing',
  );
});
