import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { LinearSource, MatrixSource, VectorSource } from "../../src/checkpoint/source.ts";
import { InputError } from "../../src/errors.ts";
import { NO_QDQ } from "../../src/formats/input.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { BrokenCheckpoint } from "../cli/broken.ts";
import { refusal, TemporaryDirectory } from "./container.ts";

const TINY = new URL("../../models/tiny-gpt-oss", import.meta.url).pathname;
const LAYERS = 4, H = 288, I = 224, E = 16, HEADS = 8, KV = 2, D = 64, V = 1024;

/** Where each tensor of a well-formed file starts, without the code under test. */
function offsetsOf(path: string): (name: string) => number {
  const bytes = Deno.readFileSync(path);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  return (name) => 8 + length + header[name].data_offsets[0];
}

Deno.test("openCheckpoint() finds every weight of the embedded model where it lies", () => {
  const { source, layout, config, warnings, dir, quantization } = openCheckpoint(`${TINY}/`);
  const at = offsetsOf(`${TINY}/model.safetensors`);
  const vector = (name: string, length: number, offset = at(name)): VectorSource => ({
    name,
    format: "bf16",
    length,
    file: 0,
    offset,
  });
  const matrix = (name: string, rows: number, cols: number): MatrixSource => ({
    ...{ name, format: "bf16", rows, cols, transposed: false, file: 0, offset: at(name) },
    ...{ rowBytes: 2 * cols, rowStride: 2 * cols, scale: { kind: "none" } },
  });
  const linear = (module: string, rows: number, cols: number): LinearSource => ({
    weight: matrix(`${module}.weight`, rows, cols),
    bias: vector(`${module}.bias`, rows),
    input: NO_QDQ,
    multipliesCodes: false,
    module,
  });
  const expert = (layer: number, e: number, projection: string, rows: number, cols: number): LinearSource => {
    const name = `model.layers.${layer}.mlp.experts.${projection}`;
    return {
      weight: {
        ...{ name: `${name}_blocks`, format: "mxfp4", rows, cols, transposed: false, file: 0 },
        ...{ offset: at(`${name}_blocks`) + e * rows * cols / 2, rowBytes: cols / 2, rowStride: cols / 2 },
        scale: { kind: "e8m0", file: 0, offset: at(`${name}_scales`) + e * rows * cols / 32, rowStride: cols / 32 },
      },
      bias: vector(`${name}_bias`, rows, at(`${name}_bias`) + 2 * e * rows),
      input: NO_QDQ,
      multipliesCodes: false,
      module: `model.layers.${layer}.mlp.experts.${e}.${projection}`,
    };
  };
  const experts = [...Array(E).keys()];
  assertEquals(source, {
    files: [{ path: `${TINY}/model.safetensors`, bytes: Deno.statSync(`${TINY}/model.safetensors`).size }],
    tree: {
      embedding: matrix("model.embed_tokens.weight", V, H),
      layers: [...Array(LAYERS).keys()].map((layer) => {
        const name = `model.layers.${layer}`;
        return {
          inputNorm: vector(`${name}.input_layernorm.weight`, H),
          q: linear(`${name}.self_attn.q_proj`, HEADS * D, H),
          k: linear(`${name}.self_attn.k_proj`, KV * D, H),
          v: linear(`${name}.self_attn.v_proj`, KV * D, H),
          o: linear(`${name}.self_attn.o_proj`, H, HEADS * D),
          sinks: vector(`${name}.self_attn.sinks`, HEADS),
          postNorm: vector(`${name}.post_attention_layernorm.weight`, H),
          router: linear(`${name}.mlp.router`, E, H),
          gateUp: experts.map((e) => expert(layer, e, "gate_up_proj", 2 * I, H)),
          down: experts.map((e) => expert(layer, e, "down_proj", H, I)),
        };
      }),
      norm: vector("model.norm.weight", H),
      head: {
        ...{ weight: matrix("lm_head.weight", V, H), bias: null, input: NO_QDQ },
        ...{ multipliesCodes: false, module: "lm_head" },
      },
    },
    kvScales: Array(LAYERS).fill({ k: 1, v: 1 }),
  });
  assertEquals([dir, layout, config.layers, warnings], [TINY, "hf_mxfp4", LAYERS, []]);
  assertEquals(quantization?.["quant_method"], "mxfp4");
});

