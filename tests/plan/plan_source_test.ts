import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { makePlan } from "../../src/plan/plan.ts";
import { storedLinears, withPlan } from "../../src/plan/plan_source.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
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

Deno.test("storedLinears() says which experts have modules of their own, and what lies beside a weight", () => {
  const shape = { ...SHAPES.tiny, layers: 1, experts: 2, topK: 1 };
  const of = (experts: "each" | "fused" | "blocks", at: string) => {
    const { source } = randomCheckpoint({ shape, layout: "quark", quark: { experts, inputScales: true } });
    const expected = source.tree.layers[0]!.down[1]!.inputScale, made = storedLinears(source);
    assert(expected! > 0, "a scale of inputs");
    const { inputScale, ...rest } = made.find(({ module }) => module === `model.layers.0.${at}`)!;
    return { ...rest, ...(inputScale === null ? {} : { inputScale: inputScale === expected }) };
  };
  const DOWN = "mlp.experts.1.down_proj", module = `model.layers.0.${DOWN}`;
  const fused = { module, weight: "mxfp4", scale: "e8m0", cols: shape.intermediate, inputScale: true };
  assertEquals([of("fused", DOWN), of("blocks", DOWN)], [fused, fused]);
  assertEquals(of("each", DOWN), { ...fused, isOwnModule: true });
  const query = { module: "model.layers.0.self_attn.q_proj", weight: "bf16", scale: "none", cols: shape.hidden };
  assertEquals(of("each", "self_attn.q_proj"), query, "a plain linear of its own module is no expert");

  const { source } = checkpoint, [layer] = source.tree.layers;
  const rotation = { size: 32, matrix: new Float64Array(0), prescale: null };
  const first = (q: object) => {
    const layers = [{ ...layer!, q: { ...layer!.q, ...q } }];
    return storedLinears({ ...source, tree: { ...source.tree, layers } })[0];
  };
  assertEquals(first({ hasPlainScale: true }), { ...linears[0]!, hasPlainScale: true });
  assertEquals(first({ rotation }), { ...linears[0]!, rotation: { size: 32, prescale: false } });
  const prescaled = first({ rotation: { ...rotation, prescale: new Float32Array(288) } });
  assertEquals(prescaled, { ...linears[0]!, rotation: { size: 32, prescale: true } });
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
  // Rows lie one after another from the file's beginning, however the stored ones do.
  for (const { weight } of [eight, six]) assertEquals([weight.transposed, weight.offset], [false, 0]);
  assertEquals(six.weight.scale, { kind: "e8m0", file: six.weight.file, offset: 288 * 168, rowStride: 7 });
});
