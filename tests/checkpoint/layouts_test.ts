import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { LinearSource, ModelSource } from "../../src/checkpoint/source.ts";
import { weightBytes } from "../../src/checkpoint/weight_bytes.ts";
import { InputError } from "../../src/errors.ts";
import { NO_QDQ } from "../../src/formats/input.ts";
import {
  FORMATS,
  type Layout,
  LAYOUTS,
  type QuarkOptions,
  type Shape,
  SHAPES,
} from "../../src/checkpoint/random/layouts.ts";
import { planModel } from "../../src/plan/planned.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { assert, assertEquals } from "../assert.ts";
import { refusal, rewrite, type StoredNumbers, TemporaryDirectory } from "./container.ts";
import { Decoder } from "./decode.ts";
import { type Made, makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

/** Every linear of a source. */
function linearsOf({ tree }: ModelSource): LinearSource[] {
  return [...tree.layers.flatMap((l) => [l.q, l.k, l.v, l.o, l.router, ...l.gateUp, ...l.down]), tree.head];
}

/** Asserts that a source means the numbers that were made. */
function assertMeans({ source }: Checkpoint, made: Made): void {
  const decoder = new Decoder(source);
  const { tree } = source;
  assertEquals(decoder.matrix(tree.embedding), made.others.get("model.embed_tokens.weight"));
  assertEquals(decoder.vector(tree.norm), made.others.get("model.norm.weight"));
  for (const [i, layer] of tree.layers.entries()) {
    const name = `model.layers.${i}`;
    assertEquals(decoder.vector(layer.inputNorm), made.others.get(`${name}.input_layernorm.weight`));
    assertEquals(decoder.vector(layer.postNorm), made.others.get(`${name}.post_attention_layernorm.weight`));
    assertEquals(decoder.vector(layer.sinks), made.others.get(`${name}.self_attn.sinks`));
    assertEquals(layer.q.module, `${name}.self_attn.q_proj`);
    assertEquals(layer.k.module, `${name}.self_attn.k_proj`);
    assertEquals(layer.v.module, `${name}.self_attn.v_proj`);
    assertEquals(layer.o.module, `${name}.self_attn.o_proj`);
    assertEquals(layer.router.module, `${name}.mlp.router`);
    layer.gateUp.forEach((l, e) => assertEquals(l.module, `${name}.mlp.experts.${e}.gate_up_proj`));
    layer.down.forEach((l, e) => assertEquals(l.module, `${name}.mlp.experts.${e}.down_proj`));
  }
  const linears = linearsOf(source);
  assertEquals(linears.map(({ module }) => module).toSorted(), [...made.linears.keys()].toSorted());
  for (const linear of linears) {
    const { module, weight, bias, inputScale, input } = linear;
    const expected = made.linears.get(module!)!;
    const got = {
      rows: weight.rows,
      cols: weight.cols,
      weight: decoder.matrix(weight),
      bias: bias && decoder.vector(bias),
      inputScale,
    };
    assertEquals(got, { inputScale: undefined, ...expected }, module);
    assertEquals(input, NO_QDQ);
  }
  assertEquals(source.kvScales, made.kvScales);
}

/** The same numbers in another plain dtype. */
function restored({ dtype, shape, bytes }: StoredNumbers, as: "F16" | "F32"): StoredNumbers {
  if (dtype !== "BF16") return { dtype, shape, bytes };
  const bits = Uint32Array.from(new Uint16Array(bytes.slice().buffer), (half) => half << 16);
  const numbers = new Float32Array(bits.buffer);
  return { dtype: as, shape, bytes: new Uint8Array(as === "F32" ? numbers.buffer : Float16Array.from(numbers).buffer) };
}

/**
 * Asserts that the source's ranges cover the files' data, each byte once; `single` bytes are scalars that were read
 * already.
 */
function assertTiles(source: ModelSource, tensorBytes: number): void {
  const spans: [file: number, start: number, bytes: number][] = [];
  const { tree } = source;
  const vectorBytes = { bf16: 2, f16: 2, f32: 4 };
  for (const { weight, bias } of [{ weight: tree.embedding, bias: null }, ...linearsOf(source)]) {
    const lines = weight.transposed ? weight.cols : weight.rows;
    assertEquals(weight.rowBytes, weight.rowStride);
    spans.push([weight.file, weight.offset, lines * weight.rowBytes]);
    const { scale } = weight;
    if (scale.kind === "e8m0") spans.push([scale.file, scale.offset, weight.rows * scale.rowStride]);
    if (bias) spans.push([bias.file, bias.offset, bias.length * vectorBytes[bias.format]]);
  }
  for (const v of [tree.norm, ...tree.layers.flatMap((l) => [l.inputNorm, l.postNorm, l.sinks])]) {
    spans.push([v.file, v.offset, v.length * vectorBytes[v.format]]);
  }
  spans.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  for (const [i, [file, start]] of spans.entries()) {
    const before = spans[i - 1];
    assert(!before || before[0] !== file || before[1] + before[2] <= start, `ranges overlap at ${start}`);
  }
  const scalars = linearsOf(source).reduce((sum, { weight: { scale }, inputScale }) => {
    const scales = scale.kind === "tensor" ? 1 : scale.kind === "row" ? scale.values.length : 0;
    return sum + 4 * (scales + (inputScale === undefined ? 0 : 1));
  }, 0);
  assertEquals(spans.reduce((sum, [, , bytes]) => sum + bytes, scalars), tensorBytes);
}

const SMALL: Shape = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };

