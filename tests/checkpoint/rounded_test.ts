/** Tensors that transformers rounds when it loads them, and scales of a type that it misreads: computed as stored. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { type Layout, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals } from "../assert.ts";
import { refusal, rewrite, type StoredNumbers, TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

const SHAPE = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };

/** A checkpoint with tensors of other types that have as many bytes, and what its config says. */
function stored(
  dtypes: Readonly<Record<string, string>>,
  said: Readonly<Record<string, unknown>>,
  layout: Layout = "hf_mxfp4",
): TemporaryDirectory {
  const dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout });
  rewrite(`${dir.path}/model.safetensors`, (tensors: Map<string, StoredNumbers>) => {
    for (const [name, tensor] of tensors) {
      const found = Object.keys(dtypes).find((part) => name.includes(part));
      if (found !== undefined) tensors.set(name, { ...tensor, dtype: dtypes[found]! });
    }
  });
  const { torch_dtype: _, ...config } = randomConfig(SHAPE, layout);
  dir.write("config.json", { ...config, ...said });
  return dir;
}

const Q = "model.layers.0.self_attn.q_proj", NORM = "model.norm.weight";

Deno.test("openCheckpoint() says which plain tensors transformers rounds to the dtype of config.json", () => {
  const rounds = (what: string, dtype = "bfloat16") =>
    `config.json: dtype ${dtype}: transformers rounds ${what}; computed as stored here`;
  const cases: [dtypes: Record<string, string>, said: Record<string, unknown>, line: string | null][] = [
    [{ [Q]: "F16" }, { torch_dtype: "bfloat16" }, rounds(`${Q}.weight and 1 more (F16)`)],
    [{ [Q]: "F16" }, { dtype: "bfloat16" }, rounds(`${Q}.weight and 1 more (F16)`)],
    [{ [Q]: "F16" }, { dtype: "torch.bfloat16" }, rounds(`${Q}.weight and 1 more (F16)`)],
    [
      { [Q]: "F16" },
      { dtype: "float16", torch_dtype: "bfloat16" },
      rounds("model.embed_tokens.weight and 25 more (BF16)", "float16"),
    ],
    [{ sinks: "F16" }, { dtype: "bfloat16" }, rounds("model.layers.0.self_attn.sinks and 1 more (F16)")],
    [{ embed_tokens: "F16" }, { dtype: "bfloat16" }, rounds("model.embed_tokens.weight (F16)")],
    [
      { down_proj_bias: "F16" },
      { dtype: "bfloat16" },
      rounds("model.layers.0.mlp.experts.down_proj_bias and 1 more (F16)"),
    ],
    [{ [NORM]: "F16" }, { dtype: "bfloat16" }, rounds(`${NORM} (F16)`)],
    [{ norm: "BF16", "": "F16" }, { dtype: "float16" }, null],
    [{ [Q]: "F16" }, { dtype: "float32" }, null],
    [{ [Q]: "F16" }, { dtype: null }, null],
    [{ [Q]: "F16" }, { dtype: "auto" }, null],
    [{ [Q]: "F16" }, { dtype: "constructor" }, null],
    [{}, { dtype: "bfloat16" }, null],
  ];
  for (const [dtypes, said, line] of cases) {
    const { "": rest, ...named } = dtypes;
    const all = rest === undefined ? named : { ...named, blocks: "U8", scales: "U8", "": rest };
    using dir = stored(all, said);
    const warnings = openCheckpoint(dir.path).warnings.map((warning) => warning.replaceAll(`${dir.path}/`, ""));
    assertEquals(warnings, line === null ? [] : [line], JSON.stringify([dtypes, said]));
  }
});

Deno.test("scales of torch's e8m0 type are the bytes that U8 has, in all layouts with blocks", () => {
  const layouts: [Layout, string][] = [["hf_mxfp4", "_proj_scales"], ["original", "_weight.scales"]];
  for (const [layout, part] of layouts) {
    using plain = stored({}, {}, layout);
    using typed = stored({ [part]: "F8_E8M0" }, {}, layout);
    const [one, other] = [plain, typed].map(({ path }) => openCheckpoint(path));
    assert(one!.source.tree.layers[0]!.gateUp[0]!.weight.scale.kind === "e8m0");
    // The header is longer by the type's name.
    const shift = other!.source.tree.embedding.offset - one!.source.tree.embedding.offset;
    const placed = JSON.stringify(one!.source.tree, (key, value) => key === "offset" ? value + shift : value);
    assertEquals(JSON.stringify(other!.source.tree), placed);
    rewrite(`${typed.path}/model.safetensors`, (tensors: Map<string, StoredNumbers>) => {
      for (const [name, { bytes }] of tensors) if (name.includes(part)) bytes[5] = 255;
    });
    const line = refusal(() => openCheckpoint(typed.path), typed.path, InputError);
    assert(/expected e8m0 scales from 0 to 254, got 255 \(NaN\) at \[0, (?:2, 1|5, 0)\]$/.test(line), line);
  }
});
