/** What a plan is made of where it is made of a checkpoint: its own scales, measured ones, and the choices. */
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { allLinears, type LinearSource } from "../../src/checkpoint/source.ts";
import { InputError } from "../../src/errors.ts";
import { missingScales, planModel, type PlanOptions } from "../../src/plan/planned.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const SHAPE = { ...SHAPES.tiny, layers: 1, experts: 3, topK: 1 };
const OPTIONS: PlanOptions = { dtype: "bf16", kvCacheDtype: "auto" };
const EXPERTS = [0, 1, 2].map((i) => `model.layers.0.mlp.experts.${i}.down_proj`);

const random = randomCheckpoint({ shape: SHAPE, layout: "quark", quark: { weights: "fp8", inputScales: true } });
/** Scales of the inputs of down_proj by expert. */
const STORED = [0.5, 2, 1];
const tree = {
  ...random.source.tree,
  layers: random.source.tree.layers.map((layer) => ({
    ...layer,
    down: layer.down.map((linear, i) => ({ ...linear, inputScale: STORED[i]! })),
  })),
};
const checkpoint = { ...random, source: { ...random.source, tree } };

/** Static scales of the inputs of down_proj, as the source has them that is computed with. */
const scales = (options: Partial<PlanOptions>) =>
  planModel(checkpoint, { ...OPTIONS, ...options }).source.tree.layers[0]!.down.map(({ input }) =>
    input.kind === "fp8_static" ? input.scale : input.kind
  );

Deno.test("planModel() gives experts the largest of their scales, or each its own, or none by another scheme", () => {
  assertEquals(scales({}), [2, 2, 2]);
  assertEquals(scales({ fp8Scales: "merged" }), [2, 2, 2]);
  assertEquals(scales({ fp8Scales: "own" }), STORED);
  assertEquals(scales({ fp8Scales: "own", inputScales: new Map([[EXPERTS[1]!, 4]]) }), [0.5, 4, 1]);
  assertEquals(scales({ scheme: "bf16" }), ["none", "none", "none"]);
  assertEquals(planModel(checkpoint, { ...OPTIONS, fp8Scales: "own" }).plan.scheme, "fp8 with own scales");
});

Deno.test("missingScales() are of linears without one alone: what was measured, or 1", () => {
  const without = ({ inputScale: _, ...bare }: LinearSource): LinearSource => bare;
  const layers = tree.layers.map((layer) => ({
    ...layer,
    down: layer.down.map((linear, i) => i === 1 ? without(linear) : linear),
  }));
  const lacking = { ...tree, layers };
  const some = { ...checkpoint, source: { ...checkpoint.source, tree: lacking } };
  const measured = new Map(EXPERTS.map((name, i): [string, number] => [name, 7 + i]));
  for (const [given, expected] of [[null, 1], [measured, 8], [new Map<string, number>(), 1]] as const) {
    const missing = missingScales(some, given);
    // The plain linears have none either.
    const plain = allLinears(lacking).filter(({ weight }) => weight.format === "bf16").map(({ module }) => module!);
    // Nobody measures those of routers and the head: 1 would stay.
    const measurable = plain.filter((name) => name !== "lm_head" && !name.endsWith(".router"));
    assertEquals(plain.length - measurable.length, 2);
    assertEquals([...missing.keys()].sort(), [...measurable, EXPERTS[1]!].sort());
    assertEquals(missing.get(EXPERTS[1]!), expected);
    const { source } = planModel(some, { ...OPTIONS, inputScales: missing, fp8Scales: "own" });
    const inputs = source.tree.layers[0]!.down.map(({ input }) => input);
    assertEquals(inputs, [0.5, expected, 1].map((scale) => ({ kind: "fp8_static", scale })));
  }
});

Deno.test("planModel() knows AMD Quark's names, of which a config has to say what inputs are", () => {
  const quark = randomCheckpoint({ shape: SHAPE, layout: "quark" }),
    mxfp4 = randomCheckpoint({
      shape: SHAPE,
      layout: "hf_mxfp4",
    });
  const line = "quantization_config: expected what the inputs of model.layers.0.mlp.experts.0.gate_up_proj are";
  assertThrows(() => planModel({ ...quark, quantization: null }, OPTIONS), InputError, line);
  assertEquals(planModel({ ...mxfp4, quantization: null }, OPTIONS).plan.scheme, "w_mxfp4");
  const attentionScales = { file: "model.safetensors", tensor: "model.layers.0.self_attn.q_proj.output_scale" };
  const scaled = { ...quark, source: { ...quark.source, attentionScales } };
  assertThrows(() => planModel(scaled, OPTIONS), InputError, "queries and probabilities are not quantized");
  const { plan } = planModel(scaled, { ...OPTIONS, kvCacheDtype: "bf16" });
  assertEquals(plan.warnings, [
    "model.safetensors: tensor model.layers.0.self_attn.q_proj.output_scale: not used: queries and probabilities are " +
    "not quantized",
  ]);
});
