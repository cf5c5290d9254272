/**
 * AMD Quark's `quantization_config`: which formats it says a module has. Every key is one that quark_keys.ts knows, or
 * the file is refused; what an entry says of formats is read when a module of the model first needs it, so that a
 * format which is not supported is refused only where the model has it.
 */
import type * as z from "zod";
import { printable, show } from "../../describe.ts";
import { readKeys } from "../keys.ts";
import { validate } from "../../validate.ts";
import { InputError } from "../../errors.ts";
import type { Fuel } from "./automaton.ts";
import { isPattern, parsePattern, type Pattern, patternFuel } from "./pattern.ts";
import { EntryReader, type EntrySpec } from "./entry_spec.ts";
import { type ConfiguredRotation, readAlgorithms } from "./algorithms.ts";
import { ENTRY_KEYS, EXPORT_KEYS, object, QUARK_KEYS } from "./quark_keys.ts";

type Json = Readonly<Record<string, unknown>>;

/** What a config says of a module. */
export interface ModuleSpec extends EntrySpec {
  /** The entry that says so: `exclude "lm_head"`, `layer_quant_config "*k_proj"`, `global_quant_config`, ... */
  readonly entry: string;
  /** Whether that is `exclude`. */
  readonly isExcluded: boolean;
}

/** Patterns with special characters that each of a config's lists may have: each is tried on each module. */
const MAX_PATTERNS = 1000;

/** Last parts of the class names of all linears, of plain ones and of Quark's. */
const LINEAR_CLASSES = ["Linear", "QuantLinear", "QParamsLinear"];

interface Entry {
  readonly pattern: Pattern;
  readonly key: string;
  readonly json: unknown;
  /** Its place in the file: the first entry that matches counts, to Quark and to vLLM. */
  readonly place: number;
}

/** What is said of the outputs that are cached, and whether that stands where nothing else does. */
interface KvEntries {
  readonly own: boolean;
  readonly of: (module: string) => Entry | undefined;
}

/** The first of some things whose pattern matches; each name is tried once, however many modules it stands for. */
class FirstMatch<T> {
  readonly #known = new Map<string, number>();

  constructor(readonly all: readonly T[], readonly patternOf: (one: T) => Pattern) {}

