/**
 * Between a checkpoint's file ranges and the plan: linears go in, the same linears with their input formats come out.
 */
import { madeOf } from "./made_matrix.ts";
import type { StoredLinear } from "./stored_linear.ts";
import { EXPERT } from "../checkpoint/quark/module_names.ts";
import { allLinears, type LinearSource, mapLinears, type ModelSource } from "../checkpoint/source.ts";
import type { Plan, PlannedLinear } from "./plan.ts";

/** All linears of a source, layer by layer, the head last. */
export function storedLinears(source: ModelSource): StoredLinear[] {
  return allLinears(source.tree).map(({ rotation, ...linear }) => ({
    module: nameOf(linear),
    weight: linear.weight.format,
    scale: linear.weight.scale.kind,
    inputScale: linear.inputScale ?? null,
    cols: linear.weight.cols,
    ...(EXPERT.test(nameOf(linear)) && linear.weight.name.startsWith(`${nameOf(linear)}.`)
      ? { isOwnModule: true }
      : {}),
    ...(linear.hasPlainScale ? { hasPlainScale: true } : {}),
    ...(rotation === undefined ? {} : { rotation: { size: rotation.size, prescale: rotation.prescale !== null } }),
  }));
}

/** The source with the formats of a plan that was made of its linears. */
export function withPlan(source: ModelSource, plan: Plan): ModelSource {
  const planned = new Map(plan.linears.map((linear) => [linear.module, linear]));
  const files = [...source.files];
  const withFormats = (linear: LinearSource): LinearSource => {
    const { input, multipliesCodes, weight: format, weightScale, storedAs } = plannedFor(planned, nameOf(linear));
    const weight = storedAs === null ? linear.weight : madeOf(linear.weight, { format, scale: weightScale }, files);
    return { ...linear, weight, input, multipliesCodes };
  };
  const { tree } = source;
  const layers = tree.layers.map((layer) => ({ ...layer, ...mapLinears(layer, withFormats) }));
  const head = withFormats(tree.head);
  return { ...source, files, tree: { ...tree, layers, head } };
}

function nameOf({ module, weight }: LinearSource): string {
  if (module === undefined) throw new TypeError(`${weight.name} has no module name`);
  return module;
}

function plannedFor(linears: ReadonlyMap<string, PlannedLinear>, module: string): PlannedLinear {
  const linear = linears.get(module);
  if (linear === undefined) throw new TypeError(`the plan has no ${module}`);
  return linear;
}
