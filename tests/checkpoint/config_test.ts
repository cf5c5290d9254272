import { readConfig } from "../../src/checkpoint/config.ts";
import type { ModelConfig } from "../../src/checkpoint/model_config.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals } from "../assert.ts";
import { BROKEN, type Json, ORIGINAL, read, ROPE, tiny } from "./configs.ts";
import { refusal } from "./container.ts";

const config = (json: unknown, generation?: unknown) =>
  readConfig(
    { path: "d/config.json", json },
    generation === undefined ? null : { path: "d/generation_config.json", json: generation },
  );
const model = (changes: Json, generation?: unknown): ModelConfig => config(tiny(changes), generation).model;
const refused = (json: unknown, generation?: unknown) => refusal(() => config(json, generation), "d", InputError);

Deno.test("readConfig() reads the embedded model's config", () => {
  const { model, quantization, warnings } = config(read("config.json"), read("generation_config.json"));
  assertEquals(model, {
    layers: 4,
    hidden: 288,
    intermediate: 224,
    experts: 16,
    topK: 4,
    heads: 8,
    kvHeads: 2,
    headDim: 64,
    vocab: 1024,
    rmsNormEps: 1e-5,
    slidingWindow: 128,
    sliding: [true, false, true, false],
    swigluAlpha: 1.702,
    swigluLimit: 7,
    rope: {
      theta: 150000,
      yarn: { factor: 32, betaFast: 32, betaSlow: 1, originalMaxPositions: 4096, truncate: false },
    },
    maxPositions: 131072,
    eosTokenIds: [1017, 1016, 1023],
    padTokenId: 1016,
    bosTokenId: 1015,
  });
  assertEquals(quantization, read("config.json")["quantization_config"]);
  assertEquals(warnings, []);
});

Deno.test("readConfig() reads OpenAI's own config", () => {
  const { model, quantization } = config(ORIGINAL);
  assertEquals(model, {
    layers: 24,
    hidden: 2880,
    intermediate: 2880,
    experts: 32,
    topK: 4,
    heads: 64,
    kvHeads: 8,
    headDim: 64,
    vocab: 201088,
    rmsNormEps: 1e-5,
    slidingWindow: 128,
    sliding: Array.from({ length: 24 }, (_, layer) => layer % 2 === 0),
    swigluAlpha: 1.702,
    swigluLimit: 7,
    rope: {
      theta: 150000,
      yarn: { factor: 32, betaFast: 32, betaSlow: 1, originalMaxPositions: 4096, truncate: false },
    },
    maxPositions: 131072,
    eosTokenIds: [200002, 199999],
    padTokenId: 199999,
    bosTokenId: 199998,
  });
  assertEquals(quantization, null);
  const small = config({ ...ORIGINAL, vocab_size: 1024 }, { eos_token_id: 7 }).model;
  assertEquals([small.eosTokenIds, small.padTokenId, small.bosTokenId], [[7], null, null]);
  assertEquals(config({ ...ORIGINAL, rope_scaling_factor: 1 }).model.rope.yarn, null);
});

Deno.test("readConfig() takes rope_parameters for rope_scaling and rope_theta", () => {
  const parameters = { ...ROPE, rope_theta: 150000 };
  const expected = model({}).rope;
  assertEquals(model({ rope_parameters: parameters, rope_scaling: undefined, rope_theta: undefined }).rope, expected);
  assertEquals(model({ rope_parameters: parameters, rope_theta: undefined }).rope, expected);
  assertEquals(model({ rope_parameters: parameters }).rope, expected);
  assertEquals(model({ rope_scaling: { ...ROPE, rope_type: undefined, type: "yarn" } }).rope, expected);
  assertEquals(model({ rope_scaling: { ...ROPE, attention_factor: 1.3465735902799727 } }).rope, expected);
});

Deno.test("readConfig() fills in what published configs leave out", () => {
  const bare = model({
    ...{ rms_norm_eps: undefined, layer_types: undefined, swiglu_limit: undefined, experts_per_token: undefined },
    ...{ max_position_embeddings: undefined, initial_context_length: undefined, hidden_act: undefined },
    ...{ attention_bias: undefined, tie_word_embeddings: undefined, quantization_config: undefined },
    rope_scaling: { rope_type: "yarn", factor: 32, original_max_position_embeddings: 4096, truncate: false },
  });
  assertEquals(bare, model({}));
  assertEquals(model({ num_experts_per_tok: undefined }).topK, 4);
  assertEquals(model({ swiglu_alpha: 1.5, swiglu_limit: 9 }).swigluAlpha, 1.5);
  assertEquals(config(tiny({ quantization_config: null })).quantization, null);
  const parameters = { ...ROPE, rope_theta: 150000 };
  assertEquals(model({ rope_scaling: null, rope_parameters: parameters }), model({}));
  assertEquals(model({ num_experts: 16, partial_rotary_factor: 1, per_layer_config: {} }), model({}));
  assertEquals(model({ rope_scaling: { rope_type: "default" } }).rope, { theta: 150000, yarn: null });
  assertEquals(model({ architectures: undefined }).layers, 4);
  assertEquals(model({ model_type: undefined }).layers, 4);
});

