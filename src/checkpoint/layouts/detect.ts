/** Which layout a checkpoint has, and whether its config names the method that the tensors show. */
import { InputError } from "../../errors.ts";
import { printable, show } from "../../describe.ts";
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
 * @param method What {@linkcode methodOf} found in the config.
 * @param place What messages begin with.
 * @throws {InputError} where no tensor is one of GPT-OSS's.
 */
export function detectLayout(names: readonly string[], method: "mxfp4" | "quark" | null, place: string): LayoutName {
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
  return found === "hf_mxfp4" && method === "quark" ? "quark" : found;
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