function opened(layout: Layout, quark: QuarkOptions, seed: number, shape = SMALL, shards = 1): void {
  using dir = new TemporaryDirectory();
  const made = makeCheckpoint(dir, new Random(seed), { shape, layout, quark, shards });
  const checkpoint = openCheckpoint(dir.path);
  assertEquals(checkpoint.layout, layout);
  assertEquals(checkpoint.warnings, []);
  assertMeans(checkpoint, made);
}

for (const layout of LAYOUTS) {
  Deno.test(`openCheckpoint() gives layout ${layout} its meaning`, () => opened(layout, {}, 1));
  Deno.test(`openCheckpoint() gives layout ${layout} in three shards its meaning`, () =>
    opened(layout, {}, 2, SMALL, 3));
}

for (const layout of LAYOUTS) {
  Deno.test(`openCheckpoint() gives layout ${layout} in float16 and float32 its meaning`, () => {
    const quark: QuarkOptions = { weights: "bf16", attention: "bf16", experts: "fused" };
    // By dtypes of biases and of all else: each tensor has its own.
    for (const [biases, others] of [["F16", "F32"], ["F32", "F16"], ["F16", null], [null, "F16"]] as const) {
      using dir = new TemporaryDirectory();
      const made = makeCheckpoint(dir, new Random(7), { shape: SMALL, layout, quark });
      let bytes = 0;
      rewrite(`${dir.path}/model.safetensors`, (tensors) => {
        for (const [name, numbers] of tensors) {
          const as = name.endsWith("bias") ? biases : others;
          if (as !== null) tensors.set(name, restored(numbers, as));
        }
        bytes = [...tensors.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
      });
      const checkpoint = openCheckpoint(dir.path);
      assertMeans(checkpoint, made);
      assertEquals(weightBytes(checkpoint.source), bytes);
    }
  });
}

for (const weights of FORMATS) {
  for (const experts of ["each", "fused"] as const) {
    const what = experts === "each" ? "experts" : "fused experts";
    Deno.test(`openCheckpoint() gives Quark's ${what} in ${weights} their meaning`, () => {
      opened("quark", { weights, experts, inputScales: true }, 3);
    });
  }
  Deno.test(`openCheckpoint() gives Quark's attention in ${weights} its meaning`, () => {
    opened("quark", { weights: "mxfp4", attention: weights, inputScales: weights.startsWith("fp8") }, 4);
  });
}

Deno.test("openCheckpoint() gives Quark's experts in blocks their meaning", () => {
  opened("quark", { experts: "blocks", attention: "fp8", inputScales: true }, 5);
  // Here nothing but the config says who wrote it.
  opened("quark", { experts: "blocks" }, 5);
});

Deno.test("openCheckpoint() reads single scales of every dtype and shape", () => {
  for (const scalarDtype of ["F32", "BF16", "F16"] as const) {
    for (const scalarShape of [[], [1], [1, 1]]) {
      for (const kvScales of ["output_scale", "legacy"] as const) {
        opened("quark", { weights: "fp8", attention: "fp8", inputScales: true, kvScales, scalarDtype, scalarShape }, 6);
      }
    }
  }
});

Deno.test("openCheckpoint() gives random small checkpoints of all layouts their meaning", () => {
  for (let seed = 100; seed < 140; seed++) {
    const random = new Random(seed);
    const kvHeads = 1 + random.below(3), experts = 1 + random.below(4);
    const shape: Shape = {
      layers: 1 + random.below(3),
      hidden: 32 * (1 + random.below(3)),
      intermediate: 32 * (1 + random.below(3)),
      experts,
      topK: 1 + random.below(experts),
      heads: kvHeads * (1 + random.below(3)),
      kvHeads,
      // Rows of o_proj are heads * headDim wide, which MX formats need in whole blocks.
      headDim: 32,
      vocab: 1 + random.below(50),
      window: 1 + random.below(9),
    };
    const quark: QuarkOptions = {
      weights: random.pick(FORMATS),
      attention: random.pick(FORMATS),
      experts: random.pick(["each", "fused", "blocks"]),
      inputScales: random.below(2) === 1,
      scalarDtype: random.pick(["F32", "BF16", "F16"]),
      scalarShape: random.pick([[], [1]]),
      ...random.pick([{}, { kvScales: "output_scale" as const }, { kvScales: "legacy" as const }]),
    };
    const layout = random.pick(["quark", "quark", ...LAYOUTS] as const);
    using dir = new TemporaryDirectory();
    const made = makeCheckpoint(dir, random, { shape, layout, quark, shards: 1 + random.below(3) });
    assertMeans(openCheckpoint(dir.path), made);
  }
});

Deno.test("openCheckpoint() refuses experts that are not transposed as Hugging Face's bf16 layout is", () => {
  using dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SMALL, layout: "hf_bf16" });
  const name = "model.layers.0.mlp.experts.down_proj";
  rewrite(`${dir.path}/model.safetensors`, (t) => t.set(name, { ...t.get(name)!, shape: [3, 64, 32] }));
  assertEquals(
    refusal(() => openCheckpoint(dir.path), dir.path, InputError),
    `model.safetensors: tensor ${name}: expected BF16, F16 or F32 [3, 32, 64], got BF16 [3, 64, 32]`,
  );
});

