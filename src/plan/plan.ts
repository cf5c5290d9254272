/**
 * The plan: for every linear of a model, how its weight is stored and what happens to its input. It is made once, of
 * what the tensors are, what quantization_config says, and what the user asks for; nothing after it asks what scheme a
 * model has.
 *
 * Where config and tensors disagree about a weight, the tensors count, and one warning names both; where they disagree
 * about what is done to tokens, the model is refused.
 */
import {
  type Configured,
  contradictions,
  isCalibrated,
  isUnquantized,
  refuseOutputs,
  refuseUnclearInputs,
  refuseUnclearInputScales,
} from "./contradictions.ts";
import { attention } from "./attention.ts";
import { kvFormat } from "./kv_format.ts";
import { type PlanRequest, reasonWithoutSpec } from "./request.ts";
import { convertedBy, furtherLoss } from "./scheme_weights.ts";
import type { StoredLinear } from "./stored_linear.ts";
import { type InputFormat, multipliesCodes, NO_QDQ, type WantedInput } from "../formats/input.ts";
import { candidateNames, EXPERT, projectionName } from "../checkpoint/quark/module_names.ts";
import { quarkConfigOf } from "../checkpoint/layouts/quark_said.ts";
import { InputError } from "../errors.ts";
import type { KvFormat, WeightFormat, WeightScale } from "../formats/format.ts";
import { refuseUnclearRotations } from "./rotation.ts";
import type { WeightSpec } from "../checkpoint/quark/entry_spec.ts";
import { describePair, inputOf, parseScheme, refusedPair } from "./scheme.ts";
import { type StaticScale, staticScales } from "./static_scales.ts";
import { option, type Text, words } from "../words.ts";

/** A linear of the plan. */
export interface PlannedLinear {
  /** Name of the module in Hugging Face's model. */
  readonly module: string;
  /** The format that its weight is computed in. */
  readonly weight: WeightFormat;
  /** What the numbers of that format are multiplied by. */
  readonly weightScale: WeightScale;
  /** How its weight is stored, where it is converted while it is loaded; null: as it is computed. */
  readonly storedAs: { readonly format: WeightFormat; readonly scale: WeightScale } | null;
  /** What its input goes through. */
  readonly input: InputFormat;
  /** Whether both scales multiply the sum of products of codes (W8A8); see `multipliesCodes()`. */
  readonly multipliesCodes: boolean;
  /** Where the scale of a static input comes from; null for other inputs. */
  readonly inputScaleFrom: "checkpoint" | "calibration" | null;
  /** Name of the scheme, or both formats where it has none. */
  readonly scheme: string;
  /**
   * What decided about the input: the option `scheme`, an entry of quantization_config, its absence, or the tensors.
   */
  readonly decidedBy: Text;
}

/** Which number format everything is computed in, and what decided it. */
export interface Plan {
  /** All linears, layer by layer, the head last. */
  readonly linears: readonly PlannedLinear[];
  /** What the experts have: one scheme, or several joined by " + ". */
  readonly scheme: string;
  /**
   * Rule by which scales of MX inputs are made on the fly: `even`, `floor`, or both joined by " + "; null where no
   * input is MX.
   */
  readonly scaleRule: string | null;
  /** Number format of cached keys and values. */
  readonly kvFormat: KvFormat;
  /** What decided about the cache: the option `kvCacheDtype` or `dtype`, "quantization_config" or "tensors". */
  readonly kvDecidedBy: Text;
  /** What config and tensors contradict each other about, and what conversions lose further; one line each. */
  readonly warnings: readonly string[];
}

/** A linear whose input's scale is not found yet. */
interface Wanted {
  readonly stored: StoredLinear;
  /** The format of the weight's numbers: of a fake-quantized one not that which it is stored in. */
  readonly weight: WeightSpec;
  readonly fake: boolean;
  /** Whether the weight is converted to that format. */
  readonly converted: boolean;
  readonly input: WantedInput;
  readonly decidedBy: Text;
}

/**
 * Makes the plan.
 *
 * @throws {InputError} in one line where config, tensors and wishes do not make a model that can be computed.
 */
