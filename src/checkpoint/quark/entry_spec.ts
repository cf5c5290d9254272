/**
 * One entry of AMD Quark's `quantization_config`: the formats of weight, input and output that it gives to the modules
 * it is for.
 */
import type * as z from "zod";
import { show } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import { BLOCK, MX_FORMAT, type ScaleRule, type WeightFormat, type WeightScale } from "../../formats/format.ts";
import type { WantedInput } from "../../formats/input.ts";
import { readKeys } from "../keys.ts";
import { elementOfDtype, MX_DTYPE, MX_INPUT_DTYPE } from "./mx_dtypes.ts";
import { ENTRY_KEYS, SPEC_KEYS } from "./quark_keys.ts";

/** A weight as the config describes it. */
export interface WeightSpec {
  readonly format: WeightFormat;
  readonly scale: WeightScale;
}

/** An input as the config describes it; the scale of a static one is in the tensors. */
export type InputSpec = Exclude<WantedInput, { kind: "none" }>;

/** What an entry of the config says of the modules that it is for. */
export interface EntrySpec {
  /** null: not quantized. */
  readonly weight: WeightSpec | null;
  readonly input: InputSpec | null;
  /** Whether outputs are FP8 with one static scale, as those of k_proj and v_proj are for the cache. */
  readonly fp8Output: boolean;
}

type SpecValues = z.infer<z.ZodObject<typeof SPEC_KEYS.read>>;

/** Dtypes of plain numbers: a spec with one of them quantizes nothing. */
const PLAIN = ["bfloat16", "float16", "float32"];
/** Those that inputs and outputs are rounded to anyway; float16 overflows where the others do not. */
const ROUNDED = ["bfloat16", "float32"];

/** Reads entries; see {@linkcode EntryReader.module}. */
export class EntryReader {
  readonly #file: string;

  /** @param file What messages begin with: path of config.json and `quantization_config`. */
  constructor(file: string) {
    this.#file = file;
  }

  /**
   * What an entry says of the modules that it is for.
   *
   * @param json The entry; null and undefined quantize nothing.
   * @param key Where it stands in `quantization_config`, for messages.
   * @throws {InputError} naming the key that asks for what is not supported.
   */
  module(json: unknown, key: string): EntrySpec {
    if (json === null || json === undefined) return { weight: null, input: null, fp8Output: false };
    const entry = readKeys(ENTRY_KEYS, json, `${this.#file}.${key}`);
    if (this.#spec(entry["bias"], `${key}.bias`) !== null) {
      throw this.#unsupported(`${key}.bias`, "null: biases are not quantized", "a spec");
    }
    return {
      weight: this.#weight(entry["weight"], `${key}.weight`),
      input: this.#input(entry["input_tensors"], `${key}.input_tensors`),
      fp8Output: this.fp8Output(entry["output_tensors"], `${key}.output_tensors`),
    };
  }