Deno.test("openCheckpoint() refuses the original layout without its parts, by their names", () => {
  const line = (change: (tensors: Map<string, StoredNumbers>) => void) => {
    using dir = new TemporaryDirectory();
    makeCheckpoint(dir, new Random(1), { shape: SMALL, layout: "original" });
    rewrite(`${dir.path}/model.safetensors`, change);
    return refusal(() => openCheckpoint(dir.path), dir.path, InputError).replace("model.safetensors: tensor ", "");
  };
  assertEquals(line((t) => t.delete("norm.scale")), "norm.scale: expected BF16, F16 or F32 [64], got nothing");
  const qkv = "block.1.attn.qkv.weight";
  assertEquals(
    line((t) => t.set(qkv, { ...t.get(qkv)!, shape: [64, 256] })),
    `${qkv}: expected BF16, F16 or F32 [256, 64], got BF16 [64, 256]`,
  );
  assertEquals(
    line((t) => t.delete("block.1.mlp.mlp2_weight.scales")),
    "block.1.mlp.mlp2_weight.scales: expected U8 or F8_E8M0 [3, 64, 1], got nothing",
  );
  assertEquals(
    line((t) => t.set("block.2.attn.sinks", t.get("block.1.attn.sinks")!)),
    "block.2.attn.sinks: expected 2 layers (num_hidden_layers), got another one",
  );
});

Deno.test("openCheckpoint() finds the original layout in its subdirectory, and files beside it", () => {
  using dir = new TemporaryDirectory();
  const made = makeCheckpoint(dir, new Random(1), { shape: SMALL, layout: "original" });
  Deno.mkdirSync(`${dir.path}/original`);
  for (const name of ["config.json", "model.safetensors"]) {
    Deno.renameSync(`${dir.path}/${name}`, `${dir.path}/original/${name}`);
  }
  dir.write("tokenizer.json", "{}");
  dir.write("generation_config.json", { eos_token_id: 7 });
  const checkpoint = openCheckpoint(dir.path);
  assertMeans(checkpoint, made);
  assertEquals(checkpoint.dir, dir.path);
  assertEquals(checkpoint.files.config, `${dir.path}/original/config.json`);
  assertEquals(checkpoint.files.tokenizer, `${dir.path}/tokenizer.json`);
  assertEquals(checkpoint.config.eosTokenIds, [7]);
});

Deno.test("random_checkpoint writes checkpoints whose every byte is part of the model", () => {
  const cases: [Layout, QuarkOptions][] = [
    ["hf_mxfp4", {}],
    ["hf_bf16", {}],
    ["original", {}],
    ["quark", {}],
    ["quark", { weights: "fp8", attention: "fp8", inputScales: true }],
    ["quark", { weights: "mxfp6_e2m3", attention: "fp8_channel" }],
    ["quark", { weights: "fp8_channel", experts: "fused" }],
    ["quark", { experts: "blocks", attention: "mxfp4" }],
    ["quark", { experts: "blocks", inputScales: true }],
  ];
  for (const [layout, quark] of cases) {
    for (const shardBytes of [5e9, 1e5]) {
      using dir = new TemporaryDirectory();
      const bytes = writeRandomCheckpoint(dir.path, { shape: SHAPES.tiny, layout, quark, shardBytes });
      const checkpoint = openCheckpoint(dir.path), { source, layout: found, warnings } = checkpoint;
      assertEquals([found, warnings], [layout, []]);
      const { plan } = planModel(checkpoint, { dtype: "bf16", kvCacheDtype: "auto" });
      assertEquals(plan.warnings, []);
      assertEquals(source.files.length > 1, shardBytes === 1e5);
      assertTiles(source, bytes);
      // All but the scales of inputs.
      const scaled = linearsOf(source).filter(({ inputScale }) => inputScale !== undefined).length;
      assertEquals(weightBytes(source), bytes - 4 * scaled);
    }
  }
});
