/** Which layout a checkpoint has, and the warning about tensors that the layout does not use. */
import { InputError } from "../../errors.ts";
import { printable, show } from "../../describe.ts";
import type { ModelConfig } from "../model_config.ts";
import type { LayoutName } from "./layout.ts";

/** Tensor names that identify a layout, the more specific first. */
const SIGNS: readonly (readonly [LayoutName, RegExp])[] = [
  ["original", /^block\.\d+\.(?:attn|mlp)\./],
  ["quark", /^model\.layers\.\d+\.(?:mlp\.experts\.(?:\d+\.)?(?:gate_up|down)_proj\.weight$|.*_scale$)/],
  ["hf_mxfp4", /^model\.layers\.\d+\.mlp\.experts\.(?:gate_up|down)_proj_(?:blocks|scales)$/],
  ["hf_bf16", /^model\.layers\.\d+\.mlp\.experts\.(?:gate_up|down)_proj$/],
];

/**
 * The layout, judged by the tensors' names. The config decides only where these do not: AMD Quark can keep experts in
 * the blocks that Hugging Face's own layout uses.
 *
 * @param names Names of all tensors.
 * @param quantMethod `quantization_config.quant_method`.
 * @param place What messages begin with.
 * @throws {InputError} where no tensor is one of GPT-OSS's.
 */
export function detectLayout(names: readonly string[], quantMethod: unknown, place: string): LayoutName {
  const found = SIGNS.find(([, sign]) => names.some((name) => sign.test(name)))?.[0];
  if (found === undefined) {
    const got = names.length === 0 ? "no tensors" : `${names.length} others, e.g. ${printable(names[0]!)}`;
    throw InputError.of(
      "wrong_value",
      { file: place },
      "tensors of a GPT-OSS model, such as model.layers.0.mlp.experts.gate_up_proj_blocks",
      got,
    );
  }
  return found === "hf_mxfp4" && quantMethod === "quark" ? "quark" : found;
}

/**
 * Which of the quantizations that are read here a config describes; null: none.
 *
 * @param quantization `quantization_config`, or null.
 * @throws {InputError} naming another method, whose tensors no layout has names for.
 */
export function methodOf(
  quantization: Readonly<Record<string, unknown>> | null,
  configPath: string,
): "mxfp4" | "quark" | null {
  if (quantization === null || Object.keys(quantization).length === 0) return null;
  const method = quantization["quant_method"] ?? (quantization["global_quant_config"] ? "quark" : undefined);
  if (method === "mxfp4" || method === "quark") return method;
  const key = "quantization_config.quant_method";
  throw InputError.of("wrong_value", { file: configPath, key }, '"mxfp4" or "quark"', show(method));
}

/** How a message describes the tensors of a layout whose config names another quant_method. */
const CONTRADICTED: readonly { layout: LayoutName; method: string; tensors: string }[] = [
  { layout: "quark", method: "mxfp4", tensors: 'of quant_method "quark"' },
  { layout: "hf_bf16", method: "mxfp4", tensors: "without quantization" },
];

/**
 * A warning, one line, where the tensors contradict the config's quant_method, or null. The tensors are believed.
 *
 * AMD Quark's config names formats module by module, and the plan compares those; methods that are unknown are refused
 * there too.
 */
export function methodWarning(layout: LayoutName, quantMethod: unknown, configPath: string): string | null {
  const found = CONTRADICTED.find((one) => one.layout === layout && one.method === quantMethod);
  return found === undefined
    ? null
    : `${configPath}: quantization_config.quant_method is ${
      show(quantMethod)
    }, but the tensors are ${found.tensors}; the tensors count`;
}

/**
 * Names of tensors that change what the model computes, in every layout: below a linear's own name, in the attention,
 * the experts or a norm of a layer, or a rotation that several linears share.
 */
const COMPUTES = [
  /^(?:model\.layers|block)\.\d+\.(?:self_attn\.|attn\.|mlp\.|\w*norm)/,
  /^(?:lm_head|model\.embed_tokens|model\.norm|embedding|unembedding|norm)\./,
  /(?:^|[._])(?:rotation|prescale)(?:[._]|$)/,
];
/** Old files hold the rotary embedding's table, which follows from the config. */
const HARMLESS = /\.rotary_emb\.inv_freq$/;

/** Most names that one warning lists. */
const NAMED = 3;

/**
 * The warning about tensors that the layout did not read.
 *
 * @param place What messages begin with.
 * @returns One line, or null.
 * @throws {InputError} for tensors that would change the model's results: of further layers or experts, of
 *   quantizations that are not supported, or of anything else within a module that is computed here.
 */
export function checkUnused(unused: readonly string[], { layers, experts }: ModelConfig, place: string): string | null {
  for (const name of unused) {
    const layer = Number(/^(?:model\.layers|block)\.(\d+)\./.exec(name)?.[1] ?? -1);
    if (layer >= layers) {
      throw InputError.of(
        "wrong_value",
        { file: place, tensor: printable(name) },
        `${layers} layers (num_hidden_layers)`,
        "another one",
      );
    }
    const expert = Number(/\.mlp\.experts\.(\d+)\./.exec(name)?.[1] ?? -1);
    if (expert >= experts) {
      throw InputError.of(
        "wrong_value",
        { file: place, tensor: printable(name) },
        `${experts} experts (num_local_experts)`,
        "another one",
      );
    }
    if (HARMLESS.test(name)) continue;
    if (/_zero_point(?:_2)?$|_scale_2$/.test(name)) {
      throw InputError.of(
        "wrong_value",
        { file: place, tensor: printable(name) },
        "symmetric quantization in one stage",
        name.endsWith("_2") ? "a second stage" : "a zero point",
      );
    }
    if (COMPUTES.some((pattern) => pattern.test(name))) {
      throw InputError.of(
        "unsupported",
        { file: place, tensor: printable(name) },
        "no tensor of that name: what it does to the model is not known",
      );
    }
  }
  if (unused.length === 0) return null;
  const names = unused.slice(0, NAMED).map(printable).join(", ");
  const more = unused.length > NAMED ? ` and ${unused.length - NAMED} more` : "";
  return `${place}: not part of the model and not read: ${names}${more}`;
}
