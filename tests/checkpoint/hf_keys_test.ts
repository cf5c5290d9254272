/** Every key of config.json is read, held to one value, or without consequence; any other is refused. */
import { readConfig } from "../../src/checkpoint/config.ts";
import { HF_KEYS } from "../../src/checkpoint/hf_config.ts";
import { ROPE_DICTIONARY } from "../../src/checkpoint/hf_rope.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { type Json, ORIGINAL, ROPE, tiny } from "./configs.ts";
import { refusal } from "./container.ts";

const read_ = (json: unknown, generation?: unknown) =>
  readConfig(
    { path: "config.json", json },
    generation === undefined ? null : { path: "generation.json", json: generation },
  );
const line = (json: unknown) => refusal(() => read_(json), "x", InputError);
const groups = (keys: object) => Object.values(keys).map((group) => Object.keys(group));

/** What transformers 5.24's GptOssConfig writes, what 4.55 wrote, and what gpt-oss-20b and unsloth's copies have. */
const PUBLISHED =
  "_name_or_path architectures attention_bias attention_dropout bos_token_id chunk_size_feed_forward dtype " +
  "eos_token_id head_dim hidden_act hidden_size id2label initializer_range intermediate_size is_encoder_decoder " +
  "label2id layer_types max_position_embeddings model_type num_attention_heads num_experts_per_tok " +
  "num_hidden_layers num_key_value_heads num_local_experts output_attentions output_hidden_states " +
  "output_router_logits pad_token_id problem_type return_dict rms_norm_eps rope_parameters router_aux_loss_coef " +
  "sliding_window swiglu_alpha swiglu_limit tie_word_embeddings transformers_version use_cache vocab_size " +
  "per_layer_config tie_last_hidden_states num_labels torch_dtype experts_per_token initial_context_length " +
  "quantization_config rope_scaling rope_theta unsloth_fixed unsloth_version add_cross_attention bad_words_ids " +
  "begin_suppress_tokens cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample " +
  "early_stopping encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task " +
  "forced_bos_token_id forced_eos_token_id is_decoder length_penalty max_length min_length no_repeat_ngram_size " +
  "num_beam_groups num_beams num_return_sequences output_scores prefix pruned_heads remove_invalid_values " +
  "repetition_penalty return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature " +
  "tf_legacy_loss tie_encoder_decoder tokenizer_class top_k top_p torchscript typical_p use_bfloat16";

Deno.test("the table of config.json has every key that transformers writes, each in one group", () => {
  const all = groups(HF_KEYS).flat();
  assertEquals(new Set(all).size, all.length);
  assertEquals(PUBLISHED.split(" ").filter((key) => !all.includes(key)), []);
  const rope = groups(ROPE_DICTIONARY).flat();
  assertEquals(new Set(rope).size, rope.length);
});

Deno.test("keys of config.json without consequence may say anything", () => {
  const { model } = read_(tiny());
  for (const [key, reason] of Object.entries(HF_KEYS.irrelevant)) {
    for (const value of ["x", 7, true, [1], { a: 1 }, null]) {
      // Without generation_config.json, what says how tokens are drawn is warned of.
      const read = read_(tiny({ [key]: value }), {});
      assertEquals([read.model, read.warnings], [model, []], key);
      assertEquals(read_(tiny({ [key]: value })).model, model, key);
    }
    assert(reason.length > 10, `${key}: no reason`);
  }
});

const REFUSED: [changes: Json, expected: string][] = [
  [{ is_encoder_decoder: true }, "is_encoder_decoder: expected false, got true"],
  [{ add_cross_attention: true }, "add_cross_attention: expected false, got true"],
  [{ pruned_heads: { 0: [1] } }, "pruned_heads: expected nothing, got an object"],
  [{ auto_map: { AutoModelForCausalLM: "m.M" } }, "auto_map: expected nothing, got an object"],
  [{ transformers_weights: "x.safetensors" }, 'transformers_weights: expected none, got "x.safetensors"'],
  [{ quantization: { bits: 4 } }, "quantization: expected none, got an object"],
];

