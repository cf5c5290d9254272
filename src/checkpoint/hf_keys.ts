/**
 * Keys of Hugging Face's config.json that are not read: every field of transformers' GptOssConfig and its base class,
 * of versions 4.55 to 5.24, is here or in hf_config.ts, and what other tools write into published files.
 */
import * as z from "zod";
import { absent, nothing } from "./keys.ts";
import { oneOf } from "../validate.ts";

const TRAINING = "of training, or of the values that weights have before it";
const RETURNED = "what transformers returns besides logits";
const CLASSIFIER = "of models that classify texts";
const ENCODER = "of models with an encoder";
const IMPLEMENTATION = "by which program transformers computes";
const DRAWING = "how others draw tokens where no generation_config.json says it; options say it here";
const ORIGIN = "where the file comes from";
const DRAFTS = "of heads that draft tokens: no logits depend on them";

/** Keys that say how many layers of such heads there are. */
const DRAFT_LAYERS = ["num_nextn_predict_layers", "num_mtp_layers", "mtp_num_hidden_layers"];

const all = (reason: string, ...keys: string[]) => Object.fromEntries(keys.map((key) => [key, reason]));
const no = oneOf(false).nullish();

/** Groups as `Keys` has them, but for the keys that are read. */
export const OTHER_HF_KEYS = {
  checked: {
    // Checked before anything else.
    architectures: z.unknown().optional(),
    model_type: z.unknown().optional(),
    // What these say is built in: a model that says otherwise is another one.
    hidden_act: oneOf("silu").nullish(),
    attention_bias: oneOf(true).nullish(),
    tie_word_embeddings: oneOf(false).nullish(),
    // No key of GPT-OSS, but transformers masks by it, and to Python null is false: tokens would see those after them.
    is_causal: oneOf(true).optional(),
    // Settings of single layers.
    per_layer_config: z.record(z.string(), z.never({ error: "no settings of single layers" }), {
      error: "no settings of single layers",
    }).nullish(),
    is_encoder_decoder: no,
    add_cross_attention: no,
    tie_encoder_decoder: no,
    cross_attention_hidden_size: absent,
    // Heads that transformers 4 took out of the model.
    pruned_heads: nothing,
    // Code of the repository's own in place of GptOssForCausalLM.
    auto_map: nothing,
    // Another file of weights, and modules that are made one while they are loaded.
    transformers_weights: absent,
    fusion_config: nothing,
    // MLX's way to say how weights are stored.
    quantization: absent,
  },
  irrelevant: {
    ...all(TRAINING, "attention_dropout", "initializer_range", "router_aux_loss_coef", "gradient_checkpointing"),
    ...all(
      RETURNED,
      ...["return_dict", "output_attentions", "output_hidden_states", "output_router_logits", "output_scores"],
      ...["torchscript", "tie_last_hidden_states", "return_dict_in_generate", "use_return_dict"],
    ),
    ...all(CLASSIFIER, "id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "classifier_dropout"),
    ...all(ENCODER, "decoder_start_token_id", "is_decoder", "sep_token_id"),
    ...all(
      IMPLEMENTATION,
      ...[
        "attn_implementation",
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_attn_implementation_internal",
      ],
      ...["experts_implementation", "_experts_implementation", "_experts_implementation_internal", "use_cache"],
      ...["chunk_size_feed_forward", "distributed_config", "use_bfloat16", "tf_legacy_loss"],
    ),
    ...all(
      "in which dtype others load weights; a warning says where it rounds them, which are computed as they are stored",
      "dtype",
      "torch_dtype",
    ),
    ...all(
      DRAWING,
      ...["do_sample", "temperature", "top_k", "top_p", "typical_p", "min_p", "repetition_penalty", "length_penalty"],
      ...["no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "encoder_repetition_penalty", "bad_words_ids"],
      ...["num_beams", "num_beam_groups", "diversity_penalty", "early_stopping", "num_return_sequences", "max_length"],
      ...["min_length", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values", "suppress_tokens"],
      ...["begin_suppress_tokens", "exponential_decay_length_penalty", "epsilon_cutoff", "eta_cutoff"],
      ...["num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"],
      ...["assistant_lookbehind", "target_lookbehind", "prefix", "task_specific_params"],
    ),
    ...all(
      ORIGIN,
      ...["_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "model_name", "tokenizer_class"],
      ...["unsloth_fixed", "unsloth_version", "transformers.js_config"],
    ),
    ...all(DRAFTS, ...DRAFT_LAYERS, "mtp_layer_types"),
  },
};

/** Whether a config says that the model has heads that draft tokens. */
export function hasDraftHeads(json: Readonly<Record<string, unknown>>): boolean {
  return DRAFT_LAYERS.some((key) => Number(json[key] ?? 0) > 0);
}
