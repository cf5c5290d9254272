/** Where config and tensors disagree about linears: one warning for each kind about weights, a refusal about inputs. */
import { firstOf } from "../describe.ts";
import { InputError } from "../errors.ts";
import { candidateNames, EXPERT, NEVER_QUANTIZED } from "../checkpoint/quark/module_names.ts";
import type { ModuleSpec, QuarkConfig } from "../checkpoint/quark/read_config.ts";
import { isMxfp4Method, type PlanRequest, reasonWithoutSpec } from "./request.ts";
import { weightName } from "./scheme_weights.ts";
import { option, words } from "../words.ts";
import { nameOfInput } from "./scheme.ts";
import type { StoredLinear } from "./stored_linear.ts";

/** A linear, and who has a say about its input. */
export interface Configured {
  readonly stored: StoredLinear;
  /** What the config says; null where there is no config of Quark's. */
  readonly spec: ModuleSpec | null;
  /** Whether the scheme that is asked for replaces that: a linear of an expert. */
  readonly byScheme: boolean;
  /** Whether the weight went through the format that the config says, and is stored as plain numbers. */
  readonly fake: boolean;
}

type Said = Pick<Configured, "stored" | "spec" | "fake">;

/** Whether weights are plain although the config says that they are quantized. */
export const isUnquantized = ({ stored, spec, fake }: Said): boolean =>
  !fake && stored.scale === "none" && (spec?.weight ?? null) !== null;

/** Whether the tensors have the scale of a quantized linear's static FP8 input, of which the config says nothing. */
export const isCalibrated = ({ stored, spec }: Said): boolean =>
  stored.scale !== "none" && stored.inputScale !== null && (spec?.input ?? null) === null;

/**
 * Refuses linears of which tensors and config say different things, or the config nothing, where it is the inputs that
 * depend on who is right: no tensor shows whether they are quantized on the fly.
 *
 * @param config Null where there is none of Quark's.
 * @throws {InputError} naming the entry of the config and the linear.
 */
export function refuseUnclearInputs(
  linears: readonly Configured[],
  { configPath, quantization, hasQuarkNames }: PlanRequest,
  config: QuarkConfig | null,
): void {
  const refuse = (entry: string, expected: string, got: string): never => {
    const key = entry === "" ? "quantization_config" : `quantization_config.${entry}`;
    throw InputError.of("contradiction", { file: configPath, key }, expected, got);
  };
  for (const linear of linears) {
    const { stored, spec, byScheme } = linear, { module, inputScale } = stored;
    if (byScheme) continue;
    const isQuantized = stored.scale !== "none", weight = isQuantized ? weightName(stored.weight, stored.scale) : "";
    if (quantization === null && hasQuarkNames === true && isQuantized && inputScale === null) {
      refuse("", `what the inputs of ${module} are, whose weight is ${weight} in AMD Quark's names`, "nothing");
    }
    if (spec === null) continue;
    if (isUnquantized(linear) && spec.input !== null && !NEVER_QUANTIZED.test(module)) {
      // A static input without a scale cannot have been quantized.
      if (spec.input.kind === "fp8_static" && inputScale === null) continue;
      refuse(
        spec.entry,
        `a quantized weight of ${module}, or exclude to name it`,
        "a plain one: are its inputs plain?",
      );
    }
    // Whoever kept these weights from another checkpoint did not make the entry for them, nor for their inputs.
    const said = spec.weight === null ? "a plain one" : weightName(spec.weight.format, spec.weight.scale);
    const onTheFly = spec.input !== null && spec.input.kind !== "fp8_static";
    if (isQuantized && !spec.isExcluded && onTheFly && said !== weight) {
      const expected = `${said} as the weight of ${module}, or exclude to name it`;
      refuse(spec.entry, expected, `${weight}: are its inputs ${nameOfInput(spec.input!)}?`);
    }
    if (stored.isOwnModule && (isQuantized || stored.hasPlainScale)) {
      const own = config!.of([module]), both = `${own.entry} to AMD Quark, which knows no module of all experts`;
      // Of formats of 6 bits only the config says which it is.
      const otherWeight = stored.weight.startsWith("mxfp6") && own.weight?.format !== spec.weight?.format;
      if (otherWeight || JSON.stringify(own.input) !== JSON.stringify(spec.input)) {
        refuse(spec.entry, `a pattern that matches ${module} itself`, both);
      }
    }
    // Stored codes with a scale of their inputs leave nothing open.
    if (!spec.isExcluded || isQuantized && inputScale !== null || !isQuantized && !stored.hasPlainScale) continue;
    const { input } = config!.ofIncluded(candidateNames(module));
    if (input === null || input.kind === "fp8_static" && inputScale === null) continue;
    const got = `${isQuantized ? weight : "one with a scale beside it"}: are its inputs plain?`;
    refuse(spec.entry, `a plain weight of ${module}, or exclude not to name it`, got);
  }
}

