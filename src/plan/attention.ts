/**
 * What a checkpoint asks of attention besides the format of its cache, and what is not computed: queries and
 * probabilities in FP8. Who says what attention is to be computed in, goes on without.
 */
import type { QuarkConfig } from "../checkpoint/quark/read_config.ts";
import { InputError, type Subject } from "../errors.ts";
import { option, type Text, words } from "../words.ts";
import type { Configured } from "./contradictions.ts";
import type { PlanRequest } from "./request.ts";

/** What is said of attention, the option that decides, and what is said where it is not given. */
const decides = (what: string): Text => words`${what}, or ${option("kvCacheDtype")} to go on without`;

/**
 * Refuses what is not computed, unless the option `kvCacheDtype` says what attention is to be computed in.
 *
 * @returns With the option, a warning for each thing that is left out.
 * @throws {InputError} naming the key or the tensor.
 */
export function attention(
  linears: readonly Configured[],
  { kvCacheDtype = "auto", attentionScales, configPath }: PlanRequest,
  config: QuarkConfig | null,
): string[] {
  const warnings: string[] = [];
  const said = (subject: Subject, expected: string, got: string, warning: string) => {
    if (kvCacheDtype === "auto") throw InputError.of("unsupported", subject, decides(expected), got);
    warnings.push(warning);
  };
  if (config?.quantizesProbabilities) {
    const key = "quantization_config.softmax_quant_spec", what = "attention probabilities are not quantized";
    said({ file: configPath, key }, "null", `a spec: ${what}`, `${configPath}: ${key}: ${what}`);
  }
  const query = linears.find(({ stored: { module }, spec }) => spec?.fp8Output && module.endsWith(".q_proj"));
  if (query !== undefined) {
    const key = `quantization_config.${query.spec!.entry}.output_tensors`, what = "queries are not quantized";
    said(
      { file: configPath, key },
      `null for ${query.stored.module}`,
      `a spec: ${what}`,
      `${configPath}: ${key}: ${what}`,
    );
  }
  if (attentionScales !== undefined) {
    const { file, tensor } = attentionScales, what = "queries and probabilities are not quantized";
    said({ file, tensor }, "none", `one: ${what}`, `${file}: tensor ${tensor}: not used: ${what}`);
  }
  return warnings;
}
