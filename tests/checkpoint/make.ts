/**
 * Small checkpoints whose every number is known: a model is drawn at random, then stored in a layout by plain loops
 * over its numbers. What a reader makes of the files can so be compared with the numbers themselves, by `Decoder`,
 * which knows formats but no layouts.
 */
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import type { Format, Layout, QuarkOptions, Shape } from "../../src/checkpoint/random/layouts.ts";
import type { StoredNumbers, TemporaryDirectory } from "./container.ts";
import { ELEMENTS } from "./decode.ts";
import type { Random } from "./random.ts";
import { bf16Bytes, joined, packed4, packed6, writeFiles } from "./store.ts";

/** A linear, as numbers. */
export interface Numbers {
  readonly rows: number;
  readonly cols: number;
  /** [rows, cols] */
  readonly weight: Float32Array;
  readonly bias: Float32Array | null;
  readonly inputScale?: number;
}

/** A checkpoint that was made. */
export interface Made {
  /** By canonical module name. */
  readonly linears: ReadonlyMap<string, Numbers>;
  /** By Hugging Face's names: norms, sinks, and the embedding. */
  readonly others: ReadonlyMap<string, Float32Array>;
  readonly kvScales: readonly { readonly k: number; readonly v: number }[];
}

/** How to store a model. */
export interface MakeOptions {
  readonly shape: Shape;
  readonly layout: Layout;
  readonly quark?: QuarkOptions;
  readonly shards?: number;
}

/** Numbers that bf16 holds exactly. */
function bf16Numbers(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => (random.below(256) - 128) / 128);
}

/** Makes a checkpoint in a directory. */
export function makeCheckpoint(dir: TemporaryDirectory, random: Random, options: MakeOptions): Made {
  const { shape, layout, quark = {}, shards = 1 } = options;
  const maker = new Maker(random, shape, layout, quark);
  const made = maker.make();
  writeFiles(dir, random, maker.tensors, shards, layout);
  dir.write("config.json", randomConfig(shape, layout, quark));
  return made;
}

class Maker {
  readonly tensors = new Map<string, StoredNumbers>();
  readonly #linears = new Map<string, Numbers>();
  readonly #others = new Map<string, Float32Array>();

  constructor(
    readonly random: Random,
    readonly shape: Shape,
    readonly layout: Layout,
    readonly quark: QuarkOptions,
  ) {}

