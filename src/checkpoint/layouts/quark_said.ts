/**
 * What only quantization_config says of stored weights: which MXFP6 format they have, and whether weights that are
 * stored as plain numbers were quantized and dequantized.
 */
import { candidateNames } from "../quark/module_names.ts";
import { QuarkConfig } from "../quark/read_config.ts";
import { isMxFormat, type MxFormat, STORED_FORMATS } from "../../formats/format.ts";
import { formatOfDtype } from "../quark/mx_dtypes.ts";
import type { Mxfp6Resolver, QuarkSaid } from "./quark_weights.ts";

type Json = Readonly<Record<string, unknown>>;

const hasSixBits = (format: string | undefined): format is MxFormat =>
  format !== undefined && isMxFormat(format) && STORED_FORMATS[format].bits === 6;

/**
 * Reads what the config says of stored weights.
 *
 * @param path Path of config.json, for messages.
 */
export function quarkSaid(quantization: Json | null, path: string): QuarkSaid {
  const exported = quantization?.["export"];
  const format = typeof exported === "object" && exported !== null ? (exported as Json)["weight_format"] : null;
  return { mxfp6: mxfp6Resolver(quantization, path), fakeQuantized: format === "fake_quantized" };
}

/**
 * A function from a module's name to its 6-bit format: what the config says of the module, by the rules that the plan
 * follows. Where the config has no 6-bit format for a module whose tensor has 6 bits: the one 6-bit format that the
 * config names elsewhere.
 *
 * @param path Path of config.json, for messages.
 */
function mxfp6Resolver(quantization: Json | null, path: string): Mxfp6Resolver {
  if (quantization === null) return () => null;
  let config: QuarkConfig | undefined;
  let named: MxFormat | null | undefined;
  return (module) => {
    // Parsed only when asked for: a checkpoint without 6-bit weights may have a config of another form.
    config ??= new QuarkConfig(quantization, path);
    const said = config.of(candidateNames(module)).weight?.format;
    if (named === undefined) named = onlyNamed(quantization);
    return hasSixBits(said) ? said : named;
  };
}

/** The 6-bit format that a config names in its global entry or one of its layers', if it is always the same one. */
function onlyNamed(quantization: Json): MxFormat | null {
  const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;
  const layers = quantization["layer_quant_config"];
  const entries = [quantization["global_quant_config"], ...isObject(layers) ? Object.values(layers) : []];
  const named = new Set(entries.flatMap((entry) => {
    const weight = isObject(entry) ? entry["weight"] : null;
    return isObject(weight)
      ? [weight["dtype"], weight["mx_element_dtype"]].map((dtype) => formatOfDtype(String(dtype))).filter(hasSixBits)
      : [];
  }));
  const [only = null, another] = named;
  return another === undefined ? only : null;
}