Deno.test("openCheckpoint() tells which other files are there", () => {
  using checkpoint = new BrokenCheckpoint();
  Deno.removeSync(checkpoint.path("chat_template.jinja"));
  Deno.removeSync(checkpoint.path("generation_config.json"));
  const { files, config } = openCheckpoint(checkpoint.dir);
  assertEquals(files, {
    config: checkpoint.path("config.json"),
    generationConfig: null,
    tokenizer: checkpoint.path("tokenizer.json"),
    tokenizerConfig: checkpoint.path("tokenizer_config.json"),
    chatTemplate: null,
  });
  assertEquals(config.eosTokenIds, [1017]);
});

Deno.test("openCheckpoint() gives a fingerprint of config and headers, not of paths or weights", async () => {
  using checkpoint = new BrokenCheckpoint();
  const print = async () => await openCheckpoint(checkpoint.dir).fingerprint();
  const first = await print();
  assertMatch(first, /^[0-9a-f]{64}$/);
  assertEquals(await openCheckpoint(TINY).fingerprint(), first);
  checkpoint.tensor("model.norm.weight", (data) => data[0] = 77);
  assertEquals(await print(), first);
  checkpoint.headerText((text) => ` ${text}`.trimStart() + " ");
  const second = await print();
  assert(second !== first);
  checkpoint.edit("config.json", (text) => `${text}\n`);
  assert(![first, second].includes(await print()));
});

const NORM = "model.norm.weight";
const EXPERTS = "model.layers.1.mlp.experts";

