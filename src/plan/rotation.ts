/** Online rotations of inputs: what the config says of them against what the tensors have. */
import type { StoredLinear } from "./stored_linear.ts";
import { firstOf } from "../describe.ts";
import { InputError } from "../errors.ts";
import type { QuarkConfig } from "../checkpoint/quark/read_config.ts";

/**
 * Compares both. A rotation that is among the tensors is computed, whatever the config says; one that is not cannot be.
 *
 * @param config Null where there is none of Quark's.
 * @returns One warning where the tensors have a rotation that the config does not say.
 * @throws {InputError} where the config says a rotation, or a prescale, that the tensors do not have.
 */
export function checkRotations(
  linears: readonly StoredLinear[],
  config: QuarkConfig | null,
  configPath: string,
): string[] {
  const rotated = linears.filter(({ rotation }) => rotation);
  const said = config?.rotation ?? null;
  if (said !== null) {
    const stored = new Set(rotated.map(({ module }) => module));
    const missing = said.modules === null
      ? rotated.length === 0 ? "any module" : undefined
      : said.modules.find((module) => !stored.has(module));
    if (missing !== undefined) {
      throw InputError.of("missing", { name: said.key }, `the tensor input_rotation of ${missing}`, "nothing");
    }
    const bare = said.prescale ? rotated.find(({ rotation }) => !rotation!.prescale) : undefined;
    if (bare) throw InputError.of("missing", { name: said.key }, `the tensor ${bare.module}.input_prescale`, "nothing");
  }
  const unsaid = rotated.filter(({ module }) => said === null || said.modules?.includes(module) === false);
  if (unsaid.length === 0) return [];
  const names = firstOf(unsaid.map(({ module }) => module));
  const what = config === null ? "no quantization_config" : "quantization_config says no online rotation";
  return [`${configPath}: ${what} for ${names}, but the tensors have one (input_rotation); the tensors count`];
}

/**
 * @param what What cannot be done with the model: `calibration`, `quantize`.
 * @throws {InputError} naming the linear, whose input is rotated in blocks of `size`.
 */
export function refuseRotated(module: string, size: number, what: string): never {
  throw InputError.of(
    "wrong_value",
    { name: `${module}.input_rotation` },
    `none for ${what}`,
    `an online rotation of blocks of ${size}`,
  );
}
