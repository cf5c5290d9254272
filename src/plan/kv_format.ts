/** The number format of cached keys and values. */
import type { QuarkConfig } from "../checkpoint/quark/read_config.ts";
import { InputError } from "../errors.ts";
import type { PlanRequest } from "./request.ts";
import { option, words } from "../words.ts";

const NO_LAYERS = { layers: 0, stored: 0 };

/**
 * The cache's format: what is asked for, else FP8 where config and tensors both say so, else the dtype.
 *
 * @param warnings Gets a line where scales are 1 although some layers have stored ones.
 * @throws {InputError} where nothing is asked for and only one of config and tensors says FP8, or the tensors have
 *   scales for some layers only.
 */
export function kvFormat(request: PlanRequest, config: QuarkConfig | null, warnings: string[]) {
  const { kvCacheDtype: asked = "auto", kvScales: { layers, stored } = NO_LAYERS, configPath, dtype } = request;
  const some = stored === layers ? "all" : stored;
  if (asked !== "auto") {
    if (asked === "fp8" && stored > 0 && stored < layers) {
      warnings.push(
        `FP8 is asked for the KV cache, but the tensors have its scales for ${some} of ${layers} layers; 1 is used ` +
          "in the others",
      );
    }
    return { kvFormat: asked, kvDecidedBy: option("kvCacheDtype") } as const;
  }
  const cached = (module: string) => /\.[kv]_proj$/.test(module), all = request.linears.map(({ module }) => module);
  const modules = all.filter(cached), subject = { file: configPath, key: "quantization_config" };
  if (config?.kvCacheIsFp8(modules, all.filter((module) => !cached(module)))) {
    if (stored < layers) {
      throw InputError.of(
        "contradiction",
        subject,
        words`scales for the FP8 cache that it says, or ${option("kvCacheDtype")} (fp8: 1 where there are none)`,
        stored === 0 ? "none in the tensors" : `those of ${stored} of ${layers} layers`,
      );
    }
    return { kvFormat: "fp8", kvDecidedBy: "quantization_config" } as const;
  }
  if (stored > 0) {
    throw InputError.of(
      "contradiction",
      subject,
      words`an FP8 cache, as the tensors have its scales for ${some} of ${layers} layers, or ${option("kvCacheDtype")}`,
      request.quantization === null ? "nothing" : "none",
    );
  }
  config?.refuseLostCache(modules);
  return { kvFormat: dtype, kvDecidedBy: option("dtype") } as const;
}
