/** Which layout a checkpoint has, and what to say of tensors that it does not use. */
import { InputError } from "../../errors.ts";
import { printable, show } from "../../describe.ts";
import type { ModelConfig } from "../model_config.ts";
import type { LayoutName } from "./layout.ts";

/** Signs of a layout in tensor names, the more specific first. */
const SIGNS: readonly (readonly [LayoutName, RegExp])[] = [
  ["original", /^block\.\d+\.(?:attn|mlp)\./],
  ["quark", /^model\.layers\.\d+\.(?:mlp\.experts\.(?:\d+\.)?(?:gate_up|down)_proj\.weight$|.*_scale$)/],
  ["hf_mxfp4", /^model\.layers\.\d+\.mlp\.experts\.(?:gate_up|down)_proj_(?:blocks|scales)$/],
  ["hf_bf16", /^model\.layers\.\d+\.mlp\.experts\.(?:gate_up|down)_proj$/],
];

/**
 * The layout that the tensors show. The config is asked only where tensors leave it open: AMD Quark can leave experts
 * in the blocks that Hugging Face has as well.
 *
 * @param names Of all tensors.
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

/** What the tensors of a layout are, for a config that says something else by its quant_method alone. */
const CONTRADICTED: readonly { layout: LayoutName; method: string; tensors: string }[] = [
  { layout: "quark", method: "mxfp4", tensors: 'of quant_method "quark"' },
  { layout: "hf_bf16", method: "mxfp4", tensors: "without quantization" },
];

/**
 * A line about a quant_method that the tensors contradict, or null. The tensors count.
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
 * Names of tensors that change what a linear, or what stands between linears, computes, in every layout: below a
 * linear's own name, in the attention or the experts of a layer, or a rotation that several linears share.
 */
const COMPUTES = [
  /^(?:model\.layers|block)\.\d+\.(?:self_attn|attn|mlp)\./,
  /^(?:lm_head|model\.embed_tokens|model\.norm|embedding|unembedding|norm)\./,
  /(?:^|[._])(?:rotation|prescale)(?:[._]|$)/,
];
/** Old files have the rotary embedding's table, which the config says too. */
const HARMLESS = /\.rotary_emb\.inv_freq$/;

/** Names that one warning spells out. */
const NAMED = 3;

/**
 * What to say of tensors that no part of the model took.
 *
 * @param place What messages begin with.
 * @returns One line, or null.
 * @throws {InputError} for tensors without which the model would be another one: of further layers or experts, of
 *   quantizations that are not read, and of whatever else is part of a module that is computed here.
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
