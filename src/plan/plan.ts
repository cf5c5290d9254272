/**
 * The plan: for every linear of a model, how its weight is stored and what happens to its input. It is made once, of
 * what the tensors are, what quantization_config says, and what the user asks for; nothing after it asks what scheme a
 * model has.
 *
 * Where config and tensors disagree about a weight, the tensors count, and one warning names both.
 */
import type { StoredLinear } from "./stored_linear.ts";
import { type InputFormat, multipliesCodes, NO_QDQ } from "../formats/input.ts";
import { candidateNames, EXPERT } from "../checkpoint/quark/module_names.ts";
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import type { Dtype, KvFormat, WeightFormat, WeightScale } from "../formats/format.ts";
import { checkRotations } from "./rotation.ts";
import { type ModuleSpec, QuarkConfig, type WeightSpec } from "../checkpoint/quark/read_config.ts";
import { describePair, parseScheme, refusedPair, type Scheme } from "./scheme.ts";
import { type Fp8Scales, type StaticScale, staticScales } from "./static_scales.ts";

/** What a plan is made of. */
export interface PlanRequest {
  /** All linears of the model (not of one rank: experts elsewhere have a say in the common scale). */
  readonly linears: readonly StoredLinear[];
  /** `quantization_config` as it stands in config.json; null where there is none. */
  readonly quantization: Readonly<Record<string, unknown>> | null;
  /** Path of config.json, for messages. */
  readonly configPath: string;
  /** Name of a scheme whose input format replaces the checkpoint's. */
  readonly scheme?: string;
  /**
   * Calibrated input scales by module; an entry for `model.layers.0.mlp.experts.gate_up_proj` is for all experts of the
   * layer. They count before those of the checkpoint.
   */
  readonly inputScales?: ReadonlyMap<string, number>;
  /** Which static scale an expert's input has; default `merged`. */
  readonly fp8Scales?: Fp8Scales;
  /** `auto`: as the checkpoint says, else the dtype. */
  readonly kvCacheDtype?: "auto" | "bf16" | "fp8";
  /** Layers, and how many of them have scales of their keys and values in the tensors. */
  readonly kvScales?: { readonly layers: number; readonly stored: number };
  readonly dtype: Dtype;
}

/** A linear of the plan. */
export interface PlannedLinear {
  readonly module: string;
  readonly weight: WeightFormat;
  readonly weightScale: WeightScale;
  readonly input: InputFormat;
  /** Whether both scales multiply the sum of products of codes (W8A8); see `multipliesCodes()`. */
  readonly multipliesCodes: boolean;
  /** Where the scale of a static input comes from; null for other inputs. */
  readonly inputScaleFrom: "checkpoint" | "calibration" | null;
  /** Name of the scheme, or both formats where it has none. */
  readonly scheme: string;
  /**
   * What decided about the input: `--scheme`, an entry of quantization_config, its absence, or the tensors against it.
   */
  readonly decidedBy: string;
}

/** The plan. */
export interface Plan {
  readonly linears: readonly PlannedLinear[];
  /** What the experts have: one scheme, or several joined by " + ". */
  readonly scheme: string;
  /**
   * Rule by which scales of MX inputs are made on the fly: `even`, `floor`, or both joined by " + "; null where no
   * input is MX.
   */
  readonly scaleRule: string | null;
  readonly kvFormat: KvFormat;
  /** `--kv-cache-dtype`, "quantization_config", "tensors" or `--dtype`. */
  readonly kvDecidedBy: string;
  /** One line each. */
  readonly warnings: readonly string[];
}

/** An input without the scale that a static one needs. */
type WantedInput = Exclude<InputFormat, { kind: "fp8_static" }> | { readonly kind: "fp8_static" };

/** A linear, and who has a say about its input. */
interface Configured {
  readonly stored: StoredLinear;
  /** What the config says; null where there is no config of Quark's. */
  readonly spec: ModuleSpec | null;
  /** Whether `--scheme` replaces that. */
  readonly byScheme: boolean;
  /** Whether the weight went through the format that the config says, and is stored as plain numbers. */
  readonly fake: boolean;
}

