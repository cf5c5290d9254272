/**
 * Every key of AMD Quark's `quantization_config`, as Quark 0.8 to 0.13 write it: read, held to the only value that is
 * computed, or of no consequence.
 */
import * as z from "zod";
import { absent, type Keys, nothing } from "../keys.ts";
import { oneOf } from "../../validate.ts";

/** Any JSON object. */
export const object = z.record(z.string(), z.unknown(), { error: "an object" });

const names = z.array(z.string({ error: "a name" }), { error: "a list of names" });
const bool = z.boolean({ error: "true or false" });
const text = z.string({ error: "a name" });
const integer = z.int({ error: "an integer" });

/** `quantization_config` itself. */
export const QUARK_KEYS = {
  read: {
    global_quant_config: object.nullish(),
    layer_quant_config: object.nullish(),
    layer_type_quant_config: object.nullish(),
    exclude: names.nullish(),
    kv_cache_quant_config: object.nullish(),
    softmax_quant_spec: z.unknown().optional(),
    algo_config: z.unknown().optional(),
    /** Where old versions have some entries of algo_config. */
    pre_quant_opt_config: z.unknown().optional(),
    export: object.nullish(),
  },
  checked: {
    quant_method: oneOf("quark").nullish(),
    // The other mode quantizes what flows between operations of a traced graph.
    quant_mode: oneOf("eager_mode").nullish(),
    // Keys are quantized behind the rotary embedding whatever it says, as docs/schemes.md has it.
    kv_cache_post_rope: bool.nullish(),
    // Both stand in `export` where they say something.
    kv_cache_group: nothing,
    weight_format: absent,
  },
  irrelevant: {
    version: "which Quark wrote it; what versions write differently, other keys and the tensors show",
    min_kv_scale: "the least scale that an export writes: scales are read as they are stored",
    shared_scale_groups: "which weights were given one scale: scales are read as they are stored",
    sync_moe_expert_input_amax: "how scales of experts' inputs were made: they are read as they are stored",
    keep_prequantized_layers: "what an export did with weights that were quantized before: tensors show it",
    log_severity_level: "what Quark printed",
    quant_flow: "in which parts a model was loaded to be quantized",
    gpu_resident_blocks: "in which parts a model was loaded to be quantized",
  },
} satisfies Keys<z.ZodRawShape>;

/** `export` in it. */
export const EXPORT_KEYS = {
  read: {
    kv_cache_group: names.nullish(),
    weight_format: z.enum(["real_quantized", "fake_quantized"], { error: "real_quantized or fake_quantized" })
      .nullish(),
  },
  checked: {
    // Both orders are of integers in words of 32 bits; elements of 4 and 6 bits have one order.
    pack_method: oneOf("reorder", "order").nullish(),
  },
  irrelevant: {
    min_kv_scale: "the least scale that an export writes: scales are read as they are stored",
    weight_merge_groups: "which weights were given one scale: scales are read as they are stored",
  },
} satisfies Keys<z.ZodRawShape>;

/** An entry: what modules have. */
export const ENTRY_KEYS = {
  read: {
    weight: z.unknown().optional(),
    input_tensors: z.unknown().optional(),
    output_tensors: z.unknown().optional(),
    bias: z.unknown().optional(),
  },
  checked: {},
  irrelevant: { target_device: "where Quark computed" },
} satisfies Keys<z.ZodRawShape>;

/** A spec: what a tensor is quantized to. */
export const SPEC_KEYS = {
  read: {
    dtype: text,
    is_dynamic: bool.nullish(),
    /** Older name of is_dynamic. */
    dynamic: bool.nullish(),
    qscheme: text.nullish(),
    ch_axis: integer.nullish(),
    /** Older name of ch_axis. */
    axis: integer.nullish(),
    group_size: integer.nullish(),
    block_size: integer.nullish(),
    scale_format: text.nullish(),
    scale_type: text.nullish(),
    scale_calculation_mode: text.nullish(),
    mx_element_dtype: text.nullish(),
    observer_cls: text.nullish(),
  },
  checked: {
    // A spec of scales, not of numbers.
    is_scale_quant: oneOf(false).nullish(),
    qat_spec: absent,
  },
  irrelevant: {
    symmetric: "whether integers have a zero point: FP8 and MX have none",
    zero_point_type: "of zero points, which FP8 and MX do not have",
    round_method: "of integers: FP8 and MX round half to even",
    enable_buffer_reuse: "how Quark uses memory",
    max_input_numel: "how Quark uses memory",
  },
} satisfies Keys<z.ZodRawShape>;