  /** A spec, or null for none and for plain numbers. */
  #spec(json: unknown, key: string, plain: readonly string[] = PLAIN): SpecValues | null {
    let value = json;
    if (Array.isArray(value)) {
      if (value.length > 1) {
        const stages = `a list of ${value.length}: quantization in stages ("progressive") is not supported`;
        throw this.#unsupported(key, "one spec", stages);
      }
      value = value[0];
    }
    if (value === null || value === undefined) return null;
    const spec: SpecValues = readKeys(SPEC_KEYS, value, `${this.#file}.${key}`);
    return plain.includes(spec.dtype) ? null : spec;
  }

  /** A spec of FP8, and refuses scales that are not plain numbers. */
  #fp8(spec: SpecValues, key: string, dtypes: readonly string[]): void {
    this.#expect(spec.dtype === "fp8_e4m3", `${key}.dtype`, [...dtypes, "fp8_e4m3"], spec.dtype);
    const format = spec.scale_format ?? "float32";
    this.#expect(format === "float32", `${key}.scale_format`, ["float32"], format);
  }

  /** Refuses scales of inputs that are made by another rule, or rounded to another type, than those computed here. */
  #madeOnTheFly({ observer_cls, scale_type }: SpecValues, key: string, rule: string): void {
    this.#expect((observer_cls ?? rule) === rule, `${key}.observer_cls`, [rule], observer_cls);
    const types = ["float", "float32"], type = scale_type ?? types[0]!;
    this.#expect(types.includes(type), `${key}.scale_type`, types, type);
  }

  #weight(json: unknown, key: string): WeightSpec | null {
    const spec = this.#spec(json, key);
    if (spec === null) return null;
    const element = this.#mxElement(spec, key, MX_DTYPE);
    if (element) {
      this.#axis(spec, key, [-1, 1]);
      return { format: MX_FORMAT[element], scale: "e8m0" };
    }
    this.#fp8(spec, key, Object.values(MX_DTYPE));
    if (isDynamic(spec) === true) throw this.#unsupported(`${key}.is_dynamic`, "false for a weight", "true");
    if (spec.qscheme === "per_tensor") return { format: "fp8_e4m3", scale: "tensor" };
    this.#expect(spec.qscheme === "per_channel", `${key}.qscheme`, ["per_tensor", "per_channel"], spec.qscheme);
    this.#axis(spec, key, [0]);
    return { format: "fp8_e4m3", scale: "row" };
  }

  #input(json: unknown, key: string): InputSpec | null {
    const spec = this.#spec(json, key, ROUNDED);
    if (spec === null) return null;
    // FP8 with a scale for the tensor or the token is no MX format.
    const isMxfp8 = spec.dtype === MX_INPUT_DTYPE.e4m3fn && spec.qscheme === "per_group";
    const element = this.#mxElement(spec, key, isMxfp8 || spec.dtype === "mx" ? MX_INPUT_DTYPE : MX_DTYPE);
    if (element) {
      if (isDynamic(spec) === false) throw this.#unsupported(`${key}.is_dynamic`, "true for MX inputs", "false");
      this.#axis(spec, key, [-1]);
      this.#madeOnTheFly(spec, key, "PerBlockMXObserver");
      return { kind: "mx", element, rule: this.#rule(spec, key) };
    }
    this.#fp8(spec, key, Object.values(MX_DTYPE));
    const { qscheme } = spec;
    if (qscheme === "per_tensor") {
      // One scale for whatever tokens are in a batch would make an answer depend on its neighbours.
      if (isDynamic(spec) === true) throw this.#unsupported(`${key}.is_dynamic`, "false for per_tensor", "true");
      return { kind: "fp8_static" };
    }
    const perToken = qscheme === "per_channel" || qscheme === "per_token";
    this.#expect(perToken, `${key}.qscheme`, ["per_tensor", "per_channel", "per_group"], qscheme);
    if (isDynamic(spec) === false) throw this.#unsupported(`${key}.is_dynamic`, `true for ${qscheme} inputs`, "false");
    // Of [batch, tokens, features]: another axis is a scale for each feature or one for all tokens.
    this.#axis(spec, key, [1, -2]);
    this.#madeOnTheFly(spec, key, "PerChannelMinMaxObserver");
    return { kind: "fp8_token" };
  }

  /** Whether outputs are FP8 with one static scale; other formats of outputs are refused. */
  fp8Output(json: unknown, key: string): boolean {
    const spec = this.#spec(json, key, ROUNDED);
    if (spec === null) return false;
    this.#fp8(spec, key, []);
    this.#expect(spec.qscheme === "per_tensor", `${key}.qscheme`, ["per_tensor"], spec.qscheme);
    if (isDynamic(spec) === true) throw this.#unsupported(`${key}.is_dynamic`, "false", "true");
    return true;
  }

  /** The element of an MX spec, or null for another dtype than those given. */
  #mxElement<E extends string>(spec: SpecValues, key: string, dtypes: Readonly<Record<E, string>>): E | null {
    // Older files have the dtype "mx" and the element beside it.
    const dtype = spec.dtype === "mx" ? spec.mx_element_dtype ?? "nothing" : spec.dtype;
    const element = elementOfDtype(dtype, dtypes);
    if (element === undefined) {
      this.#expect(spec.dtype !== "mx", `${key}.mx_element_dtype`, Object.values(dtypes), dtype);
      return null;
    }
    const size = spec.group_size ?? spec.block_size;
    this.#expect(size === BLOCK, `${key}.group_size`, [`${BLOCK}`], size);
    if (spec.dtype !== "mx") {
      // To Quark it counts before the dtype.
      this.#expect(
        (spec.mx_element_dtype ?? dtype) === dtype,
        `${key}.mx_element_dtype`,
        [dtype],
        spec.mx_element_dtype,
      );
      this.#expect(spec.qscheme === "per_group", `${key}.qscheme`, ["per_group"], spec.qscheme);
      this.#expect(spec.scale_format === "e8m0", `${key}.scale_format`, ["e8m0"], spec.scale_format);
    }
    return element;
  }

  #rule(spec: SpecValues, key: string): ScaleRule {
    const mode = spec.scale_calculation_mode ?? "even";
    this.#expect(mode === "even" || mode === "floor", `${key}.scale_calculation_mode`, ["even", "floor"], mode);
    return mode as ScaleRule;
  }

  /** Refuses scales along another axis than those given, the first of which is the usual one and what is left out. */
  #axis({ ch_axis: axis, axis: older }: SpecValues, key: string, axes: readonly [number, ...number[]]): void {
    const got = axis ?? older ?? axes[0];
    this.#expect(axes.includes(got), `${key}.ch_axis`, axes.map(String), got);
  }

  #expect(holds: boolean, key: string, choices: readonly string[], got: unknown): void {
    if (!holds) throw this.#unsupported(key, choices.join(" or "), show(got));
  }

  #unsupported(key: string, expected: string, got: string): InputError {
    return InputError.of("wrong_value", { name: `${this.#file}.${key}` }, expected, got);
  }
}

const isDynamic = ({ is_dynamic: now, dynamic: older }: SpecValues): boolean | null => now ?? older ?? null;
