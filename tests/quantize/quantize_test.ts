import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { LinearSource, MatrixSource, ModelSource } from "../../src/checkpoint/source.ts";
import { InputError } from "../../src/errors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { encodeFp8, encodeMxRow } from "../../src/formats/encode.ts";
import type { MxElement } from "../../src/formats/format.ts";
import { SCHEME_NAMES } from "../../src/plan/scheme.ts";
import { isTarget } from "../../src/quantize/targets.ts";
import { type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { rewrite, TemporaryDirectory } from "../checkpoint/container.ts";
import { Decoder } from "../checkpoint/decode.ts";
import { type Made, makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";
import { TINY } from "../model/tiny.ts";
import { SOAK } from "../soak.ts";
import { tinyTensors, writeTiny } from "../model/tiny_layouts.ts";
import { run, someScales } from "./run.ts";

const SHAPE: Shape = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 96, experts: 3, topK: 2, vocab: 40 };
const TARGETS = SCHEME_NAMES.filter(isTarget);
const MX_ELEMENT: Record<string, MxElement> = { mxfp4: "e2m1", mxfp6_e3m2: "e3m2", mxfp6_e2m3: "e2m3" };

/** Bytes of a file. */
function stored({ files }: ModelSource, file: number, offset: number, length: number): Uint8Array {
  using opened = Deno.openSync(files[file]!.path);
  opened.seekSync(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) at += opened.readSync(bytes.subarray(at))!;
  return bytes;
}

const codesOf = (source: ModelSource, { file, offset, rows, rowStride }: MatrixSource) =>
  stored(source, file, offset, rows * rowStride);

function scalesOf(source: ModelSource, { rows, scale }: MatrixSource): Uint8Array {
  assert(scale.kind === "e8m0");
  return stored(source, scale.file, scale.offset, rows * scale.rowStride);
}

/** Asserts that a written linear holds just what src/formats/encode.ts makes of the numbers. */
function assertEncodes(source: ModelSource, linear: LinearSource, numbers: Float32Array): void {
  const { weight } = linear, { rows, cols, format, scale } = weight;
  const row = (r: number) => numbers.subarray(r * cols, (r + 1) * cols);
  const amax = (values: Float32Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const element = MX_ELEMENT[format];
  if (element !== undefined) {
    const expected = Array.from({ length: rows }, (_, r) => encodeMxRow(row(r), element, "even"));
    assertEquals(codesOf(source, weight), new Uint8Array(expected.flatMap(({ codes }) => [...codes])));
    assertEquals(scalesOf(source, weight), new Uint8Array(expected.flatMap(({ scales }) => [...scales])));
    return;
  }
  assertEquals(format, "fp8_e4m3");
  const codes = codesOf(source, weight);
  for (let r = 0; r < rows; r++) {
    const expected = Math.fround(amax(scale.kind === "row" ? row(r) : numbers) / 448);
    const got = scale.kind === "row" ? scale.values[r]! : scale.kind === "tensor" ? scale.value : NaN;
    assertEquals(got, expected);
    assertEquals(codes.subarray(r * cols, (r + 1) * cols), encodeFp8(row(r), expected));
  }
}

/** Asserts that everything but the quantized weights is what it was. */
function assertKept(source: ModelSource, made: Made, attention: boolean): void {
  const decoder = new Decoder(source), { tree } = source;
  assertEquals(decoder.matrix(tree.embedding), made.others.get("model.embed_tokens.weight"));
  assertEquals(decoder.vector(tree.norm), made.others.get("model.norm.weight"));
  for (const [i, layer] of tree.layers.entries()) {
    assertEquals(decoder.vector(layer.sinks), made.others.get(`model.layers.${i}.self_attn.sinks`));
    assertEquals(decoder.vector(layer.inputNorm), made.others.get(`model.layers.${i}.input_layernorm.weight`));
    assertEquals(decoder.vector(layer.postNorm), made.others.get(`model.layers.${i}.post_attention_layernorm.weight`));
    const kept = attention ? [layer.router, layer.q, layer.k, layer.v, layer.o] : [layer.router];
    for (const { module, weight } of kept) assertEquals(decoder.matrix(weight), made.linears.get(module!)!.weight);
    for (const { module, bias } of [layer.q, layer.k, layer.v, layer.o, layer.router, ...layer.gateUp, ...layer.down]) {
      assertEquals(decoder.vector(bias!), made.linears.get(module!)!.bias);
    }
  }
  assertEquals(decoder.matrix(tree.head.weight), made.linears.get("lm_head")!.weight);
}

const LAYOUTS = ["hf_bf16", "original", "hf_mxfp4"] as const;

for (const [i, scheme] of TARGETS.entries()) {
  Deno.test(`quantize() writes ${scheme} from every layout as src/formats encodes it`, async () => {
    // Outside a soak one layout after the other.
    for (const layout of SOAK ? LAYOUTS : [LAYOUTS[i % 3]!]) {
      using from = new TemporaryDirectory();
      using to = new TemporaryDirectory();
      const made = makeCheckpoint(from, new Random(7), { shape: SHAPE, layout, shards: 2 });
      const scales = someScales(openCheckpoint(from.path));
      const attention = layout === "hf_bf16" ? { attention: scheme } : {};
      const written = await run(from.path, to.path, scheme, { scales, ...attention });
      assertEquals(written!.files.toSorted(), ["config.json", "model.safetensors"]);
      const checkpoint = openCheckpoint(to.path);
      assertEquals([checkpoint.layout, checkpoint.warnings], ["quark", []]);
      assertEquals(checkpoint.config, openCheckpoint(from.path).config);
      const { plan } = planModel(checkpoint, { dtype: "bf16", kvCacheDtype: "auto" });
      assertEquals([plan.scheme, plan.kvFormat, plan.warnings], [scheme, "bf16", []]);
      assertKept(checkpoint.source, made, layout !== "hf_bf16");
      const isStatic = scheme.endsWith("fp8") && scheme !== "ptpc_fp8";
      for (const { q, k, v, o, gateUp, down } of checkpoint.source.tree.layers) {
        for (const linear of [...gateUp, ...down, ...(layout === "hf_bf16" ? [q, k, v, o] : [])]) {
          // MXFP4 that is stored already stays as it is, whatever the rule would make of it.
          if (layout === "hf_bf16" || !scheme.startsWith("w_mxfp4")) {
            assertEncodes(checkpoint.source, linear, made.linears.get(linear.module!)!.weight);
          } else {
            assertEquals(
              new Decoder(checkpoint.source).matrix(linear.weight),
              made.linears.get(linear.module!)!.weight,
            );
          }
          assertEquals(linear.inputScale, isStatic ? scales.get(linear.module!) : undefined, linear.module);
        }
      }
    }
  });
}

Deno.test("quantize() to w_mxfp4 gives the dequantized embedded model its very blocks and scales back", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  writeTiny(from, "hf_bf16");
  await run(from.path, to.path, "w_mxfp4");
  const { source } = openCheckpoint(to.path);
  const original = tinyTensors();
  for (const [i, { gateUp, down }] of source.tree.layers.entries()) {
    for (const [projection, linears] of [["gate_up_proj", gateUp], ["down_proj", down]] as const) {
      const name = `model.layers.${i}.mlp.experts.${projection}`;
      const codes = linears.flatMap(({ weight }) => [...codesOf(source, weight)]);
      const scales = linears.flatMap(({ weight }) => [...scalesOf(source, weight)]);
      assertEquals(new Uint8Array(codes), original.get(`${name}_blocks`)!.bytes);
      assertEquals(new Uint8Array(scales), original.get(`${name}_scales`)!.bytes);
    }
  }
});

Deno.test("quantize() copies MXFP4 as it is stored, and MXFP6 holds it without loss", async () => {
  for (const scheme of ["w_mxfp4", "w_mxfp6_e2m3", "w_mxfp6_e3m2"] as const) {
    using to = new TemporaryDirectory();
    await run(TINY, to.path, scheme);
    const before = openCheckpoint(TINY).source, after = openCheckpoint(to.path).source;
    const [old, now] = [before, after].map((source) => new Decoder(source)) as [Decoder, Decoder];
    const last = before.tree.layers.length - 1;
    for (const expert of [0, 15]) {
      const a = before.tree.layers[last]!.down[expert]!.weight, b = after.tree.layers[last]!.down[expert]!.weight;
      assertEquals(now.matrix(b), old.matrix(a));
      if (scheme === "w_mxfp4") assertEquals(codesOf(after, b), codesOf(before, a));
    }
  }
});

Deno.test("quantize() writes mixed precision per layer, quantized attention and an FP8 cache", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  makeCheckpoint(from, new Random(8), { shape: { ...SHAPE, layers: 4 }, layout: "hf_bf16" });
  const scales = someScales(openCheckpoint(from.path));
  const kvScales = [0.25, 0.5, 1, 2].map((k) => ({ k, v: k / 8 }));
  await run(from.path, to.path, "w_mxfp4_a_fp8", {
    ...{ scales, kvScales, attention: "ptpc_fp8" },
    layers: [
      { first: 0, last: 2, scheme: "w_mxfp6_e3m2" },
      { first: 1, last: 1, scheme: "w_mxfp6_e2m3_a_mxfp6_e2m3" },
      { first: 3, last: 3, scheme: "fp8" },
    ],
  });
  const checkpoint = openCheckpoint(to.path);
  const { plan } = planModel(checkpoint, { dtype: "bf16", kvCacheDtype: "auto" });
  const schemeOf = (module: string) => plan.linears.find((linear) => linear.module === module)!.scheme;
  assertEquals(
    [0, 1, 2, 3].map((layer) => schemeOf(`model.layers.${layer}.mlp.experts.2.down_proj`)),
    ["w_mxfp6_e3m2", "w_mxfp6_e2m3_a_mxfp6_e2m3", "w_mxfp6_e3m2", "fp8"],
  );
  for (const name of ["q", "k", "v", "o"]) assertEquals(schemeOf(`model.layers.2.self_attn.${name}_proj`), "ptpc_fp8");
  assertEquals(schemeOf("model.layers.2.mlp.router"), "bf16");
  assertEquals([plan.kvFormat, plan.warnings], ["fp8", []]);
  assertEquals(checkpoint.source.kvScales, kvScales);

  // What it wrote is a source again: linears that are left alone stay as they are, scales and inputs included.
  using again = new TemporaryDirectory();
  await run(checkpoint, again.path, "w_mxfp6_e3m2", { kvScales });
  const second = planModel(openCheckpoint(again.path), { dtype: "bf16", kvCacheDtype: "auto" }).plan;
  assertEquals(
    new Set(second.linears.filter(({ module }) => /[qkvo]_proj$/.test(module)).map((l) => l.scheme)),
    new Set(["ptpc_fp8"]),
  );
  assertEquals([second.scheme, second.kvFormat], ["w_mxfp6_e3m2", "fp8"]);
});