Deno.test("keys of config.json that ask for another model are refused, and not where they ask for nothing", () => {
  for (const [changes, expected] of REFUSED) assertEquals(line(tiny(changes)), `config.json: ${expected}`);
  const { model } = read_(tiny());
  const same = {
    is_encoder_decoder: false,
    add_cross_attention: null,
    pruned_heads: {},
    auto_map: null,
    quantization: null,
  };
  assertEquals(read_(tiny(same)).model, model);
});

Deno.test("a key of config.json that is not known is refused, in both kinds of it and in YaRN's dictionary", () => {
  const said = "expected no key of that name: what it says of the model is not known";
  const unknown = ["attn_logit_softcapping", "norm_topk_prob", "use_sinks", "logit_scale", "mlp_bias", "default_theta"];
  for (const key of unknown) {
    assertEquals(line(tiny({ [key]: 2 })), `config.json: ${key}: ${said}, got 2`);
    assertEquals(line({ ...ORIGINAL, [key]: false }), `config.json: ${key}: ${said}, got false`);
    assertEquals(
      line(tiny({ rope_scaling: { ...ROPE, [key]: [] } })),
      `config.json: rope_scaling.${key}: ${said}, got an array of 0`,
    );
    // Without a value nothing is said.
    assertEquals(read_(tiny({ [key]: null, rope_scaling: { ...ROPE, [key]: null } })).model, read_(tiny()).model);
  }
  const parameters = { ...ROPE, rope_theta: 150000, high_freq_factor: 4 };
  const changed = tiny({ rope_scaling: undefined, rope_theta: undefined, rope_parameters: parameters });
  assertEquals(line(changed), `config.json: rope_parameters.high_freq_factor: ${said}, got 4`);
});

/** Attributes of transformers' GenerationConfig, version 5.24. */
const TRANSFORMERS_GENERATION = [
  "_from_model_config assistant_confidence_threshold assistant_early_exit assistant_ensemble_weight",
  "assistant_lookbehind bad_words_ids begin_suppress_tokens bos_token_id cache_config cache_implementation",
  "compile_config constraints continuous_batching_config decoder_start_token_id disable_compile diversity_penalty",
  "do_sample dola_layers early_stopping encoder_no_repeat_ngram_size encoder_repetition_penalty eos_token_id",
  "epsilon_cutoff eta_cutoff exponential_decay_length_penalty force_words_ids forced_bos_token_id",
  "forced_eos_token_id guidance_scale is_assistant length_penalty low_memory max_cache_len max_length",
  "max_matching_ngram_size max_new_tokens max_time min_length min_new_tokens min_p no_repeat_ngram_size",
  "num_assistant_tokens num_assistant_tokens_schedule num_beam_groups num_beams num_return_sequences",
  "output_attentions output_hidden_states output_logits output_scores pad_token_id penalty_alpha",
  "prefill_chunk_size prompt_lookup_num_tokens remove_invalid_values renormalize_logits repetition_penalty",
  "return_dict_in_generate sequence_bias speculation_type stop_strings suppress_tokens target_lookbehind",
  "temperature token_healing top_h top_k top_p transformers_version typical_p use_cache use_mtp",
  "watermarking_config",
].join(" ").split(" ");

Deno.test("readConfig() says what of generation_config.json is not applied", () => {
  const warnings = (generation: Json) => read_(tiny(), generation).warnings;
  const applied = [
    {},
    { do_sample: true, temperature: 0.6, top_k: 50, top_p: 0.9, max_length: 4096, transformers_version: "4.55.0" },
    // Versions before 5 have it.
    { return_legacy_cache: true },
    {
      num_beams: 1,
      repetition_penalty: 1.0,
      suppress_tokens: [],
      guidance_scale: null,
      cache_implementation: "static",
    },
  ];
  for (const generation of applied) assertEquals(warnings(generation), []);
  const said = "generation.json: not applied when tokens are drawn: ";
  assertEquals(warnings({ repetition_penalty: 1.1 }), [`${said}repetition_penalty 1.1`]);
  assertEquals(
    warnings({ num_beams: 4, suppress_tokens: [1], cache_implementation: "quantized", min_new_tokens: 3, top_h: 1 }),
    [`${said}num_beams 4, suppress_tokens an array of 1, cache_implementation "quantized" and 2 more`],
  );
  assertEquals(read_(ORIGINAL, { no_repeat_ngram_size: 2 }).warnings, [`${said}no_repeat_ngram_size 2`]);
});

