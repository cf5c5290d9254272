/** What a plan is made of, and how messages name it. */
import type { Dtype } from "../formats/format.ts";
import type { Fp8Scales } from "./static_scales.ts";
import type { Conversion } from "../checkpoint/conversions.ts";
import type { AttentionScales } from "../checkpoint/source.ts";
import type { StoredLinear } from "./stored_linear.ts";

/** What a plan is made of. */
export interface PlanRequest {
  /** All linears of the model (not of one rank: experts elsewhere have a say in the common scale). */
  readonly linears: readonly StoredLinear[];
  /** `quantization_config` as it stands in config.json; null where there is none. */
  readonly quantization: Readonly<Record<string, unknown>> | null;
  /** What `mxoss quantize` has made of the weights; absent: nothing is known. */
  readonly conversions?: readonly Conversion[];
  /** Whether weights are stored by AMD Quark's names, of which a config says what happens to inputs. */
  readonly hasQuarkNames?: boolean;
  /** Path of config.json, for messages. */
  readonly configPath: string;
  /** Name of a scheme whose input format replaces that of experts, and to whose weights they are converted. */
  readonly scheme?: string;
  /**
   * Calibrated input scales by module; an entry for `model.layers.0.mlp.experts.gate_up_proj` is for all experts of the
   * layer. They count before those of the checkpoint.
   */
  readonly inputScales?: ReadonlyMap<string, number>;
  /** Which static scale an expert's input has; default `merged`. */
  readonly fp8Scales?: Fp8Scales;
  /** `auto`: as the checkpoint says, else the dtype. */
  readonly kvCacheDtype?: "auto" | "bf16" | "fp8";
  /** Layers, and how many of them have scales of their keys and values in the tensors. */
  readonly kvScales?: { readonly layers: number; readonly stored: number };
  /** The first of the tensors that have scales of queries and attention probabilities, and its file. */
  readonly attentionScales?: AttentionScales;
  readonly dtype: Dtype;
}

/** Whether the config says that experts are MXFP4 as OpenAI publishes them. */
export const isMxfp4Method = ({ quantization }: PlanRequest): boolean => quantization?.["quant_method"] === "mxfp4";

/** What decides where no entry of a config speaks of a linear, in words. */
export const reasonWithoutSpec = (request: PlanRequest): string =>
  isMxfp4Method(request) ? "quant_method mxfp4" : "no quantization_config";
