/** Between a checkpoint's file ranges and the plan: linears go in, the same linears with their input formats come out. */
import { linearsOf, type LinearSource, type ModelSource } from "../checkpoint/source.ts";
import type { InputFormat } from "./format.ts";
import type { Plan, StoredLinear } from "./plan.ts";

/** All linears of a source, layer by layer, the head last. */
export function storedLinears(source: ModelSource): StoredLinear[] {
  return linearsOf(source).map(({ rotation, ...linear }) => ({
    module: nameOf(linear),
    weight: linear.weight.format,
    scale: linear.weight.scale.kind,
    inputScale: linear.inputScale ?? null,
    ...(rotation === undefined ? {} : { rotation: { size: rotation.size, prescale: rotation.prescale !== null } }),
  }));
}

/** The source with the input formats of a plan that was made of its linears. */
export function withPlan(source: ModelSource, plan: Plan): ModelSource {
  const inputs = new Map(plan.linears.map(({ module, input }) => [module, input]));
  const planned = (linear: LinearSource): LinearSource => ({ ...linear, input: inputFor(inputs, nameOf(linear)) });
  const { tree } = source;
  return {
    ...source,
    tree: {
      ...tree,
      layers: tree.layers.map((layer) => ({
        ...layer,
        q: planned(layer.q),
        k: planned(layer.k),
        v: planned(layer.v),
        o: planned(layer.o),
        router: planned(layer.router),
        gateUp: layer.gateUp.map(planned),
        down: layer.down.map(planned),
      })),
      head: planned(tree.head),
    },
  };
}

function nameOf({ module, weight }: LinearSource): string {
  if (module === undefined) throw new TypeError(`${weight.name} has no module name`);
  return module;
}

function inputFor(inputs: ReadonlyMap<string, InputFormat>, module: string): InputFormat {
  const input = inputs.get(module);
  if (input === undefined) throw new TypeError(`the plan has no ${module}`);
  return input;
}