Deno.test("readConfig() says the same of config.json where there is no generation_config.json", () => {
  const said = "config.json: not applied when tokens are drawn: ";
  const drawing = { repetition_penalty: 1.1, temperature: 0.3, prefix: "Q: ", bad_words_ids: [[1]] };
  assertEquals(read_(tiny(drawing)).warnings, [
    `${said}repetition_penalty 1.1, prefix "Q: ", bad_words_ids an array of 1`,
  ]);
  assertEquals(read_(tiny(drawing), {}).warnings, []);
  const defaults = { num_beams: 1, typical_p: 1.0, prefix: null, task_specific_params: {}, min_length: 0, top_k: 50 };
  assertEquals(read_(tiny(defaults)).warnings, []);
});

Deno.test("readConfig() refuses keys of generation_config.json that are not known", () => {
  const line = (generation: Json) => assertThrows(() => read_(tiny(), generation), InputError).message;
  const said = "expected no key of that name: what it says of replies is not known";
  assertEquals(line({ do_sample: true, dry_multiplier: 0.8 }), `generation.json: dry_multiplier: ${said}, got 0.8`);
  assertEquals(line({ "a\nb": [] }), `generation.json: a\\u000ab: ${said}, got an array of 0`);
  assertEquals(line({ hasOwnProperty: 1 }), `generation.json: hasOwnProperty: ${said}, got 1`);
  assertEquals(read_(tiny(), { dry_multiplier: null }).warnings, []);
  // Every key that transformers 5.24 writes is known, with a value of its kind.
  for (const key of TRANSFORMERS_GENERATION) {
    const taken = [1, true, "a text", [[1]], {}].filter((value) => {
      try {
        return read_(tiny(), { [key]: value }) !== null;
      } catch (error) {
        assert(error instanceof InputError && !error.message.includes("no key of that name"), key);
        return false;
      }
    });
    assert(taken.length > 0 && taken.length < 4, `${key}: ${taken.length} kinds of values`);
  }
});

Deno.test("readConfig() refuses values of generation_config.json that are not of their key's kind", () => {
  const line = (key: string, value: unknown) => assertThrows(() => read_(tiny(), { [key]: value }), InputError).message;
  const wrong: [string, unknown, string, string][] = [
    ["eos_token_id", "x", "a token id or a list of token ids", '"x"'],
    ["pad_token_id", -1, "a token id", "-1"],
    ["temperature", "hot", "a number from 0", '"hot"'],
    ["temperature", -0.1, "a number from 0", "-0.1"],
    ["top_p", true, "a number from 0 to 1", "true"],
    ["top_p", 1.5, "a number from 0 to 1", "1.5"],
    ["min_p", -0.5, "a number from 0 to 1", "-0.5"],
    ["top_k", 1.5, "an integer from -1", "1.5"],
    ["top_k", "50", "an integer from -1", '"50"'],
    ["max_new_tokens", -1, "an integer from 1", "-1"],
    ["max_new_tokens", 0, "an integer from 1", "0"],
    ["max_length", true, "an integer from 1", "true"],
    ["min_new_tokens", -1, "an integer from 0", "-1"],
    ["do_sample", "yes", "true or false", '"yes"'],
    ["do_sample", 1, "true or false", "1"],
    ["stop_strings", 1, "a text or a list of texts", "1"],
    ["stop_strings", ["a", 1], "a text or a list of texts", "an array of 2"],
    ["early_stopping", "x", 'true, false or "never"', '"x"'],
    ["repetition_penalty", {}, "a number from 0", "an object"],
    ["bad_words_ids", 3, "a list", "3"],
    ["sequence_bias", 3, "a list or an object", "3"],
    ["cache_implementation", 1, "a text", "1"],
    ["compile_config", "x", "an object", '"x"'],
    ["assistant_ensemble_weight", "x", "a number", '"x"'],
  ];
  for (const [key, value, expected, got] of wrong) {
    assertEquals(line(key, value), `generation.json: ${key}: expected ${expected}, got ${got}`);
  }
  // What others write without meaning anything, and numbers at their ends.
  const right = { top_k: -1, temperature: 0, top_p: 1, min_p: 0, max_length: 1e30, early_stopping: "never" };
  assertEquals(read_(tiny(), { ...right, stop_strings: ["a"], max_new_tokens: null }).warnings, []);
});
