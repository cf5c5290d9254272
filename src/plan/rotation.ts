/** Online rotations of inputs: what the config says of them against what the tensors have. */
import type { StoredLinear } from "./stored_linear.ts";
import { projectionName } from "../checkpoint/quark/module_names.ts";
import { InputError } from "../errors.ts";
import type { QuarkConfig } from "../checkpoint/quark/read_config.ts";

const ROTATION = "the online rotation (input_rotation)";

/**
 * Compares both: a rotation is part of the weights, and without it, or with one too many, a model speaks fluent
 * nonsense. AMD Quark computes those that the config says.
 *
 * @param config Null where there is none of Quark's.
 * @throws {InputError} where one of both says a rotation, or a prescale, that the other does not.
 */
export function refuseUnclearRotations(
  linears: readonly StoredLinear[],
  config: QuarkConfig | null,
  configPath: string,
): void {
  const rotated = linears.filter(({ rotation }) => rotation);
  const said = config?.rotation ?? null;
  const unsaid = (what: string, module: string, key: string): never => {
    const got = said === null || what !== ROTATION ? "nothing" : "others";
    throw InputError.of("contradiction", { name: key }, `${what} of ${module}, which the tensors have`, got);
  };
  if (said === null) {
    const [first] = rotated;
    if (first) unsaid(ROTATION, first.module, `${configPath}: quantization_config`);
    return;
  }
  const stored = new Set(rotated.map(({ module }) => module));
  const projections = new Set(rotated.map(({ module }) => projectionName(module)));
  const missing = said.modules !== null
    ? said.modules.find((module) => !stored.has(module))
    : rotated.length === 0
    ? "any module"
    // Of a layer's experts no list says that some are not rotated.
    : linears.find(({ module, rotation }) => !rotation && projections.has(projectionName(module)))?.module;
  if (missing !== undefined) {
    throw InputError.of("missing", { name: said.key }, `the tensor input_rotation of ${missing}`, "nothing");
  }
  const named = said.modules === null ? stored : new Set(said.modules);
  const other = rotated.find(({ module }) => !named.has(module));
  if (other) unsaid(ROTATION, other.module, said.key);
  const bare = said.prescale ? rotated.find(({ rotation }) => !rotation!.prescale) : undefined;
  if (bare) throw InputError.of("missing", { name: said.key }, `the tensor ${bare.module}.input_prescale`, "nothing");
  const scaled = said.prescale ? undefined : rotated.find(({ rotation }) => rotation!.prescale);
  if (scaled) unsaid("use_input_prescale, for the tensor input_prescale", scaled.module, said.key);
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
