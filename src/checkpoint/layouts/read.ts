/** Every layout's reader, by the layout's name. */
import type { ModelConfig } from "../model_config.ts";
import type { TensorSet } from "../tensor_set.ts";
import { readHfBf16 } from "./hf_bf16.ts";
import { readHfMxfp4 } from "./hf_mxfp4.ts";
import type { LayoutName, LayoutSource } from "./layout.ts";
import { readOriginal } from "./original.ts";
import { readQuark } from "./quark.ts";
import type { QuarkSaid } from "./quark_weights.ts";

/**
 * The tree of matrices that stored tensors make in a layout.
 *
 * @param said What Quark's part of the config says; other layouts do not look at it.
 * @throws InputError where a tensor is missing, or is not what the config asks for.
 */
export function readLayout(
  layout: LayoutName,
  tensors: TensorSet,
  config: ModelConfig,
  said: QuarkSaid,
): LayoutSource {
  switch (layout) {
    case "hf_mxfp4":
      return readHfMxfp4(tensors, config);
    case "hf_bf16":
      return readHfBf16(tensors, config);
    case "original":
      return readOriginal(tensors, config);
    case "quark":
      return readQuark(tensors, config, said);
  }
}