/** A linear whose input's scale is not found yet. */
interface Wanted {
  readonly stored: StoredLinear;
  /** The format of the weight's numbers: of a fake-quantized one not that which it is stored in. */
  readonly weight: WeightSpec;
  readonly fake: boolean;
  readonly input: WantedInput;
  readonly decidedBy: string;
}

/**
 * Makes the plan.
 *
 * @throws {InputError} in one line where config, tensors and wishes do not make a model that can be computed.
 */
export function makePlan(request: PlanRequest): Plan {
  const { linears, configPath } = request;
  const config = readConfig(request);
  const warnings = [...config?.warnings() ?? []];
  const scheme = request.scheme === undefined ? null : parseScheme(request.scheme);
  const configured = linears.map((stored): Configured => {
    const spec = config?.of(candidateNames(stored.module)) ?? null;
    return {
      stored,
      spec,
      byScheme: scheme !== null && hasWeightsOf(scheme, stored),
      fake: config?.fakeQuantized === true && stored.scale === "none" && (spec?.weight ?? null) !== null,
    };
  });
  warnings.push(
    ...checkRotations(linears, config, configPath),
    ...contradictions(configured, request),
    ...unusedInputScales(configured, request),
  );
  if (config) warnings.push(...outputs(configured, configPath));
  if (scheme) checkWeights(scheme, linears);

  const wanted = configured.map((linear): Wanted => {
    const { stored, spec, byScheme, fake } = linear;
    const weight = fake ? spec!.weight! : { format: stored.weight, scale: stored.scale };
    if (byScheme) return { stored, weight, fake, input: inputOf(scheme!), decidedBy: "--scheme" };
    if (isCalibrated(linear)) return { stored, weight, fake, input: { kind: "fp8_static" }, decidedBy: "tensors" };
    if (spec === null) return { stored, weight, fake, input: NO_QDQ, decidedBy: reasonWithoutSpec(request) };
    // Weights that are plain against the config were not quantized at all.
    const unquantized = isUnquantized(linear);
    return {
      stored,
      weight,
      fake,
      input: unquantized ? NO_QDQ : spec.input ?? NO_QDQ,
      decidedBy: unquantized ? "tensors" : spec.entry,
    };
  });
  const where = scheme ? `--scheme ${scheme.name}` : `${configPath}: quantization_config`;
  const planned = [...Map.groupBy(wanted, ({ stored }) => groupOf(stored.module)).values()]
    .flatMap((group) => planGroup(group, request, where));
  const byModule = new Map(planned.map((linear) => [linear.module, linear]));

  const experts = planned.filter(({ module }) => EXPERT.test(module));
  const schemes = new Set((experts.length > 0 ? experts : planned).map((linear) => linear.scheme));
  const rules = new Set(planned.flatMap(({ input }) => input.kind === "mx" ? [input.rule] : []));
  return {
    linears: linears.map(({ module }) => byModule.get(module)!),
    scheme: [...schemes].join(" + "),
    scaleRule: rules.size === 0 ? null : [...rules].join(" + "),
    ...kvFormat(request, config, warnings),
    warnings,
  };
}

/** Quark's config, or null where inputs stay as they are. */
function readConfig({ quantization, configPath }: PlanRequest): QuarkConfig | null {
  if (quantization === null || Object.keys(quantization).length === 0) return null;
  const method = quantization["quant_method"] ?? (quantization["global_quant_config"] ? "quark" : undefined);
  if (method === "quark") return new QuarkConfig(quantization, configPath);
  // Weights in MXFP4, inputs as they are; which modules it leaves out, the tensors show.
  if (method === "mxfp4") return null;
  throw new InputError(
    `${configPath}: quantization_config.quant_method: expected "mxfp4" or "quark", got ${show(method)}`,
  );
}

const isMxfp4Method = ({ quantization }: PlanRequest): boolean => quantization?.["quant_method"] === "mxfp4";

