/** What config.json says by a GGUF file's metadata: each key on its own, and what is refused. */
import type { GgufNumber, GgufValue } from "../../src/checkpoint/gguf/cursor.ts";
import { InputError } from "../../src/errors.ts";
import { ggufConfig } from "../../src/quantize/gguf/config.ts";
import { Metadata } from "../../src/quantize/gguf/metadata.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const VOCAB = 40;
const integer = (value: number): GgufNumber => ({ value, isInteger: true });
/** A number as a file has it: float32. */
const real = (value: number): GgufNumber => ({ value: Math.fround(value), isInteger: false });

/** Every key that a model must have, each with a number of its own. */
const NEEDED: Readonly<Record<string, GgufValue>> = {
  "block_count": integer(3),
  "context_length": integer(9000),
  "embedding_length": integer(96),
  "expert_feed_forward_length": integer(64),
  "attention.head_count": integer(6),
  "attention.head_count_kv": integer(2),
  "attention.key_length": integer(16),
  "attention.sliding_window": integer(12),
  "attention.layer_norm_rms_epsilon": real(3e-5),
  "expert_count": integer(5),
  "expert_used_count": integer(4),
  "rope.freq_base": real(70_000),
  "rope.scaling.type": "yarn",
  "rope.scaling.factor": real(24),
  "rope.scaling.original_context_length": integer(700),
};

/** What is made of these keys and others; `undefined` takes one away. */
function made(others: Readonly<Record<string, GgufValue | undefined>> = {}) {
  const values = Object.entries({ ...NEEDED, ...others })
    .flatMap(([key, value]) => value === undefined ? [] : [[`gpt-oss.${key}`, value] as const]);
  return ggufConfig(new Metadata(new Map(values), "x"), VOCAB, { eos: [7, 9], pad: 8, bos: 6 });
}

Deno.test("ggufConfig() takes each number from its key; of YaRN's bounds llama.cpp's own where a file has none", () => {
  const { config, generation } = made();
  assertEquals(config, {
    architectures: ["GptOssForCausalLM"],
    model_type: "gpt_oss",
    attention_bias: true,
    hidden_act: "silu",
    hidden_size: 96,
    intermediate_size: 64,
    num_hidden_layers: 3,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    head_dim: 16,
    num_local_experts: 5,
    num_experts_per_tok: 4,
    rms_norm_eps: 3e-5,
    sliding_window: 12,
    layer_types: ["sliding_attention", "full_attention", "sliding_attention"],
    swiglu_limit: 7,
    initial_context_length: 700,
    max_position_embeddings: 9000,
    rope_theta: 70_000,
    rope_scaling: {
      ...{ rope_type: "yarn", factor: 24, beta_fast: 32, beta_slow: 1 },
      ...{ original_max_position_embeddings: 700, truncate: false },
    },
    tie_word_embeddings: false,
    vocab_size: VOCAB,
    eos_token_id: 7,
    pad_token_id: 8,
  });
  assertEquals(generation, { bos_token_id: 6, eos_token_id: [7, 9], pad_token_id: 8, do_sample: true });
  const bounds = made({ "rope.scaling.yarn_beta_fast": real(20), "rope.scaling.yarn_beta_slow": real(2.5) });
  const { beta_fast, beta_slow } = bounds.config["rope_scaling"] as Record<string, unknown>;
  assertEquals([beta_fast, beta_slow], [20, 2.5]);
});

Deno.test("ggufConfig() refuses numbers that GPT-OSS has no place for, and takes those that change nothing", () => {
  const cases: [key: string, same: GgufValue, other: GgufValue, line: string][] = [
    ["attention.value_length", integer(16), integer(8), "expected 16, got 8"],
    ["feed_forward_length", integer(64), integer(96), "expected 64, got 96"],
    ["rope.dimension_count", integer(16), integer(12), "expected 16, got 12"],
    ["vocab_size", integer(VOCAB), integer(VOCAB + 1), "expected 40, got 41"],
    ["attention.sliding_window_pattern", integer(2), integer(4), "expected 2, got 4"],
    ["rope.freq_base_swa", real(70_000), real(10_000), "expected 70000, got 10000"],
    ["rope.scaling.yarn_ext_factor", real(1), real(0), "expected 1, got 0"],
    ["rope.scaling.type", "yarn", "linear", 'expected yarn, got "linear"'],
  ];
  for (const [key, same, other, line] of cases) {
    assertEquals(made({ [key]: same }), made(), key);
    assertThrows(() => made({ [key]: other }), InputError, `x: gpt-oss.${key}: ${line}`);
  }
  assertThrows(() => made({ "rope.scaling.attn_factor": real(2) }), InputError, "got gpt-oss.rope.scaling.attn_factor");
});

Deno.test("ggufConfig() refuses a file that lacks a key, by its name", () => {
  for (const key of Object.keys(NEEDED)) {
    assertThrows(() => made({ [key]: undefined }), InputError, `x: gpt-oss.${key}: expected `, key);
    assertThrows(() => made({ [key]: true }), InputError, `x: gpt-oss.${key}: expected `, key);
  }
});