  of(names: readonly string[]): T | undefined {
    return this.all[Math.min(...names.map((name) => this.#index(name)))];
  }

  #index(name: string): number {
    let index = this.#known.get(name);
    if (index === undefined) {
      const found = this.all.findIndex((one) => this.patternOf(one).matches(name));
      this.#known.set(name, index = found < 0 ? this.all.length : found);
    }
    return index;
  }
}

/** A config that answers for modules. */
export class QuarkConfig {
  /** Which online rotations the tensors must have. */
  readonly rotation: ConfiguredRotation | null;
  readonly #file: string;
  readonly #entries: EntryReader;
  readonly #values: z.infer<z.ZodObject<typeof QUARK_KEYS.read>>;
  readonly #exported: z.infer<z.ZodObject<typeof EXPORT_KEYS.read>>;
  readonly #exactExcludes: ReadonlySet<string>;
  readonly #excludes: FirstMatch<Pattern>;
  readonly #exactLayers: ReadonlyMap<string, Entry>;
  readonly #layers: FirstMatch<Entry>;
  /** The first entry of a class that all linears have. */
  readonly #type: Entry | undefined;
  readonly #fuel: Fuel;
  /** By the entry itself, undefined for the global one: what messages call two long patterns may be the same. */
  readonly #read = new Map<Entry | undefined, EntrySpec>();
  /** Made once: patterns that are read and tried again would use up more of the fuel at each plan. */
  #kvEntry: KvEntries | null = null;

  /**
   * @param quantization `quantization_config` of config.json.
   * @param path Path of config.json, for messages.
   * @throws {InputError} naming the key that is not what it must be.
   */
  constructor(quantization: Json, path: string) {
    this.#file = `${path}: quantization_config`;
    this.#entries = new EntryReader(this.#file);
    this.#values = readKeys(QUARK_KEYS, quantization, this.#file);
    this.#exported = readKeys(EXPORT_KEYS, this.#values.export ?? {}, `${this.#file}.export`);
    const { exclude, layer_quant_config: layers, layer_type_quant_config: types } = this.#values;
    this.#fuel = patternFuel(this.#file);
    const excludes = this.#patterns(exclude ?? [], "exclude");
    this.#exactExcludes = new Set(excludes.filter(({ kind }) => kind === "exact").map(({ text }) => text));
    this.#excludes = new FirstMatch(excludes.filter(({ kind }) => kind !== "exact"), (pattern) => pattern);
    const entries = this.#patterns(Object.keys(layers ?? {}), "layer_quant_config").map((pattern, place): Entry => ({
      pattern,
      key: `layer_quant_config "${printable(pattern.text)}"`,
      json: layers![pattern.text],
      place,
    }));
    this.#exactLayers = new Map(
      entries.filter(({ pattern }) => pattern.kind === "exact").map((entry) => [entry.pattern.text, entry]),
    );
    this.#layers = new FirstMatch(entries.filter(({ pattern }) => pattern.kind !== "exact"), ({ pattern }) => pattern);
    const type = Object.keys(types ?? {}).find((text) => LINEAR_CLASSES.includes(className(text)));
    this.#type = type === undefined ? undefined : {
      pattern: { text: type, kind: "exact", matches: (name) => name === className(type) },
      key: `layer_type_quant_config "${printable(type)}"`,
      json: types![type],
      place: 0,
    };
    for (const [text, json] of Object.entries(types ?? {})) {
      const key = `layer_type_quant_config "${printable(text)}"`;
      if (LINEAR_CLASSES.includes(className(text)) || isNoEntry(json)) continue;
      throw this.#wrong(key, `${LINEAR_CLASSES.join(", ")}, or an entry without specs`, "a spec of other modules");
    }
    const [now, older] = (["algo_config", "pre_quant_opt_config"] as const).map((key) =>
      readAlgorithms(this.#values[key], `${this.#file}.${key}`)
    );
    this.rotation = now ?? older ?? null;
  }

  /** Reads patterns; those with special characters are counted before any is compiled. */
  #patterns(texts: readonly string[], key: string): Pattern[] {
    const special = texts.reduce((count, text) => count + Number(isPattern(text)), 0);
    if (special > MAX_PATTERNS) {
      throw InputError.of("too_large", { name: `${this.#file}.${key}` }, `up to ${MAX_PATTERNS} patterns`, special);
    }
    // vLLM reads expressions in exclude; anywhere else they are names to it and to Quark, and match nothing.
    const expression = key === "exclude" ? undefined : texts.find((text) => text.startsWith("re:"));
    if (expression !== undefined) {
      throw this.#wrong(key, "names and patterns of file names", `an expression, ${show(expression)}`);
    }
    return texts.map((text) => parsePattern(text, `${this.#file}.${key}`, this.#fuel));
  }

  /**
   * What the config says of a module: excluded ones are not quantized; then the first entry of `layer_quant_config`
   * that matches, that of its class, and the global entry, in this order.
   *
   * @param candidates The module's names in Hugging Face's model, the most specific first: a single expert is also part
   *   of the fused module.
   * @throws {InputError} naming the key that asks for what is not supported.
   */
  of(candidates: readonly string[]): ModuleSpec {
    const excluded = candidates.find((name) => this.#exactExcludes.has(name)) ??
      this.#excludes.of(candidates)?.text;
    if (excluded !== undefined) {
      const entry = `exclude "${printable(excluded)}"`;
      return { weight: null, input: null, fp8Output: false, entry, isExcluded: true };
    }
    return this.ofIncluded(candidates);
  }

  /** The same if the module is not excluded. */
  ofIncluded(candidates: readonly string[]): ModuleSpec {
    const entry = this.#layerEntry(candidates) ?? this.#type;
    const key = entry?.key ?? "global_quant_config";
    let spec = this.#read.get(entry);
    if (!spec) {
      this.#read.set(entry, spec = this.#entries.module(entry ? entry.json : this.#values.global_quant_config, key));
    }
    return { ...spec, entry: key, isExcluded: false };
  }

  #layerEntry(candidates: readonly string[]): Entry | undefined {
    const exact = candidates.flatMap((name) => this.#exactLayers.get(name) ?? []),
      pattern = this.#layers.of(candidates);
    return [...exact, ...pattern ? [pattern] : []].sort((a, b) => a.place - b.place)[0];
  }

  /**
   * Whether weights are stored as plain numbers that were quantized and dequantized (fake quantization).
   */
  get fakeQuantized(): boolean {
    return this.#exported.weight_format === "fake_quantized";
  }

  /**
   * Whether keys and values of the cache are FP8; `kv_cache_quant_config` counts before the entries of
   * `export.kv_cache_group`, and `exclude`, which is about weights and inputs, says nothing of a cache.
   *
   * @param modules Names of all k_proj and v_proj.
   * @param others Names of all other linears.
   * @throws {InputError} for another format, where some of them are FP8 and some are not, and where
   *   `kv_cache_quant_config` quantizes what the others give.
   */
  kvCacheIsFp8(modules: readonly string[], others: readonly string[]): boolean {
    const { own, of: entryOf } = this.#kvEntry ??= this.#kvEntries();
    for (const module of own ? others : []) {
      const entry = entryOf(module);
      if (entry === undefined || !this.#kvIsFp8(entry)) continue;
      throw this.#wrong(entry.key, "names of k_proj and v_proj", `one that matches ${module}`);
    }
    const found = modules.map((module) => {
      const entry = entryOf(module);
      return { module, fp8: entry !== undefined && this.#kvIsFp8(entry) };
    });
    const fp8 = found.find((one) => one.fp8), other = found.find((one) => !one.fp8);
    if (fp8 === undefined || other === undefined) return fp8 !== undefined;
    throw InputError.of(
      "contradiction",
      { name: this.#file },
      "FP8 for all keys and values of the cache or for none",
      `it for ${fp8.module} and not for ${other.module}`,
    );
  }

  /**
   * Refuses what says that keys and values are quantized where {@linkcode QuarkConfig.kvCacheIsFp8} finds nothing that
   * does.
   *
   * @throws {InputError} naming the key.
   */
  refuseLostCache(modules: readonly string[]): void {
    const none = "none that does";
    if (Object.values(this.#values.kv_cache_quant_config ?? {}).some((json) => json !== null)) {
      throw this.#wrong("kv_cache_quant_config", "an entry that quantizes the outputs of k_proj and v_proj", none);
    }
    if ((this.#exported.kv_cache_group ?? []).length > 0) {
      const expected = "names of entries of layer_quant_config that quantize the outputs of k_proj and v_proj";
      throw this.#wrong("export.kv_cache_group", expected, none);
    }
    const quantized = modules.map((module) => this.of([module])).find(({ fp8Output }) => fp8Output);
    if (quantized === undefined) return;
    throw this.#wrong(`${quantized.entry}.output_tensors`, "null, or kv_cache_quant_config to say the same", "a spec");
  }

  #wrong(key: string, expected: string, got: string): InputError {
    return InputError.of("wrong_value", { name: `${this.#file}.${key}` }, expected, got);
  }

  /** Whether attention probabilities are to be quantized. */
  get quantizesProbabilities(): boolean {
    return (this.#values.softmax_quant_spec ?? null) !== null;
  }

  #kvEntries(): KvEntries {
    const own = this.#ownKvEntries();
    return { own: own !== null, of: own ?? this.#kvGroup() };
  }

  /** What `kv_cache_quant_config` has for a module; null where it has nothing at all. */
  #ownKvEntries(): ((module: string) => Entry | undefined) | null {
    const own = Object.entries(this.#values.kv_cache_quant_config ?? {});
    if (own.length === 0) return null;
    const patterns = this.#patterns(own.map(([text]) => text), "kv_cache_quant_config");
    const entries = patterns.map((pattern, place): Entry => ({
      pattern,
      key: `kv_cache_quant_config "${printable(pattern.text)}"`,
      json: own[place]![1],
      place,
    }));
    const first = new FirstMatch(entries, ({ pattern }) => pattern);
    return (module) => first.of([module]);
  }

  /** What `layer_quant_config` has for a module, where that is of the group; without a group it always is. */
  #kvGroup(): (module: string) => Entry | undefined {
    const texts = this.#exported.kv_cache_group ?? [], same = new Set(texts);
    const first = new FirstMatch(this.#patterns(texts, "export.kv_cache_group"), (pattern) => pattern);
    return (module) => {
      const entry = this.#layerEntry([module]);
      const isOfGroup = texts.length === 0 || entry !== undefined && same.has(entry.pattern.text) ||
        first.of([module]) !== undefined;
      return isOfGroup ? entry : undefined;
    };
  }

  /** The spec of a cache is that of the outputs of k_proj and v_proj. */
  #kvIsFp8({ key, json }: Entry): boolean {
    const at = `${this.#file}.${key}`, entry = json === null ? {} : validate(object, json, at);
    if (Object.hasOwn(entry, "dtype")) return this.#entries.fp8Output(entry, key);
    return this.#entries.fp8Output(readKeys(ENTRY_KEYS, entry, at).output_tensors, `${key}.output_tensors`);
  }
}

/** Whether an entry quantizes nothing, whatever it is for. */
const isNoEntry = (json: unknown): boolean =>
  json === null || typeof json === "object" && Object.values(json).every((spec) => spec === null);

/** The class in `Linear`, `nn.Linear` or `<class 'torch.nn.modules.linear.Linear'>`. */
const className = (text: string): string => /(\w+)'?>?$/.exec(text.slice(-200))?.[1] ?? text;