Deno.test("quantize() copies quantized attention as it is: its codes, its scales and those of its inputs", async () => {
  for (const attention of ["fp8", "ptpc_fp8", "w_mxfp4_a_fp8"] as const) {
    using from = new TemporaryDirectory(), to = new TemporaryDirectory(), again = new TemporaryDirectory();
    makeCheckpoint(from, new Random(8), { shape: SHAPE, layout: "hf_bf16" });
    await run(from.path, to.path, "w_mxfp4", { attention, scales: someScales(openCheckpoint(from.path)) });
    await run(to.path, again.path, "w_mxfp6_e2m3");
    const [before, after] = [to, again].map(({ path }) => openCheckpoint(path).source) as [ModelSource, ModelSource];
    const [old, now] = [new Decoder(before), new Decoder(after)];
    for (const [i, layer] of after.tree.layers.entries()) {
      for (const name of ["q", "k", "v", "o"] as const) {
        const a = before.tree.layers[i]![name], b = layer[name];
        assertEquals(codesOf(after, b.weight), codesOf(before, a.weight));
        assertEquals(now.matrix(b.weight), old.matrix(a.weight));
        assertEquals([b.weight.format, b.weight.scale.kind, b.input], [a.weight.format, a.weight.scale.kind, a.input]);
        assertEquals([b.inputScale, b.weight.format === "bf16"], [a.inputScale, false]);
      }
    }
  }
});