const reasonWithoutSpec = (request: PlanRequest): string =>
  isMxfp4Method(request) ? "quant_method mxfp4" : "no quantization_config";

/** Linears that share one quantized input: one projection of all experts of a layer. */
function groupOf(module: string): string {
  return candidateNames(module)[1] ?? module;
}

type Said = Pick<Configured, "stored" | "spec" | "fake">;

/** Whether weights are plain although the config says that they are quantized. */
const isUnquantized = ({ stored, spec, fake }: Said): boolean =>
  !fake && stored.scale === "none" && (spec?.weight ?? null) !== null;

/** Whether the tensors have the scale of a quantized linear's static FP8 input, of which the config says nothing. */
const isCalibrated = ({ stored, spec }: Said): boolean =>
  stored.scale !== "none" && stored.inputScale !== null && (spec?.input ?? null) === null;

/** `model.layers.0.mlp.router and 3 more`. */
function named([first, ...others]: readonly string[]): string {
  return others.length === 0 ? first! : `${first} and ${others.length} more`;
}

/** Warnings about linears that are stored otherwise than the config says: one line for each pair of formats. */
function contradictions(linears: readonly Configured[], request: PlanRequest): string[] {
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
    `${request.configPath}: ${said} for ${named(modules)}, but the tensors are ${are}; the tensors count`
  );
}

/** A warning about calibrated scales of inputs that the config wants in another format. */
function unusedInputScales(linears: readonly Configured[], { configPath }: PlanRequest): string[] {
  const modules = linears.filter((linear) => {
    const { stored: { inputScale }, spec, byScheme } = linear;
    const isUsed = isCalibrated(linear) || spec?.input?.kind === "fp8_static";
    return inputScale !== null && !byScheme && !isUsed && !isUnquantized(linear);
  }).map(({ stored }) => stored.module);
  return modules.length === 0
    ? []
    : [`${configPath}: no static FP8 inputs for ${named(modules)}: the input scales in the tensors are not used`];
}

/** MI300's FP8 is the same format to a config. */
function weightName(format: WeightFormat, scale: WeightScale): string {
  const name = format === "fp8_e4m3fnuz" ? "fp8_e4m3" : format;
  return scale === "row" ? `${name} per channel` : name;
}

/** Refuses quantized outputs other than those that the cache has, and warns about queries. */
function outputs(linears: readonly Configured[], configPath: string): string[] {
  let queries = false;
  for (const { stored: { module }, spec } of linears) {
    if (!spec?.fp8Output || /\.[kv]_proj$/.test(module)) continue;
    if (!module.endsWith(".q_proj")) {
      throw new InputError(
        `${configPath}: quantization_config.${spec.entry}.output_tensors: expected null for ${module}, got a spec: only keys and ` +
          "values are quantized behind their linears",
      );
    }
    queries = true;
  }
  return queries
    ? [`${configPath}: quantization_config quantizes queries for attention; they are left as they are`]
    : [];
}

/** Whether a linear is stored as a scheme's weights are; all plain formats are alike. */
function hasWeightsOf(scheme: Scheme, { weight, scale }: StoredLinear): boolean {
  if (scale !== scheme.weightScale) return false;
  return scale === "none" || weightName(weight, scale) === weightName(scheme.weight, scale);
}

/** @throws {InputError} if the experts are not stored as the scheme says. */
function checkWeights(scheme: Scheme, linears: readonly StoredLinear[]): void {
  const experts = linears.filter(({ module }) => EXPERT.test(module));
  const other = experts.find((stored) => !hasWeightsOf(scheme, stored));
  if (!other) return;
  const expected = weightName(scheme.weight, scheme.weightScale);
  throw new InputError(
    `--scheme ${scheme.name}: expected experts stored as ${expected}, got ${
      weightName(other.weight, other.scale)
    } in ` +
      `${other.module}${writtenBy(scheme)}`,
  );
}

/** How to have a checkpoint of a scheme: what is no longer quantized cannot be had again. */
function writtenBy({ name, input }: Scheme): string {
  if (name === "bf16") return "";
  return `; "mxoss quantize --scheme ${name}${
    input === "fp8_static" ? " --calibrate FILE" : ""
  }" writes such a checkpoint`;
}

