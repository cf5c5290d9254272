/** What each linear of a checkpoint becomes. */
import type { WantedInput } from "../formats/input.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import {
  type LayerLinears,
  type LinearName,
  type LinearSource,
  mapLinears,
  type ModelSource,
} from "../checkpoint/source.ts";
import { InputError, type Subject } from "../errors.ts";
import { refuseRotation } from "../plan/planned.ts";
import { BLOCK, type WeightFormat, type WeightScale } from "../formats/format.ts";
import type { Plan } from "../plan/plan.ts";
import { hasWeightsOf } from "../plan/scheme_weights.ts";
import { inputOf, nameOfInput, parseScheme, type Scheme, type SchemeName } from "../plan/scheme.ts";
import { option, words } from "../words.ts";

/**
 * Schemes that a checkpoint can be quantized to. No config has a name for Q8_0 inputs, or for the rule by which MXFP8
 * inputs are scaled: whoever computes them is told to beside the checkpoint.
 */
export type TargetScheme = Exclude<SchemeName, typeof NO_TARGETS[number]>;
const NO_TARGETS = ["bf16", "w_mxfp4_a_mxfp8", "w_mxfp4_a_q8_0"] as const satisfies readonly SchemeName[];

/** Whether a checkpoint can be quantized to a scheme. */
export const isTarget = (name: SchemeName): name is TargetScheme => !NO_TARGETS.some((other) => other === name);

/** Another scheme for the experts of some layers. */
export interface LayerScheme {
  readonly first: number;
  readonly last: number;
  readonly scheme: TargetScheme;
}

/** What is asked for. */
export interface Recipe {
  /** Of the experts. */
  readonly scheme: TargetScheme;
  /** Layers whose experts get another one; of several entries for a layer, the last counts. */
  readonly layers: readonly LayerScheme[];
  /** Of q, k, v and o; null: as they are stored. */
  readonly attention: TargetScheme | null;
}

/** What one linear becomes. */
export interface LinearTarget {
  readonly module: string;
  readonly source: LinearSource;
  readonly weight: WeightFormat;
  readonly weightScale: WeightScale;
  /** What the config says of its input. */
  readonly input: WantedInput;
  /** Scale of a static input; null: the input has none. */
  readonly inputScale: number | null;
  /** Whether a scale that calibration measures would count. */
  readonly calibrated: boolean;
  /** Whether the stored bytes are the wanted ones already. */
  readonly copied: boolean;
}

/** All linears of the layer tree as their targets. */
export interface Targets {
  readonly layers: readonly LayerTargets[];
  readonly head: LinearTarget;
}
/** The linears of one layer. */
export type LayerTargets = LayerLinears<LinearTarget>;

/** What a module's input has been seen to be: scales by module name. */
export type InputScales = ReadonlyMap<string, number>;

/**
 * Decides what each linear becomes.
 *
 * @param plan What the checkpoint's linears are now; those that the recipe leaves alone stay so.
 * @param scales Calibrated input scales, which count before those of the checkpoint; `later`: they will be measured.
 * @throws {InputError} where the recipe and the model do not fit together.
 */
export function planTargets(
  recipe: Recipe,
  source: ModelSource,
  config: ModelConfig,
  plan: Plan,
  scales: InputScales | "later" | null,
): Targets {
  refuseRotation(source, "quantize");
  const beyond = recipe.layers.find(({ last }) => last >= config.layers);
  if (beyond) throw InputError.of("wrong_value", { option: "layers" }, `layers below ${config.layers}`, beyond.last);
  const inputs = new Map(plan.linears.map(({ module, input }) => [module, input]));
  const target = (linear: LinearSource, layer: number, role: Role): LinearTarget => {
    const module = linear.module!, chosen = schemeFor(recipe, layer, role);
    const { format, scale } = linear.weight;
    if (chosen === null) {
      const input = inputs.get(module)!;
      if (scale.kind === "none" && input.kind !== "none") {
        throw InputError.of(
          "wrong_value",
          { name: module },
          "plain weights with inputs as they are, or quantized ones",
          `plain ${format} weights with ${nameOfInput(input)} inputs, which cannot be copied`,
        );
      }
      const inputScale = input.kind === "fp8_static" ? input.scale : null;
      const calibrated = input.kind === "fp8_static" && linear.inputScale === undefined;
      const kept = { weight: format, weightScale: scale.kind, input, inputScale };
      return { module, source: linear, ...kept, calibrated, copied: true };
    }
    const { scheme, by } = chosen;
    if (scheme.weightScale === "e8m0" && linear.weight.cols % BLOCK !== 0) {
      throw InputError.of(
        "wrong_value",
        by,
        `input features in blocks of ${BLOCK}`,
        `${linear.weight.cols} in ${module}`,
      );
    }
    // The format that the scheme names, or MI300's own FP8, as it is computed with the option --scheme.
    const copied = hasWeightsOf(scheme, { weight: format, scale: scale.kind });
    return {
      module,
      source: linear,
      weight: copied ? format : scheme.weight,
      weightScale: scheme.weightScale,
      input: inputOf(scheme),
      inputScale: scheme.input === "fp8_static" ? staticScale(by, linear, scales) : null,
      calibrated: scheme.input === "fp8_static",
      copied,
    };
  };
  return {
    layers: source.tree.layers.map((linears, layer) =>
      mapLinears(linears, (linear, name) => target(linear, layer, ROLES[name]))
    ),
    head: target(source.tree.head, -1, "other"),
  };
}

type Role = "experts" | "attention" | "other";

const ROLES: Readonly<Record<LinearName, Role>> = {
  q: "attention",
  k: "attention",
  v: "attention",
  o: "attention",
  router: "other",
  gateUp: "experts",
  down: "experts",
};

/** A scheme, and the option that asks for it, as messages name it. */
interface ChosenScheme {
  readonly scheme: Scheme;
  readonly by: Subject;
}

function schemeFor({ scheme, layers, attention }: Recipe, layer: number, role: Role): ChosenScheme | null {
  if (role === "other") return null;
  if (role === "attention") {
    if (attention === null) return null;
    return { scheme: parseScheme(attention), by: { option: "attention", value: attention } };
  }
  const own = layers.findLast(({ first, last }) => first <= layer && layer <= last);
  if (own === undefined) return { scheme: parseScheme(scheme), by: { option: "scheme", value: scheme } };
  const span = own.first === own.last ? `${own.first}` : `${own.first}-${own.last}`;
  return { scheme: parseScheme(own.scheme), by: { option: "layers", value: `${span}=${own.scheme}` } };
}

function staticScale(
  by: Subject,
  { module, inputScale }: LinearSource,
  scales: InputScales | "later" | null,
): number {
  if (scales === "later") return 1;
  const scale = scales?.get(module!) ?? inputScale;
  if (scale !== undefined) return scale;
  const what = `static FP8 inputs need calibrated scales, which the checkpoint lacks for ${module}`;
  const expected = words`${option("calibrate")} FILE`;
  throw InputError.of("uncalibrated", { ...by, name: what }, expected);
}