Deno.test("quantize() cuts files at the size, but for a single larger tensor, and writes an index", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
  const written = (await run(from.path, to.path, "w_mxfp4", { shardBytes: 20_000 }))!;
  const { source, warnings } = openCheckpoint(to.path);
  assertEquals(warnings, []);
  assert(source.files.length > 3);
  for (const { bytes } of source.files) assert(bytes < 40_000, `${bytes} bytes`);
  const index = JSON.parse(Deno.readTextFileSync(`${to.path}/model.safetensors.index.json`));
  assertEquals(index.metadata.total_size, written.bytes);
  assertEquals(new Set(Object.values(index.weight_map)).size, source.files.length);
  // The very first tensor alone may be larger, too: no file is without any.
  using small = new TemporaryDirectory();
  await run(from.path, small.path, "w_mxfp4", { shardBytes: 1 });
  const files = openCheckpoint(small.path).source.files;
  assert(files.every(({ path }) => openSafetensors(path).tensors.size > 0));
  const { weight_map } = JSON.parse(Deno.readTextFileSync(`${small.path}/model.safetensors.index.json`));
  assertEquals(weight_map["model.embed_tokens.weight"].slice(0, 12), "model-00001-");
});

Deno.test("quantize() copies what lies beside the weights, or else in the directory above them", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  writeTiny(from, "original");
  Deno.mkdirSync(`${from.path}/original`);
  for (const name of ["config.json", "model.safetensors"]) {
    Deno.renameSync(`${from.path}/${name}`, `${from.path}/original/${name}`);
  }
  const nearer = `${Deno.readTextFileSync(`${from.path}/chat_template.jinja`)}{# nearer #}`;
  from.write("original/chat_template.jinja", nearer);
  await run(from.path, to.path, "w_mxfp4");
  assertEquals(Deno.readTextFileSync(`${to.path}/chat_template.jinja`), nearer);
  assertEquals(Deno.readFileSync(`${to.path}/tokenizer.json`), Deno.readFileSync(`${from.path}/tokenizer.json`));
});

