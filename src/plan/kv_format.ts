/** The number format of cached keys and values. */
import type { QuarkConfig } from "../checkpoint/quark/read_config.ts";
import { type PlanRequest, reasonWithoutSpec } from "./request.ts";
import { option } from "../words.ts";

const NO_LAYERS = { layers: 0, stored: 0 };

/**
 * The cache's format: what is asked for, what the config says, FP8 where the tensors have scales for it, or the dtype.
 *
 * @param warnings Gets a line where config and tensors contradict each other.
 */
export function kvFormat(request: PlanRequest, config: QuarkConfig | null, warnings: string[]) {
  const { kvCacheDtype: asked = "auto", kvScales: { layers, stored } = NO_LAYERS, configPath, dtype } = request;
  const tensors = stored === 0
    ? "the tensors have no scales for it"
    : `the tensors have its scales for ${stored === layers ? "all" : stored} of ${layers} layers`;
  if (asked !== "auto") {
    if (asked === "fp8" && stored > 0 && stored < layers) {
      warnings.push(`FP8 is asked for the KV cache, but ${tensors}; 1 is used in the others`);
    }
    return { kvFormat: asked, kvDecidedBy: option("kv-cache-dtype") } as const;
  }
  const cached = (module: string) => /\.[kv]_proj$/.test(module), all = request.linears.map(({ module }) => module);
  const modules = all.filter(cached);
  if (config?.kvCacheIsFp8(modules, all.filter((module) => !cached(module)))) {
    if (stored < layers) {
      warnings.push(
        `${configPath}: quantization_config says FP8 for the KV cache, but ${tensors}; 1 is used where there are none`,
      );
    }
    return { kvFormat: "fp8", kvDecidedBy: "quantization_config" } as const;
  }
  if (stored === 0) config?.refuseLostCache(modules);
  if (stored === 0) return { kvFormat: dtype, kvDecidedBy: option("dtype") } as const;
  const said = config === null ? reasonWithoutSpec(request) : "quantization_config says no FP8";
  warnings.push(`${configPath}: ${said} for the KV cache, but ${tensors}; the tensors count`);
  return { kvFormat: "fp8", kvDecidedBy: "tensors" } as const;
}