export function makePlan(request: PlanRequest): Plan {
  const { linears, configPath } = request;
  const config = quarkConfigOf(request.quantization, configPath);
  const warnings: string[] = [];
  const scheme = request.scheme === undefined ? null : parseScheme(request.scheme);
  const converted = scheme === null ? new Set<StoredLinear>() : convertedBy(scheme, linears);
  const configured = linears.map((stored): Configured => {
    const spec = config?.of(candidateNames(stored.module)) ?? null;
    return {
      stored,
      spec,
      // A scheme is one of experts: what attention has is the checkpoint's, whatever its weights are stored in.
      byScheme: scheme !== null && EXPERT.test(stored.module),
      fake: config?.fakeQuantized === true && stored.hasPlainScale === true && (spec?.weight ?? null) !== null,
    };
  });
  refuseUnclearInputs(configured, request, config);
  refuseUnclearRotations(linears, config, configPath);
  refuseOutputs(configured, configPath);
  refuseUnclearInputScales(configured, request);
  warnings.push(...contradictions(configured, request), ...attention(configured, request, config));
  if (scheme?.weightScale !== "none") warnings.push(...furtherLoss(converted, request.conversions ?? []));

  const wanted = configured.map((linear): Wanted => {
    const { stored, spec, byScheme, fake } = linear;
    if (converted.has(stored)) {
      const weight = { format: scheme!.weight, scale: scheme!.weightScale };
      return { stored, weight, fake: false, converted: true, input: inputOf(scheme!), decidedBy: option("scheme") };
    }
    const weight = fake ? spec!.weight! : { format: stored.weight, scale: stored.scale };
    const kept = { stored, weight, fake, converted: false };
    if (byScheme) return { ...kept, input: inputOf(scheme!), decidedBy: option("scheme") };
    if (isCalibrated(linear)) return { ...kept, input: { kind: "fp8_static" }, decidedBy: "tensors" };
    if (spec === null) return { ...kept, input: NO_QDQ, decidedBy: reasonWithoutSpec(request) };
    // Weights that are plain against the config were not quantized at all.
    const unquantized = isUnquantized(linear);
    return {
      ...kept,
      input: unquantized ? NO_QDQ : spec.input ?? NO_QDQ,
      decidedBy: unquantized ? "tensors" : spec.entry,
    };
  });
  const where = scheme ? words`${option("scheme")} ${scheme.name}` : `${configPath}: quantization_config`;
  const planned = [...Map.groupBy(wanted, ({ stored }) => projectionName(stored.module)).values()]
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

/** Finds the static scale of linears that share their input, and checks what they make together. */
function planGroup(group: readonly Wanted[], request: PlanRequest, where: Text): PlannedLinear[] {
  const [first] = group as [Wanted];
  const different = group.find(({ input }) => JSON.stringify(input) !== JSON.stringify(first.input));
  if (different) {
    throw InputError.of(
      "contradiction",
      { name: where },
      `the same inputs for ${different.stored.module} as for ${first.stored.module}, which reads the same tokens`,
      words`${different.decidedBy} and ${first.decidedBy}`,
    );
  }
  const members = group.map(({ stored, weight, converted }) =>
    converted ? { ...stored, weight: weight.format, scale: weight.scale } : stored
  );
  const scales: (StaticScale | null)[] = first.input.kind === "fp8_static"
    ? staticScales(
      members,
      projectionName(members[0]!.module),
      request.inputScales,
      request.fp8Scales ?? "merged",
      where,
    )
    : members.map(() => null);
  const ownScales = request.fp8Scales === "own" && first.input.kind === "fp8_static" && group.length > 1;
  return group.map(
    ({ stored, weight: counted, fake, converted, ...wanted }, i) => {
      const { module, rotation } = stored;
      const { weight, scale: weightScale } = members[i]!;
      const scale = scales[i]!;
      const input = wanted.input.kind === "fp8_static"
        ? { kind: "fp8_static" as const, scale: scale!.value }
        : wanted.input;
      const refused = refusedPair(counted.format, input);
      if (refused) {
        throw InputError.saying(
          "wrong_value",
          { name: words`${where}: ${module}` },
          words`${refused} (by ${wanted.decidedBy})`,
        );
      }
      const scheme = describePair(counted.format, counted.scale, input);
      return {
        module,
        weight,
        weightScale,
        storedAs: converted ? { format: stored.weight, scale: stored.scale } : null,
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
