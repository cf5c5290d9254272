/** Every key of AMD Quark's config is read, held to one value, or without consequence; any other is refused. */
import { asset } from "../../../src/assets.ts";
import { ENTRY_KEYS, EXPORT_KEYS, QUARK_KEYS, SPEC_KEYS } from "../../../src/checkpoint/quark/quark_keys.ts";
import { assert, assertEquals } from "../../assert.ts";
import { model, plan, refused } from "../../plan/stored_models.ts";
import { EXPORTS } from "../../model/quark_exports.ts";
import { entry, FP4_INPUT, FP4_WEIGHT, FP8, mxSpec, ptpc, quark } from "./quark_specs.ts";

type Json = Record<string, unknown>;
const TABLES = { QUARK_KEYS, EXPORT_KEYS, ENTRY_KEYS, SPEC_KEYS };
const groups = (table: keyof typeof TABLES) => Object.values(TABLES[table]).map((group) => Object.keys(group));

/** Fields of Quark 0.13's dataclasses, and what its versions before wrote. */
const FIELDS: Record<keyof typeof TABLES, string> = {
  QUARK_KEYS: "global_quant_config layer_type_quant_config layer_quant_config kv_cache_quant_config kv_cache_group " +
    "min_kv_scale kv_cache_post_rope shared_scale_groups softmax_quant_spec exclude algo_config quant_mode " +
    "quant_flow gpu_resident_blocks sync_moe_expert_input_amax keep_prequantized_layers log_severity_level version " +
    "quant_method export pre_quant_opt_config",
  EXPORT_KEYS: "weight_merge_groups kv_cache_group min_kv_scale weight_format pack_method",
  ENTRY_KEYS: "input_tensors output_tensors weight bias target_device",
  SPEC_KEYS:
    "dtype is_dynamic qscheme ch_axis group_size block_size symmetric round_method scale_type zero_point_type " +
    "scale_format scale_calculation_mode mx_element_dtype observer_cls is_scale_quant enable_buffer_reuse " +
    "max_input_numel qat_spec dynamic axis",
};

for (const [table, fields] of Object.entries(FIELDS) as [keyof typeof TABLES, string][]) {
  Deno.test(`${table} has every field of Quark's, each in one group`, () => {
    const all = groups(table).flat();
    assertEquals(new Set(all).size, all.length);
    assertEquals(fields.split(" ").filter((key) => !all.includes(key)), []);
  });
}

Deno.test("the tables have every key that Quark 0.13 wrote into its exports", () => {
  const missing = new Set<string>();
  const look = (json: unknown, table: keyof typeof TABLES, inner: (key: string, value: unknown) => void) => {
    for (const [key, value] of Object.entries(json ?? {})) {
      if (!groups(table).flat().includes(key)) missing.add(`${table} ${key}`);
      inner(key, value);
    }
  };
  const spec = (json: unknown) => [json].flat().forEach((one) => look(one, "SPEC_KEYS", () => {}));
  const entryOf = (json: unknown) => look(json, "ENTRY_KEYS", (key, value) => key !== "target_device" && spec(value));
  for (const name of EXPORTS) {
    const url = asset(`tests/goldens/quark/exports/${name}/config.json`);
    look(JSON.parse(Deno.readTextFileSync(url)).quantization_config, "QUARK_KEYS", (key, value) => {
      if (key === "global_quant_config") entryOf(value);
      else if (key.endsWith("quant_config")) Object.values(value as Json).forEach(entryOf);
      else if (key === "softmax_quant_spec") spec(value);
      else if (key === "export") look(value, "EXPORT_KEYS", () => {});
    });
  }
  assert(EXPORTS.length > 30);
  assertEquals([...missing], []);
});

const EXPORT = quark(null)["export"] as Json;
const with_ = (more: Json) => quark(entry(FP4_WEIGHT, FP4_INPUT), more);
const exported = (more: Json) => with_({ export: { ...EXPORT, ...more } });
const inputs = (more: Json) => quark(entry(FP4_WEIGHT, { ...FP4_INPUT, ...more }));
const planned = (config: Json) => {
  const { linears, warnings, kvFormat } = plan(model(), config);
  return { linears, warnings, kvFormat };
};