Deno.test("quantize() copies the tokenizer and what belongs to it, and keeps unknown keys of the config", async () => {
  using to = new TemporaryDirectory();
  const written = (await run(TINY, to.path, "w_mxfp4_a_mxfp4"))!;
  const names = ["chat_template.jinja", "generation_config.json", "tokenizer.json", "tokenizer_config.json"];
  assertEquals(written.files.toSorted(), [...names, "config.json", "model.safetensors"].toSorted());
  for (const name of names) {
    assertEquals(Deno.readFileSync(`${to.path}/${name}`), Deno.readFileSync(`${TINY}/${name}`));
  }
  assertEquals([...Deno.readDirSync(to.path)].map(({ name }) => name).toSorted(), written.files.toSorted());
  const read = (dir: string) => JSON.parse(Deno.readTextFileSync(`${dir}/config.json`));
  const { quantization_config: _, ...before } = read(TINY);
  const { quantization_config: __, ...after } = read(to.path);
  assertEquals(after, before);
});

Deno.test("quantize() refuses numbers that no format has, by their place", async () => {
  for (const [bits, got] of [[0x7f80, "Infinity"], [0xff80, "-Infinity"], [0x7fc0, "NaN"]] as const) {
    using from = new TemporaryDirectory();
    using to = new TemporaryDirectory();
    makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
    const name = "model.layers.1.mlp.experts.down_proj";
    rewrite(`${from.path}/model.safetensors`, (tensors) => {
      // Expert 2, input feature 5, output feature 33: stored transposed, [3, 96, 64].
      const { bytes } = tensors.get(name)!;
      new DataView(bytes.buffer, bytes.byteOffset).setUint16(2 * ((2 * 96 + 5) * 64 + 33), bits, true);
    });
    await assertRejects(
      () => run(from.path, to.path, "w_mxfp4"),
      InputError,
      `${from.path}: tensor ${name}: expected finite numbers, got ${got} in row 33, column 5`,
    );
    assertEquals([...Deno.readDirSync(to.path)], []);
  }
});

Deno.test("quantize() gives weights that are zero all over a scale above zero", async () => {
  using from = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
  rewrite(`${from.path}/model.safetensors`, (t) => t.get("model.layers.0.mlp.experts.down_proj")!.bytes.fill(0));
  for (const scheme of ["fp8", "ptpc_fp8", "w_mxfp4"] as const) {
    using to = new TemporaryDirectory();
    await run(from.path, to.path, scheme, { scales: someScales(openCheckpoint(from.path)) });
    const { source } = openCheckpoint(to.path);
    assert(new Decoder(source).matrix(source.tree.layers[0]!.down[1]!.weight).every((value) => value === 0));
  }
});