/** Warnings about linears that are stored otherwise than the config says: one line for each pair of formats. */
export function contradictions(linears: readonly Configured[], request: PlanRequest): string[] {
  const found = new Map<string, { said: string; are: string; modules: string[] }>();
  for (const linear of linears) {
    const { stored, spec, byScheme, fake } = linear;
    if (fake) continue;
    // Where the config has another method than the tensors, one line about the method says it all.
    const calibrated = !byScheme && isCalibrated(linear) && !(spec === null && isMxfp4Method(request));
    const weight = stored.scale === "none" ? "not quantized" : weightName(stored.weight, stored.scale);
    const wanted = spec === null
      ? weight
      : spec.weight === null
      ? "not quantized"
      : weightName(spec.weight.format, spec.weight.scale);
    if (wanted === weight && !calibrated) continue;
    const what = wanted === "not quantized"
      ? "no quantization"
      : `${wanted}${calibrated ? " without input scales" : ""}`;
    const said = spec === null ? reasonWithoutSpec(request) : `quantization_config says ${what}`;
    const are = `${weight}${calibrated ? " with input scales of static FP8" : ""}`;
    const key = `${said}\n${are}`;
    const entry = found.get(key) ?? { said, are, modules: [] };
    entry.modules.push(stored.module);
    found.set(key, entry);
  }
  return [...found.values()].map(({ said, are, modules }) =>
    `${request.configPath}: ${said} for ${firstOf(modules)}, but the tensors are ${are}; the tensors count`
  );
}

/**
 * Refuses stored scales of static FP8 inputs where the config has the inputs otherwise: AMD Quark would compute by the
 * config, and whoever stored the scales did not. Where the config says nothing of a linear at all, they count.
 *
 * @throws {InputError} naming the entry of the config and the linear.
 */
export function refuseUnclearInputScales(linears: readonly Configured[], { configPath }: PlanRequest): void {
  const wrong = linears.find((linear) => {
    const { stored: { inputScale, scale }, spec, byScheme } = linear;
    if (inputScale === null || byScheme || isUnquantized(linear)) return false;
    // Quantized weights that are excluded are read as nothing but W8A8, or not at all.
    if (scale !== "none" && (spec === null || spec.isExcluded)) return false;
    return spec?.input?.kind !== "fp8_static";
  });
  if (wrong === undefined) return;
  const { stored: { module }, spec } = wrong;
  throw InputError.of(
    "contradiction",
    { file: configPath, key: spec === null ? "quantization_config" : `quantization_config.${spec.entry}` },
    words`static FP8 inputs of ${module}, whose scale is stored (${module}.input_scale)${
      EXPERT.test(module) ? words`, or ${option("scheme")}` : ""
    }`,
    spec?.input ? nameOfInput(spec.input) : "inputs as they are",
  );
}

/**
 * Refuses quantized outputs other than those that attention can have.
 *
 * @throws {InputError} naming the entry of the config.
 */
export function refuseOutputs(linears: readonly Configured[], configPath: string): void {
  const wrong = linears.find(({ stored: { module }, spec }) => spec?.fp8Output && !/\.[qkv]_proj$/.test(module));
  if (wrong === undefined) return;
  throw InputError.of(
    "wrong_value",
    { file: configPath, key: `quantization_config.${wrong.spec!.entry}.output_tensors` },
    `null for ${wrong.stored.module}`,
    "a spec: only keys and values are quantized after their linears",
  );
}