Deno.test("keys without consequence may say anything", () => {
  const known = planned(with_({}));
  for (const [table, config] of [["QUARK_KEYS", with_], ["EXPORT_KEYS", exported], ["SPEC_KEYS", inputs]] as const) {
    for (const [key, reason] of Object.entries(TABLES[table].irrelevant)) {
      for (const value of ["x", 7, [1], { a: 1 }, null]) assertEquals(planned(config({ [key]: value })), known, key);
      assert(reason.length > 10, `${key}: no reason`);
    }
  }
  const device = quark({ ...entry(FP4_WEIGHT, FP4_INPUT), target_device: "moon" });
  assertEquals(planned(device), known);
});

/** What is refused: the config, and the line. */
const REFUSED: readonly (readonly [config: Json, line: string])[] = [
  [with_({ quant_mode: "fx_graph_mode" }), 'quant_mode: expected "eager_mode", got "fx_graph_mode"'],
  [with_({ kv_cache_post_rope: "no" }), 'kv_cache_post_rope: expected true or false, got "no"'],
  [with_({ kv_cache_group: ["*k_proj"] }), "kv_cache_group: expected nothing, got an array of 1"],
  [with_({ weight_format: "fake_quantized" }), 'weight_format: expected none, got "fake_quantized"'],
  [exported({ pack_method: "shuffle" }), 'export: pack_method: expected "reorder" or "order", got "shuffle"'],
  [exported({ weight_format: "fake" }), 'weight_format: expected real_quantized or fake_quantized, got "fake"'],
  [inputs({ is_scale_quant: true }), "input_tensors: is_scale_quant: expected false, got true"],
  [inputs({ qat_spec: { threshold_init_meth: null } }), "qat_spec: expected none, got an object"],
  [
    inputs({ dtype: "float16" }),
    'input_tensors.dtype: expected fp4 or fp6_e3m2 or fp6_e2m3 or fp8_e4m3, got "float16"',
  ],
  [inputs({ mx_element_dtype: "fp6_e2m3" }), 'input_tensors.mx_element_dtype: expected fp4, got "fp6_e2m3"'],
  [inputs({ observer_cls: "PerGroupMinMaxObserver" }), "input_tensors.observer_cls: expected PerBlockMXObserver, got"],
  [quark(entry({ ...FP4_WEIGHT, ch_axis: 0 }, null)), "weight.ch_axis: expected -1 or 1, got 0"],
  [inputs({ ch_axis: 1 }), "input_tensors.ch_axis: expected -1, got 1"],
  [
    quark(entry(ptpc(false), { ...ptpc(true), qscheme: "per_block" })),
    'input_tensors.qscheme: expected per_tensor or per_channel or per_group, got "per_block"',
  ],
  // FP8 in groups is MXFP8, or nothing.
  [
    quark(entry(FP4_WEIGHT, { ...ptpc(true), qscheme: "per_group", group_size: 128 })),
    "input_tensors.group_size: expected 32, got 128",
  ],
  [
    quark(entry(FP4_WEIGHT, mxSpec("fp8_e4m3", true, { scale_format: "float32" }))),
    'input_tensors.scale_format: expected e8m0, got "float32"',
  ],
  [
    quark(entry(FP4_WEIGHT, mxSpec("fp8_e4m3", true, { scale_calculation_mode: "ceil" }))),
    'input_tensors.scale_calculation_mode: expected even or floor, got "ceil"',
  ],
  [
    quark(entry(mxSpec("fp8_e4m3", false), null)),
    'weight.scale_format: expected float32, got "e8m0"',
  ],
  // A scale for each feature, or one for all tokens, is not one of each token.
  ...[0, -1, 2, -3].map((axis) =>
    [
      quark(entry(ptpc(false), { ...ptpc(true), ch_axis: axis })),
      `input_tensors.ch_axis: expected 1 or -2, got ${axis}`,
    ] as const
  ),
  [quark(entry({ ...FP8, is_dynamic: true }, FP8)), "weight.is_dynamic: expected false for a weight, got true"],
  [inputs({ scale_type: "bfloat16" }), 'input_tensors.scale_type: expected float or float32, got "bfloat16"'],
  [
    quark(entry(ptpc(false), { ...ptpc(true), scale_type: "pof2" })),
    'input_tensors.scale_type: expected float or float32, got "pof2"',
  ],
  [
    quark(entry(ptpc(false), { ...ptpc(true), observer_cls: "PerChannelPowOf2MinMaxObserver" })),
    "input_tensors.observer_cls: expected PerChannelMinMaxObserver, got",
  ],
  [quark(entry({ ...FP8, scale_format: "e5m3" }, FP8)), 'weight.scale_format: expected float32, got "e5m3"'],
  [quark(entry(FP8, { ...FP8, scale_format: "e8m0" })), 'input_tensors.scale_format: expected float32, got "e8m0"'],
  [with_({ pre_quant_opt_config: [{ name: "svdquant" }] }), "pre_quant_opt_config[0].name: expected smooth, "],
  [
    with_({ algo_config: [], pre_quant_opt_config: [{ name: "rotation", r3: true }] }),
    "pre_quant_opt_config[0].r3: expected false, got true",
  ],
  [
    with_({ layer_type_quant_config: { Embedding: entry(mxSpec("fp4", false), null) } }),
    'layer_type_quant_config "Embedding": expected Linear, QuantLinear, QParamsLinear, or an entry without specs, ' +
    "got a spec of other modules",
  ],
];

