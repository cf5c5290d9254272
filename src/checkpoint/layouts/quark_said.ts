/**
 * What only quantization_config says of stored weights: which MXFP6 format they have, and whether weights that are
 * stored as plain numbers were quantized and dequantized.
 */
import { candidateNames } from "../quark/module_names.ts";
import { QuarkConfig } from "../quark/read_config.ts";
import { isMxFormat, STORED_FORMATS } from "../../formats/format.ts";
import { methodOf } from "./detect.ts";
import type { QuarkSaid } from "./quark_weights.ts";

/**
 * Reads what the config says of stored weights, by the rules that the plan follows.
 *
 * @param path Path of config.json, for messages.
 * @throws {InputError} naming the key of Quark's config that is not what it must be.
 */
export function quarkSaid(quantization: Readonly<Record<string, unknown>> | null, path: string): QuarkSaid {
  if (methodOf(quantization, path) !== "quark") return { mxfp6: () => null, fakeQuantized: false, scaleOf: () => null };
  const config = new QuarkConfig(quantization!, path);
  return {
    // What the config has for other modules says nothing of this one: both formats have the same bytes.
    mxfp6: (module) => {
      const format = config.of(candidateNames(module)).weight?.format;
      return format !== undefined && isMxFormat(format) && STORED_FORMATS[format].bits === 6 ? format : null;
    },
    fakeQuantized: config.fakeQuantized,
    scaleOf: (module) => config.of(candidateNames(module)).weight?.scale ?? null,
  };
}