function inputOf({ input, element }: Scheme): WantedInput {
  switch (input) {
    case "mx":
      return { kind: "mx", element: element!, rule: "even" };
    case "none":
      return NO_QDQ;
    case "fp8_static":
    case "fp8_token":
      return { kind: input };
  }
}

/** Finds the static scale of linears that share their input, and checks what they make together. */
function planGroup(group: readonly Wanted[], request: PlanRequest, where: string): PlannedLinear[] {
  const [first] = group as [Wanted];
  const different = group.find(({ input }) => JSON.stringify(input) !== JSON.stringify(first.input));
  if (different) {
    throw new InputError(
      `${where}: expected the same inputs for ${different.stored.module} as for ${first.stored.module}, which reads the same ` +
        `tokens, got ${different.decidedBy} and ${first.decidedBy}`,
    );
  }
  const members = group.map(({ stored }) => stored);
  const scales: (StaticScale | null)[] = first.input.kind === "fp8_static"
    ? staticScales(members, groupOf(members[0]!.module), request.inputScales, request.fp8Scales ?? "merged", where)
    : members.map(() => null);
  const ownScales = request.fp8Scales === "own" && first.input.kind === "fp8_static" && group.length > 1;
  return group.map(
    ({ stored: { module, weight, scale: weightScale, rotation }, weight: counted, fake, ...wanted }, i) => {
      const scale = scales[i]!;
      const input = wanted.input.kind === "fp8_static"
        ? { kind: "fp8_static" as const, scale: scale!.value }
        : wanted.input;
      const refused = refusedPair(counted.format, input);
      if (refused) throw new InputError(`${where}: ${module}: ${refused} (by ${wanted.decidedBy})`);
      const scheme = describePair(counted.format, counted.scale, input);
      return {
        module,
        weight,
        weightScale,
        input,
        multipliesCodes: multipliesCodes(weight, input),
        inputScaleFrom: scale?.from ?? null,
        scheme: [
          fake ? "fake-quantized " : "",
          scheme,
          rotation ? ` rotated by ${rotation.size}` : "",
          ownScales ? " with own scales" : "",
        ].join(""),
        decidedBy: wanted.decidedBy,
      };
    },
  );
}

/**
 * The cache's format: what is asked for, what the config says, FP8 where the tensors have scales for it, or the dtype.
 *
 * @param warnings Gets a line where config and tensors contradict each other.
 */
function kvFormat(request: PlanRequest, config: QuarkConfig | null, warnings: string[]) {
  const { kvCacheDtype: asked = "auto", kvScales: { layers, stored } = NO_LAYERS, configPath, dtype } = request;
  const tensors = stored === 0
    ? "the tensors have no scales for it"
    : `the tensors have its scales for ${stored === layers ? "all" : stored} of ${layers} layers`;
  const configured = config?.kvCacheIsFp8() ?? false;
  if (asked !== "auto") {
    if (asked === "fp8" && stored > 0 && stored < layers) {
      warnings.push(`--kv-cache-dtype: ${tensors}; 1 is used in the others`);
    }
    return { kvFormat: asked, kvDecidedBy: "--kv-cache-dtype" } as const;
  }
  if (configured) {
    if (stored < layers) {
      warnings.push(
        `${configPath}: quantization_config says FP8 for the KV cache, but ${tensors}; 1 is used where there are none`,
      );
    }
    return { kvFormat: "fp8", kvDecidedBy: "quantization_config" } as const;
  }
  if (stored === 0) return { kvFormat: dtype, kvDecidedBy: "--dtype" } as const;
  const said = config === null ? reasonWithoutSpec(request) : "quantization_config says no FP8";
  warnings.push(`${configPath}: ${said} for the KV cache, but ${tensors}; the tensors count`);
  return { kvFormat: "fp8", kvDecidedBy: "tensors" } as const;
}

const NO_LAYERS = { layers: 0, stored: 0 };