for (const [config, line] of REFUSED) {
  Deno.test(`makePlan() refuses a config of Quark's: ${line}`, () => refused(line, model(), config));
}

Deno.test("makePlan() takes the other values of what is held to one", () => {
  const known = planned(with_({}));
  const same = [
    ...[with_({ quant_mode: null }), with_({ kv_cache_post_rope: true }), with_({ kv_cache_group: [] })],
    ...[exported({ pack_method: "order" }), exported({ pack_method: null }), with_({ export: null })],
    ...[inputs({ mx_element_dtype: "fp4" }), inputs({ scale_type: null }), inputs({ observer_cls: null })],
    // Of groups along a row group_size counts.
    inputs({ block_size: 64 }),
    ...[inputs({ scale_type: "float32" }), with_({ pre_quant_opt_config: [{ name: "smooth" }] })],
    with_({ layer_type_quant_config: { Embedding: entry(null, null), LayerNorm: null } }),
  ];
  for (const config of same) assertEquals(planned(config), known);
});

Deno.test("makePlan() refuses a key of Quark's config that it does not know, at every place", () => {
  const unknown = "no key of that name: what it says of the model is not known";
  const rotation = { bits: 2 }, said = "expected " + unknown;
  const cases: [config: Json, line: string][] = [
    [with_({ extra_quant_config: rotation }), `quantization_config: extra_quant_config: ${said}, got an object`],
    [with_({ "a\nb": false }), `quantization_config: a\\u000ab: ${said}, got false`],
    [exported({ weight_order: "new" }), `quantization_config.export: weight_order: ${said}, got "new"`],
    [quark({ ...entry(FP4_WEIGHT, FP4_INPUT), outlier: 0 }), `global_quant_config: outlier: ${said}, got 0`],
    [inputs({ clip: 0.9 }), `global_quant_config.input_tensors: clip: ${said}, got 0.9`],
  ];
  for (const [config, line] of cases) refused(line, model(), config);
  // Nothing is asked for by a key without a value.
  const known = planned(with_({}));
  for (const config of [with_({ extra: null }), exported({ extra: null }), inputs({ extra: null })]) {
    assertEquals(planned(config), known);
  }
});

const CACHE = { "*k_proj": entry(null, null, FP8), "*v_proj": entry(null, null, FP8) };

