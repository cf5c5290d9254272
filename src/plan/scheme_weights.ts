/** Whether linears are stored as the weights of a scheme are. */
import { type Conversion, type ConvertedKind, lossyFormats } from "../checkpoint/conversions.ts";
import { EXPERT } from "../checkpoint/quark/module_names.ts";
import { InputError } from "../errors.ts";
import { BLOCK, type WeightFormat, type WeightScale } from "../formats/format.ts";
import { refuseRotated } from "./rotation.ts";
import type { Scheme } from "./scheme.ts";
import type { StoredLinear } from "./stored_linear.ts";

/** MI300's FP8 is the same format to a config. */
export function weightName(format: WeightFormat, scale: WeightScale): string {
  const name = format === "fp8_e4m3fnuz" ? "fp8_e4m3" : format;
  return scale === "row" ? `${name} per channel` : name;
}

/** Whether a linear is stored as a scheme's weights are; all plain formats are alike. */
export function hasWeightsOf(scheme: Scheme, { weight, scale }: Pick<StoredLinear, "weight" | "scale">): boolean {
  if (scale !== scheme.weightScale) return false;
  return scale === "none" || weightName(weight, scale) === weightName(scheme.weight, scale);
}

/**
 * The linears whose weights a scheme converts: experts that are stored otherwise.
 *
 * @throws {InputError} where they cannot be: rows that do not fill MX blocks, inputs that are rotated online.
 */
export function convertedBy(scheme: Scheme, linears: readonly StoredLinear[]): ReadonlySet<StoredLinear> {
  const converted = linears.filter((stored) => EXPERT.test(stored.module) && !hasWeightsOf(scheme, stored));
  if (converted.length === 0) return new Set();
  const rotated = linears.find(({ rotation }) => rotation);
  if (rotated) {
    refuseRotated(rotated.module, rotated.rotation!.size, "weights that are converted while they are loaded");
  }
  const ragged = scheme.weightScale === "e8m0" ? converted.find(({ cols }) => cols % BLOCK !== 0) : undefined;
  if (ragged) {
    throw InputError.of(
      "wrong_value",
      { option: "scheme", value: scheme.name },
      `input features in blocks of ${BLOCK}`,
      `${ragged.cols} in ${ragged.module}`,
    );
  }
  return new Set(converted);
}

/**
 * A warning where numbers that a format has changed already are quantized once more.
 *
 * @param conversions What the checkpoint's config.json says of them.
 */
export function furtherLoss(
  converted: Iterable<Pick<StoredLinear, "module" | "weight">>,
  conversions: readonly Conversion[],
): string[] {
  const all = [...converted].flatMap(({ module, weight }) => lossyFormats(weight, kindOf(module), conversions));
  const formats = [...new Set(all)];
  return formats.length === 0 ? [] : [`weights that are ${formats.join(" and ")} already are quantized again`];
}

/** Of linears that are converted: the router and the head never are. */
export const kindOf = (module: string): ConvertedKind => EXPERT.test(module) ? "experts" : "attention";