/** Each: what is wrong, how it is brought about, and the line without the directory. */
const BROKEN: [wrong: string, make: (checkpoint: BrokenCheckpoint) => void, line: string][] = [
  [
    "a missing tensor",
    (c) =>
      c.header((h) => {
        h["other"] = h[NORM]!;
        delete h[NORM];
      }),
    `model.safetensors: tensor ${NORM}: expected BF16, F16 or F32 [288], got nothing`,
  ],
  [
    "a wrong shape",
    (c) => c.header((h) => h[NORM]!.shape = [2, 144]),
    `model.safetensors: tensor ${NORM}: expected BF16, F16 or F32 [288], got BF16 [2, 144]`,
  ],
  [
    "a wrong dtype",
    (c) => c.header((h) => h[NORM]!.dtype = "I16"),
    `model.safetensors: tensor ${NORM}: expected BF16, F16 or F32 [288], got I16 [288]`,
  ],
  [
    "blocks of another width",
    (c) => c.header((h) => h[`${EXPERTS}.gate_up_proj_blocks`]!.shape = [16, 448, 18, 8]),
    `model.safetensors: tensor ${EXPERTS}.gate_up_proj_blocks: expected U8 [16, 448, 9, 16], got U8 [16, 448, 18, 8]`,
  ],
  [
    "scales that are missing",
    (c) =>
      c.header((h) => {
        h["other"] = h[`${EXPERTS}.gate_up_proj_scales`]!;
        delete h[`${EXPERTS}.gate_up_proj_scales`];
      }),
    `model.safetensors: tensor ${EXPERTS}.gate_up_proj_scales: expected U8 or F8_E8M0 [16, 448, 9], got nothing`,
  ],
  [
    "a scale byte 255",
    (c) => c.tensor(`${EXPERTS}.down_proj_scales`, (data) => data[3 * 288 * 7 + 5 * 7 + 6] = 255),
    `model.safetensors: tensor ${EXPERTS}.down_proj_scales: expected e8m0 scales from 0 to 254, got 255 (NaN) at [3, ` +
    "5, 6]",
  ],
  [
    "a config with fewer layers than the tensors",
    (c) => c.config((config) => Object.assign(config, { num_hidden_layers: 3, layer_types: null })),
    "model.safetensors: tensor model.layers.3.input_layernorm.weight: expected 3 layers (num_hidden_layers), got " +
    "another one",
  ],
  [
    "a config with more layers than the tensors",
    (c) => c.config((config) => Object.assign(config, { num_hidden_layers: 5, layer_types: null })),
    "model.safetensors: tensor model.layers.4.input_layernorm.weight: expected BF16, F16 or F32 [288], got nothing",
  ],
  [
    "an intermediate size that the tensors do not have",
    (c) => c.config((config) => config["intermediate_size"] = 225),
    "model.safetensors: tensor model.layers.0.mlp.experts.gate_up_proj_blocks: expected U8 [16, 450, 9, 16], got U8 " +
    "[16, 448, 9, 16]",
  ],
  [
    "no layout",
    (c) => c.headerText((text) => text.replaceAll("mlp.experts.", "mlp.specialists.")),
    "model.safetensors: expected tensors of a GPT-OSS model, such as model.layers.0.mlp.experts.gate_up_proj_blocks, " +
    "got 79 others, e.g. lm_head.weight",
  ],
  [
    "a norm's bias",
    (c) =>
      c.headerText((text, data) => {
        const header = JSON.parse(text), name = "model.layers.1.post_attention_layernorm.bias";
        header[name] = { dtype: "U8", shape: [1], data_offsets: [data.length, data.length + 1] };
        const longer = new Uint8Array(data.length + 1);
        longer.set(data);
        return { text: JSON.stringify(header), data: longer };
      }),
    "model.safetensors: tensor model.layers.1.post_attention_layernorm.bias: expected none of that name, got one: " +
    "what it does to the model is not known",
  ],
  ["a truncated file", (c) => c.bytes((b) => b.subarray(0, b.length - 100)), ""],
  ["a config that is not JSON", (c) => c.edit("config.json", (text) => text.slice(0, -20)), ""],
  [
    "a config without num_local_experts",
    (c) => c.config((config) => delete config["num_local_experts"]),
    "config.json: num_local_experts: expected a positive integer, got nothing",
  ],
  [
    "a missing config",
    (c) => Deno.removeSync(c.path("config.json")),
    "config.json: no such file; a checkpoint directory has one",
  ],
  [
    "a missing shard",
    (c) => c.index("model-00001-of-00002.safetensors"),
    "model.safetensors.index.json: expected shard model-00001-of-00002.safetensors beside it, got no such file",
  ],
  [
    "../ in a shard name",
    (c) => c.index("../model.safetensors"),
    'model.safetensors.index.json: expected shards to be files of this directory, got "../model.safetensors"',
  ],
  [
    "weights linked from elsewhere",
    (c) => {
      Deno.removeSync(c.path("model.safetensors"));
      Deno.symlinkSync(`${TINY}/model.safetensors`, c.path("model.safetensors"));
    },
    "model.safetensors: expected a file, or a link ../../blobs/<hash> as in a Hugging Face cache, got a link to " +
    `${TINY}/model.safetensors`,
  ],
];

for (const [wrong, make, line] of BROKEN) {
  Deno.test(`openCheckpoint() refuses ${wrong}`, () => {
    using checkpoint = new BrokenCheckpoint();
    make(checkpoint);
    const got = refusal(() => openCheckpoint(checkpoint.dir), checkpoint.dir, InputError);
    if (line !== "") assertEquals(got, line);
    else assertMatch(got, /^(?:model\.safetensors: truncated: tensor|config\.json: not JSON: ) ?.+/);
  });
}

Deno.test("openCheckpoint() refuses what is not a directory", () => {
  using dir = new TemporaryDirectory();
  const line = (path: string) => refusal(() => openCheckpoint(path), dir.path, InputError);
  assertEquals(line(`${dir.path}/none`), "none: expected a checkpoint directory, got nothing of that name");
  assertEquals(line(dir.write("file", "")), "file: expected a checkpoint directory, got an empty file");
});

Deno.test("openCheckpoint() looks at scales only if asked to", () => {
  using checkpoint = new BrokenCheckpoint();
  checkpoint.tensor(`${EXPERTS}.down_proj_scales`, (data) => data[0] = 255);
  assertEquals(openCheckpoint(checkpoint.dir, { checkScales: false }).layout, "hf_mxfp4");
});

Deno.test("openCheckpoint() writes no second slash after the one of the root directory", () => {
  for (const root of ["/", "//"]) assertMatch(refusal(() => openCheckpoint(root), "no such", InputError), /^\/[^/]/);
});
