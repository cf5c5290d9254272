/**
 * What only quantization_config says of stored weights: which MXFP6 format they have, and whether weights that are
 * stored as plain numbers were quantized and dequantized.
 */
import { candidateNames } from "../quark/module_names.ts";
import { QuarkConfig } from "../quark/read_config.ts";
import { isMxFormat, STORED_FORMATS } from "../../formats/format.ts";
import { methodOf } from "./detect.ts";
import type { QuarkSaid } from "./quark_weights.ts";

type Json = Readonly<Record<string, unknown>>;

/** Configs that were read, by what they were read from: opening and every plan of a checkpoint ask the same one. */
const known = new WeakMap<Json, { readonly path: string; readonly config: QuarkConfig }>();

/**
 * Quark's config, read once; null where the method is another one, or there is none.
 *
 * @param quantization `quantization_config`; it must not be changed afterwards.
 * @param path Path of config.json, for messages.
 * @throws {InputError} naming the key that is not what it must be.
 */
export function quarkConfigOf(quantization: Json | null, path: string): QuarkConfig | null {
  if (quantization === null || methodOf(quantization, path) !== "quark") return null;
  let found = known.get(quantization);
  if (found?.path !== path) known.set(quantization, found = { path, config: new QuarkConfig(quantization, path) });
  return found.config;
}

/**
 * Reads what the config says of stored weights, by the rules that the plan follows.
 *
 * @param path Path of config.json, for messages.
 * @throws {InputError} naming the key of Quark's config that is not what it must be.
 */
export function quarkSaid(quantization: Json | null, path: string): QuarkSaid {
  const config = quarkConfigOf(quantization, path);
  if (config === null) return { mxfp6: () => null, fakeQuantized: false, weightOf: () => null, rotation: null };
  return {
    // What the config has for other modules says nothing of this one: both formats have the same bytes.
    mxfp6: (module) => {
      const format = config.of(candidateNames(module)).weight?.format;
      return format !== undefined && isMxFormat(format) && STORED_FORMATS[format].bits === 6 ? format : null;
    },
    fakeQuantized: config.fakeQuantized,
    weightOf: (module) => config.of(candidateNames(module)).weight,
    rotation: config.rotation,
  };
}