Deno.test("readConfig() follows layer_types, not their parity", () => {
  const layer_types = ["full_attention", "full_attention", "sliding_attention", "sliding_attention"];
  assertEquals(model({ layer_types }).sliding, [false, false, true, true]);
  assertEquals(
    model({ layer_types: Array(4).fill("full_attention"), sliding_window: null }).sliding,
    [false, false, false, false],
  );
});

Deno.test("readConfig() joins the ids that end generation", () => {
  assertEquals(model({ eos_token_id: [5, 6] }, { eos_token_id: 5 }).eosTokenIds, [5, 6]);
  assertEquals(model({ eos_token_id: null }, { eos_token_id: [9, 8] }).eosTokenIds, [9, 8]);
  assertEquals(model({ eos_token_id: undefined }).eosTokenIds, []);
  assertEquals(model({ pad_token_id: null }, { pad_token_id: 4, bos_token_id: null }).padTokenId, 4);
});

Deno.test("readConfig() warns of contradictions that have a known winner", () => {
  const { model, warnings } = config(tiny({ experts_per_token: 2, initial_context_length: 2048 }));
  assertEquals(model.topK, 4);
  assertEquals(model.rope.yarn?.originalMaxPositions, 4096);
  assertEquals(warnings, [
    "d/config.json: num_experts_per_tok is 4 and experts_per_token 2; the former counts",
    "d/config.json: initial_context_length is 2048 and rope_scaling.original_max_position_embeddings 4096; the " +
    "latter counts",
  ]);
});

Deno.test("readConfig() reads YaRN's missing keys as transformers 5 does, with a warning for each", () => {
  const { truncate: _, ...noTruncate } = ROPE, { original_max_position_embeddings: __, ...noOriginal } = ROPE;
  const read = (changes: Json) => {
    const { model, warnings } = config(tiny(changes));
    return [model.rope.yarn, warnings] as const;
  };
  const yarn = model({}).rope.yarn!;
  assertEquals(read({ rope_scaling: noTruncate }), [
    { ...yarn, truncate: true },
    [
      "d/config.json: rope_scaling.truncate is missing; as in transformers and vLLM it is true, where GPT-OSS has " +
      "false",
    ],
  ]);
  assertEquals(read({ rope_scaling: { ...ROPE, truncate: null } }), [yarn, []]);
  assertEquals(read({ rope_scaling: noOriginal, initial_context_length: undefined }), [
    { ...yarn, originalMaxPositions: 131072 },
    [
      "d/config.json: rope_scaling.original_max_position_embeddings is missing; as in transformers it is " +
      "max_position_embeddings, 131072",
    ],
  ]);
  assertEquals(read({ rope_scaling: undefined }), [
    yarn,
    ["d/config.json: rope_scaling is missing; as in transformers it is YaRN by 32 of 4096 positions, not truncated"],
  ]);
});

const SIZES = [
  "num_hidden_layers",
  "num_local_experts",
  "hidden_size",
  "intermediate_size",
  "head_dim",
  "num_attention_heads",
  "num_key_value_heads",
  "vocab_size",
];

Deno.test("readConfig() refuses sizes that are missing or not positive integers, by name", () => {
  const wrong: [value: unknown, got: string][] = [
    [undefined, "nothing"],
    [null, "null"],
    [0, "0"],
    [-1, "-1"],
    [1.5, "1.5"],
    ["16", '"16"'],
    [[16], "an array of 1"],
    [{}, "an object"],
    [true, "true"],
    [2 ** 53, "9007199254740992"],
  ];
  for (const key of SIZES) {
    for (const [value, got] of wrong) {
      assertEquals(refused(tiny({ [key]: value })), `config.json: ${key}: expected a positive integer, got ${got}`);
    }
  }
  for (const key of Object.keys(ORIGINAL).filter((key) => key !== "swiglu_limit" && key !== "num_experts")) {
    const line = refused({ ...ORIGINAL, [key]: undefined });
    assertEquals(line.startsWith(`config.json: ${key}: expected a`) && line.endsWith("got nothing"), true, line);
  }
});

for (const [changes, line] of BROKEN) {
  Deno.test(`readConfig() refuses ${JSON.stringify(changes)}`, () => {
    assertEquals(refused(tiny(changes)), `config.json: ${line}`);
  });
}

Deno.test("readConfig() refuses what is not a config", () => {
  assertEquals(refused([]), "config.json: expected an object, got an array of 0");
  assertEquals(refused(null), "config.json: expected an object, got null");
  assertEquals(refused({}), 'config.json: model_type: expected "gpt_oss", got nothing');
  assertEquals(refused(tiny(), []), "generation_config.json: expected an object, got an array of 0");
  assertEquals(
    refused(tiny(), { eos_token_id: 1.5 }),
    "generation_config.json: eos_token_id: expected a token id or a list of token ids, got 1.5",
  );
  assertEquals(
    refused(tiny(), { eos_token_id: 2000 }),
    "config.json and generation_config.json: expected token ids below vocab_size, 1024, got 2000",
  );
});
