/** Whether linears are stored as the weights of a scheme are. */
import { EXPERT } from "../checkpoint/quark/module_names.ts";
import { InputError } from "../errors.ts";
import type { WeightFormat, WeightScale } from "../formats/format.ts";
import type { Scheme } from "./scheme.ts";
import type { StoredLinear } from "./stored_linear.ts";
import { command, type Text, words } from "../words.ts";

/** MI300's FP8 is the same format to a config. */
export function weightName(format: WeightFormat, scale: WeightScale): string {
  const name = format === "fp8_e4m3fnuz" ? "fp8_e4m3" : format;
  return scale === "row" ? `${name} per channel` : name;
}

/** Whether a linear is stored as a scheme's weights are; all plain formats are alike. */
export function hasWeightsOf(scheme: Scheme, { weight, scale }: StoredLinear): boolean {
  if (scale !== scheme.weightScale) return false;
  return scale === "none" || weightName(weight, scale) === weightName(scheme.weight, scale);
}

/** @throws {InputError} if the experts are not stored as the scheme says. */
export function checkWeights(scheme: Scheme, linears: readonly StoredLinear[]): void {
  const experts = linears.filter(({ module }) => EXPERT.test(module));
  const other = experts.find((stored) => !hasWeightsOf(scheme, stored));
  if (!other) return;
  const expected = weightName(scheme.weight, scheme.weightScale);
  throw InputError.of(
    "wrong_value",
    { option: "scheme", value: scheme.name },
    `experts stored as ${expected}`,
    words`${weightName(other.weight, other.scale)} in ${other.module}${writtenBy(scheme)}`,
  );
}

/** How to have a checkpoint of a scheme: what is no longer quantized cannot be had again. */
function writtenBy({ name, input }: Scheme): Text {
  if (name === "bf16") return "";
  const how = command("quantize", { scheme: name, ...(input === "fp8_static" ? { calibrate: "FILE" } : {}) });
  return words`; "${how}" writes such a checkpoint`;
}