  make(): Made {
    const { hidden, vocab, layers } = this.shape, original = this.layout === "original";
    this.#other("model.embed_tokens.weight", original ? "embedding.weight" : null, [vocab, hidden]);
    this.#other("model.norm.weight", original ? "norm.scale" : null, [hidden]);
    const kvScales = Array.from({ length: layers }, (_, layer) => this.#layer(layer));
    this.#plain("lm_head", original ? "unembedding" : "lm_head", vocab, hidden, false);
    return { linears: this.#linears, others: this.#others, kvScales };
  }

  #layer(layer: number) {
    const { hidden, heads, kvHeads, headDim, experts, intermediate } = this.shape;
    const at = `model.layers.${layer}`, block = this.layout === "original" ? `block.${layer}` : null;
    const attention = `${at}.self_attn`;
    this.#other(`${at}.input_layernorm.weight`, block && `${block}.attn.norm.scale`, [hidden]);
    this.#other(`${at}.post_attention_layernorm.weight`, block && `${block}.mlp.norm.scale`, [hidden]);
    this.#other(`${attention}.sinks`, block && `${block}.attn.sinks`, [heads]);
    const sizes = [["q", heads * headDim], ["k", kvHeads * headDim], ["v", kvHeads * headDim]] as const;
    const format = this.layout === "quark" ? this.quark.attention ?? "bf16" : "bf16";
    if (block === null) {
      for (const [name, rows] of sizes) this.#module(`${attention}.${name}_proj`, format, rows, hidden);
      this.#module(`${attention}.o_proj`, format, hidden, heads * headDim);
      this.#plain(`${at}.mlp.router`, `${at}.mlp.router`, experts, hidden, true);
    } else {
      const parts = sizes.map(([name, rows]) => this.#numbers(`${attention}.${name}_proj`, rows, hidden));
      const rows = parts.reduce((sum, part) => sum + part.rows, 0);
      this.#put(
        `${block}.attn.qkv.weight`,
        "BF16",
        [rows, hidden],
        joined(parts.map(({ weight }) => bf16Bytes(weight))),
      );
      this.#put(`${block}.attn.qkv.bias`, "BF16", [rows], joined(parts.map(({ bias }) => bf16Bytes(bias!))));
      this.#plain(`${attention}.o_proj`, `${block}.attn.out`, hidden, heads * headDim, true);
      this.#plain(`${at}.mlp.router`, `${block}.mlp.gate`, experts, hidden, true);
    }
    this.#experts(layer, "gate_up_proj", 2 * intermediate, hidden);
    this.#experts(layer, "down_proj", hidden, intermediate);
    if (this.layout !== "quark" || this.quark.kvScales === undefined) return { k: 1, v: 1 };
    const [kName, vName] = this.quark.kvScales === "legacy"
      ? ["k_scale", "v_scale"]
      : ["k_proj.output_scale", "v_proj.output_scale"];
    return { k: this.#scalar(`${attention}.${kName}`), v: this.#scalar(`${attention}.${vName}`) };
  }

  #experts(layer: number, projection: string, rows: number, cols: number): void {
    const { experts } = this.shape, base = `model.layers.${layer}.mlp.experts`, fused = `${base}.${projection}`;
    const modules = Array.from({ length: experts }, (_, e) => `${base}.${e}.${projection}`);
    const how = this.layout === "quark" ? this.quark.experts ?? "each" : this.layout;
    if (how === "hf_bf16") {
      const all = modules.map((module) => this.#numbers(module, rows, cols));
      const transposed = all.map(({ weight }) =>
        bf16Bytes(Float32Array.from({ length: rows * cols }, (_, i) => weight[i % rows * cols + Math.floor(i / rows)]!))
      );
      this.#put(fused, "BF16", [experts, cols, rows], joined(transposed));
      this.#put(`${fused}_bias`, "BF16", [experts, rows], joined(all.map(({ bias }) => bf16Bytes(bias!))));
      return;
    }
    if (how === "each") {
      for (const module of modules) this.#module(module, this.quark.weights ?? "mxfp4", rows, cols);
      return;
    }
    const format = how === "fused" ? this.quark.weights ?? "mxfp4" : "mxfp4";
    const all = modules.map((module) => this.#quantized(module, format, rows, cols));
    const names = how === "original"
      ? [`block.${layer}.mlp.mlp${projection === "down_proj" ? 2 : 1}_weight.`, "blocks", "scales"] as const
      : how === "fused"
      ? [`${fused}.`, "weight", "weight_scale"] as const
      : [`${fused}_`, "blocks", "scales"] as const;
    const blocks = names[1] === "blocks";
    const weight = all[0]!.weight;
    const weightShape = blocks ? [rows, cols / 32, 16] : weight.shape;
    this.#put(names[0] + names[1], weight.dtype, [experts, ...weightShape], joined(all.map((one) => one.weight.bytes)));
    const scale = all[0]!.scale;
    if (scale) {
      this.#put(
        names[0] + names[2],
        scale.dtype,
        [experts, ...scale.shape],
        joined(all.map((one) => one.scale!.bytes)),
      );
    }
    const bias = how === "fused" ? `${fused}.bias` : names[0].replace(/weight\.$/, "") + "bias";
    this.#put(
      bias,
      "BF16",
      [experts, rows],
      joined(modules.map((module) => bf16Bytes(this.#linears.get(module)!.bias!))),
    );
    if (this.layout === "quark" && this.quark.inputScales && format !== "bf16") {
      const scales = Float32Array.from(modules, () => this.#scaleValue());
      this.#put(`${fused}.input_scale`, "F32", [experts], new Uint8Array(scales.buffer));
      modules.forEach((module, e) =>
        this.#linears.set(module, { ...this.#linears.get(module)!, inputScale: scales[e]! })
      );
    }
  }

  /** One of Quark's modules. */
  #module(module: string, format: Format, rows: number, cols: number): void {
    const { weight, scale } = this.#quantized(module, format, rows, cols);
    this.tensors.set(`${module}.weight`, weight);
    if (scale) this.tensors.set(`${module}.weight_scale`, scale);
    this.#put(`${module}.bias`, "BF16", [rows], bf16Bytes(this.#linears.get(module)!.bias!));
    if (this.layout === "quark" && this.quark.inputScales && format !== "bf16") {
      this.#linears.set(module, { ...this.#linears.get(module)!, inputScale: this.#scalar(`${module}.input_scale`) });
    }
  }

  /** Draws a linear and packs its weight; the bias is drawn too, but not stored. */
  #quantized(
    module: string,
    format: Format,
    rows: number,
    cols: number,
  ): { weight: StoredNumbers; scale: StoredNumbers | null } {
    if (format === "bf16") {
      const { weight } = this.#numbers(module, rows, cols);
      return { weight: { dtype: "BF16", shape: [rows, cols], bytes: bf16Bytes(weight) }, scale: null };
    }
    const fp8 = format === "fp8" || format === "fp8_channel";
    const { codes: count, value } = ELEMENTS[fp8 ? "fp8_e4m3" : format];
    const codes = Array.from(
      { length: rows * cols },
      () => this.random.below(count) | (fp8 ? this.random.below(2) << 7 : 0),
    );
    const bias = bf16Numbers(this.random, rows);
    const store = (scaleOf: (row: number, col: number) => number) => {
      const weight = Float32Array.from(codes, (code, i) => value(code) * scaleOf(Math.floor(i / cols), i % cols));
      this.#linears.set(module, { rows, cols, weight, bias });
    };
    if (fp8) {
      const scales = Float32Array.from({ length: format === "fp8" ? 1 : rows }, () => this.#scaleValue());
      store((row) => scales[format === "fp8" ? 0 : row]!);
      const scale = this.#scaleTensor(scales, format === "fp8" ? this.quark.scalarShape ?? [] : [rows]);
      return { weight: { dtype: "F8_E4M3", shape: [rows, cols], bytes: Uint8Array.from(codes) }, scale };
    }
    const scales = Uint8Array.from({ length: rows * cols / 32 }, () => 120 + this.random.below(10));
    store((row, col) => 2 ** (scales[row * cols / 32 + Math.floor(col / 32)]! - 127));
    const bytes = format === "mxfp4" ? packed4(codes) : packed6(codes);
    return {
      weight: { dtype: "U8", shape: [rows, bytes.length / rows], bytes },
      scale: { dtype: "U8", shape: [rows, cols / 32], bytes: scales },
    };
  }

  #plain(module: string, name: string, rows: number, cols: number, bias: boolean): void {
    const numbers = this.#numbers(module, rows, cols, bias);
    this.#put(`${name}.weight`, "BF16", [rows, cols], bf16Bytes(numbers.weight));
    if (numbers.bias) this.#put(`${name}.bias`, "BF16", [rows], bf16Bytes(numbers.bias));
  }

  #numbers(module: string, rows: number, cols: number, bias = true): Numbers {
    const numbers = {
      ...{ rows, cols, weight: bf16Numbers(this.random, rows * cols) },
      bias: bias ? bf16Numbers(this.random, rows) : null,
    };
    this.#linears.set(module, numbers);
    return numbers;
  }

  #other(name: string, diskName: string | null, shape: readonly number[]): void {
    const values = bf16Numbers(this.random, shape.reduce((product, size) => product * size, 1));
    this.#others.set(name, values);
    this.#put(diskName ?? name, "BF16", shape, bf16Bytes(values));
  }

  /** A positive number that every dtype of scales holds exactly. */
  #scaleValue(): number {
    return (1 + this.random.below(128) / 128) * 2 ** -this.random.below(8);
  }

  #scalar(name: string): number {
    const value = this.#scaleValue();
    this.tensors.set(name, this.#scaleTensor(Float32Array.of(value), this.quark.scalarShape ?? []));
    return value;
  }

  #scaleTensor(values: Float32Array, shape: readonly number[]): StoredNumbers {
    const dtype = this.quark.scalarDtype ?? "F32";
    const bytes = dtype === "BF16"
      ? bf16Bytes(values)
      : new Uint8Array(dtype === "F16" ? Float16Array.from(values).buffer : values.slice().buffer);
    return { dtype, shape, bytes };
  }

  #put(name: string, dtype: string, shape: readonly number[], bytes: Uint8Array): void {
    this.tensors.set(name, { dtype, shape, bytes });
  }
}
