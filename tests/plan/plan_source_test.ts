import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { makePlan } from "../../src/plan/plan.ts";
import { storedLinears, withPlan } from "../../src/plan/plan_source.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { floats, readGolden } from "../golden.ts";

const checkpoint = openCheckpoint(new URL("../../models/tiny-gpt-oss", import.meta.url).pathname);
const linears = storedLinears(checkpoint.source);

Deno.test("storedLinears() lists every linear of a checkpoint by its name in Hugging Face's model", () => {
  assertEquals(linears.length, 4 * (5 + 2 * 16) + 1);
  assertEquals(linears[0], {
    module: "model.layers.0.self_attn.q_proj",
    weight: "bf16",
    scale: "none",
    inputScale: null,
    cols: 288,
  });
  assertEquals(linears[36], {
    module: "model.layers.0.mlp.experts.15.down_proj",
    weight: "mxfp4",
    scale: "e8m0",
    inputScale: null,
    cols: 224,
  });
  assertEquals(linears.at(-1)!.module, "lm_head");
});

Deno.test("withPlan() gives every linear its planned input, and changes nothing else", () => {
  const scales = floats(readGolden("logits.safetensors"), "static_input_scale");
  const inputScales = new Map(
    ["gate_up_proj", "down_proj"].flatMap((projection, which) =>
      [0, 1, 2, 3].map((layer): [string, number] => [
        `model.layers.${layer}.mlp.experts.${projection}`,
        scales[2 * layer + which]!,
      ])
    ),
  );
  const plan = makePlan({
    linears,
    quantization: checkpoint.quantization,
    configPath: checkpoint.files.config,
    dtype: "bf16",
    scheme: "w_mxfp4_a_fp8",
    inputScales,
  });
  const { tree } = withPlan(checkpoint.source, plan);
  tree.layers.forEach((layer, l) => {
    for (const { input } of layer.gateUp) assertEquals(input, { kind: "fp8_static", scale: scales[2 * l]! });
    for (const { input } of layer.down) assertEquals(input, { kind: "fp8_static", scale: scales[2 * l + 1]! });
    for (const { input } of [layer.q, layer.k, layer.v, layer.o, layer.router]) assertEquals(input, { kind: "none" });
  });
  const unplanned = makePlan({ linears, quantization: null, configPath: "config.json", dtype: "bf16" });
  assertEquals(withPlan(checkpoint.source, unplanned), checkpoint.source);
});

Deno.test("withPlan() refuses the plan of another model", () => {
  const plan = makePlan({ linears: linears.slice(1), quantization: null, configPath: "config.json", dtype: "bf16" });
  assertThrows(() => withPlan(checkpoint.source, plan), TypeError, "the plan has no model.layers.0.self_attn.q_proj");
});

Deno.test("withPlan() makes files of as many bytes as codes and blocks' scales take of converted matrices", () => {
  const planned = (scheme: string) => {
    const plan = makePlan({ linears, quantization: null, configPath: "config.json", dtype: "bf16", scheme });
    const { files, tree } = withPlan(checkpoint.source, plan), { weight } = tree.layers[1]!.down[3]!;
    return { file: files[weight.file]!, weight };
  };
  // 288 rows of 224 numbers, in 7 blocks; a scale for each row is beside the file.
  const eight = planned("ptpc_fp8"), six = planned("w_mxfp6_e3m2");
  assertEquals([eight.weight.rows, eight.weight.cols, eight.weight.scale.kind], [288, 224, "row"]);
  assertEquals([eight.file.bytes, eight.file.made?.format], [288 * 224, "fp8_e4m3"]);
  assertEquals([six.file.bytes, six.file.made?.format], [288 * (224 * 6 / 8 + 7), "mxfp6_e3m2"]);
  assertEquals(six.weight.scale, { kind: "e8m0", file: six.weight.file, offset: 288 * 168, rowStride: 7 });
});
