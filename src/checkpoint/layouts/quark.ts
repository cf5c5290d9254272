/**
 * AMD Quark's export: Hugging Face's names, with one module per expert, or experts fused in one of three ways. Each
 * linear's format is read off its tensors, module by module, so mixed precision is no special case; the plan decides
 * what happens to inputs.
 */
import { InputError } from "../../errors.ts";
import type { ModelConfig } from "../model_config.ts";
import type { AttentionScales, KvScales, LinearSource } from "../source.ts";
import type { TensorSet } from "../tensor_set.ts";
import { transposedExperts, transposedName } from "./hf_bf16.ts";
import { blockNames } from "./hf_mxfp4.ts";
import {
  expertModule,
  type ExpertShape,
  expertShapes,
  hfTree,
  layerModule,
  type LayoutSource,
  linear,
} from "./layout.ts";
import { blockExperts } from "./mx_blocks.ts";
import { RotationReader } from "./quark_rotation.ts";
import { type QuarkSaid, QuarkWeights } from "./quark_weights.ts";
import { ScaleReader } from "./values.ts";

/**
 * Reads the layout.
 *
 * @param said What only the config says of the stored weights.
 * @throws {InputError} naming the first tensor that is missing, or contradicts others.
 */
export function readQuark(
  tensors: TensorSet,
  config: ModelConfig,
  said: QuarkSaid,
): LayoutSource {
  using scales = new ScaleReader(tensors);
  const reader = new QuarkReader(tensors, config, scales, said);
  const shapes = expertShapes(config);
  const tree = hfTree(tensors, config, {
    linear: (module, rows, cols, bias) => reader.linear(module, rows, cols, bias),
    experts: (layer) => ({
      gateUp: reader.experts(layer, shapes.gateUp),
      down: reader.experts(layer, shapes.down),
    }),
  });
  const stored = Array.from({ length: config.layers }, (_, layer) => reader.kvScales(layer));
  const [attentionScales] = reader.attentionScales;
  return {
    tree,
    kvScales: stored.map((scales) => scales ?? { k: 1, v: 1 }),
    storedKvScales: stored.filter((scales) => scales !== null).length,
    ...(attentionScales === undefined ? {} : { attentionScales }),
  };
}

class QuarkReader {
  readonly #tensors: TensorSet;
  readonly #config: ModelConfig;
  readonly #scales: ScaleReader;
  readonly #weights: QuarkWeights;
  readonly #rotations: RotationReader;
  /** Scales of queries and attention probabilities. */
  readonly attentionScales: AttentionScales[] = [];

  constructor(tensors: TensorSet, config: ModelConfig, scales: ScaleReader, said: QuarkSaid) {
    this.#tensors = tensors;
    this.#config = config;
    this.#scales = scales;
    this.#weights = new QuarkWeights(tensors, scales, said);
    this.#rotations = new RotationReader(tensors, scales, said);
  }