Deno.test("makePlan() refuses an FP8 cache that is asked for and that no entry gives", () => {
  const lost =
    "expected names of entries of layer_quant_config that quantize the outputs of k_proj and v_proj, got none";
  const none = "expected an entry that quantizes the outputs of k_proj and v_proj, got none that does";
  const group = (names: string[], layers: Json = {}) =>
    with_({ layer_quant_config: layers, export: { ...EXPORT, kv_cache_group: names } });
  const cases: [config: Json, line: string][] = [
    [group(["*k_proj", "*v_proj"]), `export.kv_cache_group: ${lost}`],
    [group(["*key", "*value"], CACHE), `export.kv_cache_group: ${lost}`],
    [group(["*k_proj"], { "*k_proj": entry(null, null) }), `export.kv_cache_group: ${lost}`],
    [with_({ kv_cache_quant_config: { "*key": entry(null, null, FP8) } }), `kv_cache_quant_config: ${none}`],
    [with_({ kv_cache_quant_config: { "*k_proj": entry(FP8, FP8) } }), `kv_cache_quant_config: ${none}`],
    [
      with_({ kv_cache_quant_config: { "*": null }, layer_quant_config: CACHE, exclude: ["*[qo]_proj", "lm_head"] }),
      '"*k_proj".output_tensors: expected null, or kv_cache_quant_config to say the same, got a spec',
    ],
    [
      with_({ kv_cache_quant_config: { ...CACHE, "*self_attn*": entry(null, null, FP8) } }),
      'kv_cache_quant_config "*self_attn*": expected names of k_proj and v_proj, got one that matches ' +
      "model.layers.0.self_attn.q_proj",
    ],
    [
      with_({ kv_cache_quant_config: { ...CACHE, lm_head: FP8 } }),
      'kv_cache_quant_config "lm_head": expected names of k_proj and v_proj, got one that matches lm_head',
    ],
  ];
  for (const [config, line] of cases) refused(line, model(), config);
  // What is asked for decides, what the tensors have alone does not.
  const [first] = cases[0]!;
  for (const kvCacheDtype of ["bf16", "fp8"] as const) {
    assertEquals(plan(model(), first, { kvCacheDtype, kvScales: { layers: 2, stored: 2 } }).kvFormat, kvCacheDtype);
  }
  refused(
    "config.json: quantization_config: expected an FP8 cache, as the tensors have its scales for all of 2 layers, or " +
      "kvCacheDtype, got none",
    model(),
    first,
    { kvScales: { layers: 2, stored: 2 } },
  );
  assertEquals(plan(model(), with_({ kv_cache_quant_config: CACHE })).kvFormat, "fp8");
});

Deno.test("an FP8 cache is of the entries that the group names or matches, and of all where there is no group", () => {
  const kv = (names: string[] | null, more: Json = {}) =>
    with_({ layer_quant_config: CACHE, export: { ...EXPORT, kv_cache_group: names, ...more } });
  for (const names of [null, [], ["*v_proj", "*k_proj"], ["*[kv]_proj"], ["*self_attn*"]]) {
    assertEquals(plan(model(), kv(names)).kvFormat, "fp8", `${names}`);
  }
  assertEquals(plan(model(), with_({ layer_quant_config: CACHE, export: null })).kvFormat, "fp8");
  const halves = "expected FP8 for all keys and values of the cache or for none, got it for model.layers.0.self_attn.";
  refused(`${halves}k_proj and not for model.layers.0.self_attn.v_proj`, model(), kv(["*k_proj"]));
  refused(`${halves}v_proj and not for model.layers.0.self_attn.k_proj`, model(), kv(["*v_proj", "*q_proj"]));
});

Deno.test("an entry that is null or left out quantizes nothing, and neither does a spec of plain numbers", () => {
  const quantized = entry(FP4_WEIGHT, FP4_INPUT), bf16 = { dtype: "bfloat16" }, f32 = { dtype: "float32" };
  const same = (config: Json, what: string) => {
    const { linears, warnings, kvFormat } = plan(model(), config);
    const kinds = linears.map(({ module, input }) => `${module.includes("experts")} ${input.kind}`);
    assertEquals([[...new Set(kinds)].sort(), warnings, kvFormat], [["false none", "true mx"], [], "bf16"], what);
  };
  const plain = [null, {}, entry(null, null), entry([], [null]), entry(bf16, bf16, bf16), entry(f32, f32, f32)];
  for (const one of [...plain, entry({ dtype: "float16" }, [bf16], [f32])]) {
    const what = JSON.stringify(one);
    same(quark(one, { layer_quant_config: { "*experts*": quantized }, exclude: [] }), what);
    const others = { "*self_attn*": one, "*router": one, lm_head: one };
    same(quark(quantized, { layer_quant_config: others, exclude: [] }), what);
  }
  same({ quant_method: "quark", layer_quant_config: { "*experts*": quantized } }, "no global_quant_config");
});
