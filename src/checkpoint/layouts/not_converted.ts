/** What `modules_to_not_convert` of quant_method mxfp4 says, beside the tensors. */
import * as z from "zod";
import { InputError } from "../../errors.ts";
import { show } from "../../describe.ts";
import { type Keys, refuseUnknown } from "../keys.ts";
import { parsePattern, patternFuel } from "../quark/pattern.ts";
import type { LayoutName } from "./layout.ts";

/** Every key of `quantization_config` where the method is mxfp4. */
const MXFP4_KEYS = {
  read: { quant_method: z.unknown(), modules_to_not_convert: z.unknown() },
  checked: {},
  irrelevant: { dequantize: "whether transformers decodes all weights when it loads them: the numbers are the same" },
} satisfies Keys<z.ZodRawShape>;

/**
 * A warning, one line, where a config leaves experts unquantized whose tensors are MXFP4, or null. The tensors are
 * believed.
 *
 * An entry names a module wherever it stands in the module's path, with or without what is above and below it, as
 * transformers compares them; `*` stands for any characters.
 *
 * @param quantization `quantization_config`, or null.
 * @param layers How many the model has.
 * @throws {InputError} for an entry that is no name, whatever the layout, and for a key that is not known.
 */
export function notConvertedWarning(
  layout: LayoutName,
  quantization: Readonly<Record<string, unknown>> | null,
  layers: number,
  configPath: string,
): string | null {
  if (quantization?.["quant_method"] !== "mxfp4") return null;
  refuseUnknown(MXFP4_KEYS, quantization, { file: configPath, key: "quantization_config" });
  const said = quantization["modules_to_not_convert"] ?? null;
  if (said === null) return null;
  const key = "quantization_config.modules_to_not_convert";
  const wrong = !Array.isArray(said) ? [said] : said.filter((name) => typeof name !== "string");
  if (wrong.length > 0) {
    throw InputError.of("wrong_value", { file: configPath, key }, "a list of module names", show(wrong[0]));
  }
  if (layout !== "hf_mxfp4" && layout !== "original") return null;
  const where = `${configPath}: ${key}`, fuel = patternFuel(where);
  for (const text of said as string[]) {
    const { matches } = parsePattern(text, where, fuel);
    for (let layer = 0; layer < layers; layer++) {
      const module = `model.layers.${layer}.mlp.experts`;
      if (stretches(module).some(matches)) {
        return `${where} has ${show(text)}, but the tensors of ${module} are mxfp4; the tensors count`;
      }
    }
  }
  return null;
}

/** Every run of neighbouring parts of a dotted name. */
function stretches(name: string): string[] {
  const parts = name.split(".");
  return parts.flatMap((_, from) => parts.slice(from).map((_, more) => parts.slice(from, from + more + 1).join(".")));
}
