/**
 * Online rotations: what of them is refused, in the tensors, in the config, and where a checkpoint with one is used.
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { shardSource } from "../../src/checkpoint/shard.ts";
import { checkLimits } from "../../src/backends/gpu/limits.ts";
import type { OpenRequest } from "../../src/model/backend.ts";
import { InputError } from "../../src/errors.ts";
import { planModel, planUncalibrated } from "../../src/plan/planned.ts";
import { planTargets } from "../../src/quantize/targets.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { unpack } from "../model/quark_exports.ts";
import { type Json, numbers, refusal, type Tensors } from "./refused_export.ts";

const Q = "model.layers.0.self_attn.q_proj", GATE_UP = "model.layers.1.mlp.experts.2.gate_up_proj";
const OPTIONS = { dtype: "f32", kvCacheDtype: "auto" } as const;
const NOTHING = () => {};
const TENSORS: [string, (t: Tensors) => void, string][] = [
  [
    "a matrix with a zero",
    (t) => t.get(`${Q}.input_rotation`)!.bytes[7] = 0,
    `tensor ${Q}.input_rotation: expected 1 and -1, got 0 at element 7`,
  ],
  [
    "a matrix of numbers that the config does not call trained",
    (t) => t.set(`${Q}.input_rotation`, numbers("F64", [32, 32], 8)),
    `tensor ${Q}.input_rotation: expected I8 [32, 32], as trainable is false, got F64 [32, 32]`,
  ],
  [
    "a matrix of float32",
    (t) => t.set(`${Q}.input_rotation`, numbers("F32", [32, 32], 4)),
    `tensor ${Q}.input_rotation: expected I8 or F64 [32, 32], got F32 [32, 32]`,
  ],
  ...[[[32, 16], "[32, 16]"], [[48, 48], "[48, 48]"], [[64], "[64]"], [[0, 0], "[0, 0]"]].map((
    [shape, got],
  ): [string, (t: Tensors) => void, string] => [
    `a matrix ${got}`,
    (t) => t.set(`${Q}.input_rotation`, numbers("I8", shape as number[], 1)),
    `tensor ${Q}.input_rotation: expected a square matrix, no wider than 1024, whose width divides the 64 input ` +
    `features of ${Q}, got I8 ${got}`,
  ]),
  [
    "a prescale of another width",
    (t) => t.set(`${GATE_UP}.input_prescale`, numbers("F32", [32], 4)),
    `tensor ${GATE_UP}.input_prescale: expected BF16, F16, F32 or F64 with 64 elements, got F32 [32]`,
  ],
  [
    "a prescale of zero",
    (t) => t.set(`${GATE_UP}.input_prescale`, numbers("F32", [64], 4)),
    `tensor ${GATE_UP}.input_prescale: expected finite scales above 0, got 0 at element 0`,
  ],
  [
    "a prescale without a rotation",
    (t) => t.set("model.layers.0.self_attn.o_proj.input_prescale", numbers("F32", [32], 4)),
    "tensor model.layers.0.self_attn.o_proj.input_rotation: expected one as there is " +
    "model.layers.0.self_attn.o_proj.input_prescale, got nothing",
  ],
  ...[
    "shared_input_rotation_64",
    `${GATE_UP}.output_rotation`,
    `${Q}.lora_A.weight`,
    "model.layers.1.mlp.experts.gate_up_proj.input_rotation",
    "model.layers.0.self_attn.q_norm.weight",
    "model.layers.0.mlp.shared_expert.weight",
    "model.layers.0.mlp.experts.down_proj_input_scale_x",
    "lm_head.prescale",
    "model.norm.bias",
  ].map((name): [string, (t: Tensors) => void, string] => [
    `an unknown ${name}`,
    (t) => t.set(name, numbers("F32", [1], 4)),
    `tensor ${name}: expected none of that name, got one: what it does to the model is not known`,
  ]),
];

for (const [what, change, line] of TENSORS) {
  Deno.test(`a Quark export with an online rotation and ${what} is refused`, () => {
    assertEquals(refusal("rotation_online_32", change, NOTHING), `model.safetensors: ${line}`);
  });
}

const KEY = "config.json: quantization_config.algo_config";
const CONFIGS: [string, string, (t: Tensors) => void, (algorithm: Json, quantization: Json) => void, string][] = [
  [
    "an algorithm that is not known",
    "awq",
    NOTHING,
    (algorithm) => algorithm["name"] = "svdquant",
    `${KEY}[0].name: expected smooth, autosmoothquant, awq, gptq, gptaq, qronos, autoround, rotation, quarot, ` +
    'got "svdquant"',
  ],
  [
    "an algorithm without a name, as older exports write it",
    "awq",
    NOTHING,
    (_, quantization) => quantization["algo_config"] = { alpha: 1 },
    `${KEY}: name: expected a name, got nothing`,
  ],
  [
    "a list of names",
    "awq",
    NOTHING,
    (_, quantization) => quantization["algo_config"] = ["awq"],
    `${KEY}[0]: expected an object with a name, got "awq"`,
  ],
  [
    "a rotation of cached keys",
    "rotation_offline",
    NOTHING,
    (algorithm) => algorithm["r3"] = true,
    `${KEY}[0].r3: expected false, got true: rotation of cached keys is not supported`,
  ],
  [
    "an online rotation behind another one",
    "rotation_online_32",
    NOTHING,
    (algorithm, quantization) => quantization["algo_config"] = [{ name: "rotation", r1: true }, algorithm],
    `${KEY}[1]: expected an offline one, as Quark reads back the first rotation alone, got an online one`,
  ],
  [
    "a key of a rotation that is not known",
    "rotation_offline",
    NOTHING,
    (algorithm) => algorithm["r5"] = true,
    `${KEY}[0]: expected no key "r5", got an object`,
  ],
  [
    "a rotation that one linear lacks",
    "rotation_online_32",
    (t) => t.delete(`${GATE_UP}.input_rotation`),
    NOTHING,
    `${KEY}[0]: expected the tensor input_rotation of ${GATE_UP}, got nothing`,
  ],
  [
    "a rotation that one expert lacks, of which the config lists none",
    "rotation_online_32",
    (t) => t.delete(`${GATE_UP}.input_rotation`),
    (algorithm) => algorithm["online_config"] = null,
    `${KEY}[0]: expected the tensor input_rotation of ${GATE_UP}, got nothing`,
  ],
  [
    "a rotation that no tensor has",
    "rotation_offline",
    NOTHING,
    (algorithm) => algorithm["r4"] = true,
    `${KEY}[0]: expected the tensor input_rotation of any module, got nothing`,
  ],
  [
    "a rotation that the config does not say",
    "rotation_online_32",
    NOTHING,
    (_, quantization) => quantization["algo_config"] = null,
    `config.json: quantization_config: expected the online rotation (input_rotation) of ${Q}, which the tensors ` +
    "have, got nothing",
  ],
  [
    "a rotation that the config calls offline",
    "rotation_online_32",
    NOTHING,
    (algorithm) => Object.assign(algorithm, { online_r1_rotation: false, r4: false }),
    `config.json: quantization_config: expected the online rotation (input_rotation) of ${Q}, which the tensors ` +
    "have, got nothing",
  ],
  [
    "a rotation of one linear more than the config lists",
    "rotation_online_32",
    NOTHING,
    (algorithm) => {
      const online = algorithm["online_config"] as Json, layers = online["online_rotation_layers"] as string[];
      online["online_rotation_layers"] = layers.filter((name) => name !== GATE_UP);
    },
    `${KEY}[0]: expected the online rotation (input_rotation) of ${GATE_UP}, which the tensors have, got others`,
  ],
  [
    "a prescale that the config does not say",
    "rotation_prescale",
    NOTHING,
    (algorithm) => (algorithm["online_config"] as Json)["use_input_prescale"] = false,
    `${KEY}[0]: expected use_input_prescale, for the tensor input_prescale of ${Q}, which the tensors have, ` +
    "got nothing",
  ],
  [
    "a prescale that one linear lacks",
    "rotation_prescale",
    (t) => t.delete(`${Q}.input_prescale`),
    NOTHING,
    `${KEY}[0]: expected the tensor ${Q}.input_prescale, got nothing`,
  ],
  [
    "a format of weights that is not known",
    "fake_mxfp4",
    NOTHING,
    (_, quantization) => {
      (quantization["export"] as Json)["weight_format"] = "half_quantized";
    },
    "config.json: quantization_config.export: weight_format: expected real_quantized or fake_quantized, " +
    'got "half_quantized"',
  ],
];

for (const [what, name, tensors, config, line] of CONFIGS) {
  Deno.test(`a Quark export with ${what} is refused`, () => {
    assertEquals(refusal(name, tensors, config), line);
  });
}

Deno.test("an online rotation is refused by name on a GPU, by calibration and by quantize()", () => {
  using dir = unpack("rotation_online_32");
  const checkpoint = openCheckpoint(dir.path), { plan, source } = planModel(checkpoint, OPTIONS);
  const refused = (run: () => unknown) => assertThrows(run, InputError).message;
  assertEquals(
    refused(() => checkLimits({ config: checkpoint.config, source } as OpenRequest)),
    `${Q}.input_rotation: the GPU backend supports no online rotation of inputs (backend emulate and reference ` +
      "do), got one",
  );
  const got = "an online rotation of blocks of 32";
  assertEquals(
    refused(() => planUncalibrated(checkpoint, OPTIONS)),
    `${Q}.input_rotation: expected none for calibration, got ${got}`,
  );
  const recipe = { scheme: "w_mxfp4", attention: null, layers: [] } as const;
  assertEquals(
    refused(() => planTargets(recipe, source, checkpoint.config, plan, null)),
    `${Q}.input_rotation: expected none for quantize, got ${got}`,
  );
});

Deno.test("quantize() refuses to copy plain weights, fake-quantized ones too, with quantized inputs", () => {
  using dir = unpack("fake_mxfp4");
  const checkpoint = openCheckpoint(dir.path), { plan, source } = planModel(checkpoint, OPTIONS);
  const recipe = { scheme: "w_mxfp4", attention: null, layers: [] } as const;
  const { message } = assertThrows(() => planTargets(recipe, source, checkpoint.config, plan, null), InputError);
  assertEquals(
    message,
    `${Q}: expected plain weights with inputs as they are, or quantized ones, got plain f32 weights with mxfp4 ` +
      "inputs, which cannot be copied",
  );
});

Deno.test("experts' own static scales are refused by name on a GPU", () => {
  using dir = unpack("fp8");
  const checkpoint = openCheckpoint(dir.path);
  const limits = (fp8Scales: "own" | "merged") =>
    checkLimits(
      { config: checkpoint.config, source: planModel(checkpoint, { ...OPTIONS, fp8Scales }).source } as OpenRequest,
    );
  limits("merged");
  assertEquals(
    assertThrows(() => limits("own"), InputError).message,
    "fp8Scales own: model.layers.0.mlp.experts.0.down_proj: the GPU backend supports one static scale for the " +
      "experts of a layer, got 4 of them",
  );
});

Deno.test("shardSource() cuts rotated inputs between blocks, with their prescales, and refuses to cut a block", () => {
  using dir = unpack("fake_rotation");
  const { source, config } = openCheckpoint(dir.path);
  const [layer, ...others] = source.tree.layers;
  const rotated = (size: number) => {
    const o = {
      ...layer!.o,
      rotation: {
        size,
        matrix: new Float64Array(size * size),
        prescale: Float32Array.from({ length: 32 }, (_, i) => i),
      },
    };
    return { ...source, tree: { ...source.tree, layers: [{ ...layer!, o }, ...others] } };
  };
  const second = shardSource(rotated(16), config, { tp: 2, ep: 1 }, 1).tree.layers[0]!.o;
  assertEquals([second.weight.cols, second.rotation!.prescale![0], second.rotation!.prescale!.length], [16, 16, 16]);
  assertEquals(
    assertThrows(() => shardSource(rotated(32), config, { tp: 2, ep: 1 }, 0), InputError).message,
    "tp: model.layers.0.self_attn.o_proj rotates its input in blocks of 32 columns: expected ranks to have whole " +
      "ones, got columns 0 to 15",
  );
});