  linear(module: string, rows: number, cols: number, bias: boolean): LinearSource {
    const weight = this.#weights.read(module, [], rows, cols, () => module)[0]!;
    const [inputScale] = this.#inputScales(1, `${module}.input_scale`);
    const rotation = this.#rotations.read(module, cols);
    const read = {
      ...linear(module, weight, bias ? this.#tensors.vector(`${module}.bias`, rows) : null, inputScale),
      ...this.#weights.plainScale(module),
    };
    return rotation === null ? read : { ...read, rotation };
  }

  /** One linear per expert, however the layer stores them. */
  experts(layer: number, shape: ExpertShape): LinearSource[] {
    const { experts } = this.#config;
    const blocks = blockNames(layer, shape), fused = transposedName(layer, shape);
    const inputScales = () => this.#inputScales(experts, `${fused}.input_scale`, `${fused}_input_scale`);
    if (this.#tensors.has(blocks.blocks)) {
      return blockExperts(this.#tensors, this.#config, layer, shape, blocks, inputScales());
    }
    if (this.#tensors.has(fused)) return transposedExperts(this.#tensors, this.#config, layer, shape);
    const moduleOf = (expert: number) => expertModule(layer, expert, shape);
    if (this.#tensors.has(`${fused}.weight`)) {
      const weights = this.#weights.read(fused, [experts], shape.rows, shape.cols, moduleOf);
      const biases = this.#tensors.vectors(`${fused}.bias`, experts, shape.rows);
      const scales = inputScales();
      const more = this.#weights.plainScale(fused);
      const linears = weights.map((weight, e) => ({
        ...linear(moduleOf(e), weight, biases[e]!, scales[e]),
        ...more,
      }));
      return this.#alike(linears);
    }
    return this.#alike(
      Array.from({ length: experts }, (_, e) => this.linear(moduleOf(e), shape.rows, shape.cols, true)),
    );
  }

  /**
   * Refuses a layer's experts, which are computed together, unless they have one format, and static scales all or none.
   * Those of one tensor, too: which of the formats of 6 bits each has, the config alone says.
   */
  #alike(linears: LinearSource[]): LinearSource[] {
    const describe = ({ weight: { format, scale } }: LinearSource) =>
      scale.kind === "row" ? `${format} with a scale per row` : format;
    const [first] = linears;
    for (const [e, expert] of linears.entries()) {
      if (describe(expert) !== describe(first!)) {
        throw InputError.of(
          "contradiction",
          { file: this.#tensors.place, tensor: expert.weight.name },
          `${describe(first!)} as in expert 0`,
          `${describe(expert)} in expert ${e}`,
        );
      }
      if ((expert.inputScale === undefined) !== (first!.inputScale === undefined)) {
        const [missing, other] = expert.inputScale === undefined ? [expert, first!] : [first!, expert];
        throw InputError.of(
          "missing",
          { file: this.#tensors.place, tensor: `${missing.module}.input_scale` },
          `one as for ${other.module}`,
          "nothing",
        );
      }
    }
    return linears;
  }

  /**
   * Scales of the cache, by Quark's names, its older export's or vLLM's; null where there are none. As vLLM reads them,
   * what keys alone have is both's; `kv_scale` is the oldest name of that.
   */
  kvScales(layer: number): KvScales | null {
    const attention = `${layerModule(layer)}.self_attn`;
    for (const name of ["q_proj.output_scale", "q_scale", "prob_output_scale", "prob_scale"]) {
      const tensor = this.#tensors.find(`${attention}.${name}`);
      if (tensor !== null) this.attentionScales.push({ file: this.#tensors.pathOf(tensor), tensor: tensor.name });
    }
    const k = this.#kvScale(attention, ["k_proj.output_scale", "k_scale", "kv_scale"]);
    const v = this.#kvScale(attention, ["v_proj.output_scale", "v_scale"]);
    if (k === null && v !== null) {
      throw InputError.of(
        "missing",
        { file: this.#tensors.place, tensor: `${attention}.k_proj.output_scale` },
        "one as for v_proj",
        "nothing",
      );
    }
    return k === null ? null : { k, v: v ?? k };
  }

  /** The scale of any of these names, which are of one thing. */
  #kvScale(attention: string, names: readonly string[]): number | null {
    const [first, ...others] = names.flatMap((name) => this.#tensors.find(`${attention}.${name}`) ?? []);
    if (first === undefined) return null;
    const value = this.#scales.read(first, [1])[0]!;
    for (const other of others) {
      const got = this.#scales.read(other, [1])[0]!;
      if (got === value) continue;
      throw InputError.of(
        "contradiction",
        { file: this.#tensors.place, tensor: other.name },
        `${value} as in ${first.name}`,
        got,
      );
    }
    return value;
  }

  /** Static scales of the inputs of some experts (or one linear): one each, one for all, or none. */
  #inputScales(count: number, ...names: string[]): number[] {
    const [tensor, other] = names.flatMap((name) => this.#tensors.find(name) ?? []);
    if (!tensor) return [];
    if (other) this.#tensors.refuse(other, `no other scales of the inputs that ${tensor.name} is of`);
    const values = this.#scales.read(tensor, [1, count]);
    return Array.from({ length: count }, (_, i) => values[values.length === 1 ? 0 : i]!);
  }
}
