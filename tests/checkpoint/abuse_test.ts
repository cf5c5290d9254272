/** Checkpoints that are made to cost time or memory: refused before they do. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { parseJson } from "../../src/read.ts";
import { parseSafetensors } from "../../src/checkpoint/safetensors.ts";
import { QuarkConfig } from "../../src/checkpoint/quark/read_config.ts";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assertEquals } from "../assert.ts";
import { assertRefusedQuickly } from "../quickly.ts";
import { container, TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

const encode = (text: string) => new TextEncoder().encode(text);
/** A header of tensors without elements. */
const emptyTensors = (count: number) =>
  `{${Array.from({ length: count }, (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`).join()}}`;

Deno.test("a header of a million tensors is refused", async () => {
  const header = encode(emptyTensors(1_000_000));
  await assertRefusedQuickly(
    () => parseSafetensors(header, 8 + header.length, "x"),
    /^x: header: expected at most 131072 tensors in a checkpoint, got more/,
  );
});

Deno.test("forty shards that link to one large header are refused at the second", async () => {
  using dir = new TemporaryDirectory();
  dir.write("snapshots/x/config.json", randomConfig(SHAPES.tiny, "hf_mxfp4"));
  const hash = "0".repeat(64);
  dir.write(`blobs/${hash}`, container(emptyTensors(60_000)));
  for (let i = 0; i < 40; i++) Deno.symlinkSync(`../../blobs/${hash}`, `${dir.path}/snapshots/x/${i}.safetensors`);
  await assertRefusedQuickly(() => openCheckpoint(`${dir.path}/snapshots/x`), /tensor 0 stands in two files/);
});

Deno.test("headers that are together too large are refused", async () => {
  using dir = new TemporaryDirectory();
  dir.write("config.json", randomConfig(SHAPES.tiny, "hf_mxfp4"));
  for (let i = 0; i < 3; i++) {
    const header = container(`{"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}${" ".repeat(40_000_000)}`);
    dir.write(`${i}.safetensors`, header);
  }
  await assertRefusedQuickly(() => openCheckpoint(dir.path), /2\.safetensors: header length .* together/);
});

Deno.test("256 layers of 65,536 experts are refused by the config", async () => {
  using dir = new TemporaryDirectory();
  const shape = { ...SHAPES.tiny, layers: 1 };
  makeCheckpoint(dir, new Random(1), { shape, layout: "hf_mxfp4" });
  const config = { ...randomConfig(shape, "hf_mxfp4"), num_hidden_layers: 256, num_local_experts: 65536 };
  dir.write("config.json", { ...config, layer_types: undefined });
  await assertRefusedQuickly(
    () => openCheckpoint(dir.path),
    /num_local_experts: expected at most 65536 experts in all/,
  );
});

Deno.test("an index of many values that are no names is refused at the first", async () => {
  using dir = new TemporaryDirectory();
  dir.write("config.json", randomConfig(SHAPES.tiny, "hf_mxfp4"));
  const entries = Array.from({ length: 100_000 }, (_, i) => `"${i}":1`).join();
  dir.write("model.safetensors.index.json", encode(`{"weight_map":{${entries}}}`));
  await assertRefusedQuickly(() => openCheckpoint(dir.path), /weight_map\.0: expected a shard's file name, got 1/);
});

Deno.test("JSON whose value would fill the memory is refused", async () => {
  await assertRefusedQuickly(() => parseJson(encode(`[${"[],".repeat(3_000_000)}1]`), "x"), /^x: .* arrays, got more/);
  const objects = `[${Array.from({ length: 600_000 }, (_, i) => `{"${i}":1}`)}]`;
  await assertRefusedQuickly(() => parseJson(encode(objects), "x"), /^x: .* objects, got more/);
});

Deno.test("lists of a config that are too long are refused", async () => {
  using dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPES.tiny, layout: "hf_mxfp4" });
  const many = Array.from({ length: 1_000_000 }, () => 1);
  for (const key of ["layer_types", "eos_token_id"]) {
    dir.write("config.json", { ...randomConfig(SHAPES.tiny, "hf_mxfp4"), [key]: many });
    await assertRefusedQuickly(() => openCheckpoint(dir.path), /: expected a list of at most 100000, got 1000000/);
  }
});

const CONFIG = { quant_method: "quark", global_quant_config: null };
const module = (expert: number) => `model.layers.0.mlp.experts.${expert}.gate_up_proj`;
const ask = (config: Record<string, unknown>, modules = 5000) => {
  const quark = new QuarkConfig({ ...CONFIG, ...config }, "c");
  for (let i = 0; i < modules; i++) quark.of([module(i), "model.layers.0.mlp.experts.gate_up_proj"]);
};

Deno.test("patterns that take long together are refused, be they counted or not", async () => {
  for (const key of ["exclude", "layer_quant_config"]) {
    const of = (texts: string[]) => ({
      [key]: key === "exclude" ? texts : Object.fromEntries(texts.map((t) => [t, null])),
    });
    await assertRefusedQuickly(
      () => ask(of(Array.from({ length: 50_000 }, (_, i) => `re:(a|b)*${i}`))),
      /patterns, got 50000/,
    );
    const slow = Array.from({ length: 900 }, (_, i) => `re:${"(.*a|.*e)*".repeat(20)}x${i}`);
    await assertRefusedQuickly(
      () => ask(of(slow)),
      // Expressions are read in exclude alone.
      key === "exclude" ? /expected patterns that can be tried quickly/ : /patterns of file names, got an expression/,
    );
    const globs = Array.from({ length: 900 }, (_, i) => `${"*[a-z]?*.".repeat(50)}${i}`);
    await assertRefusedQuickly(() => ask(of(globs)), /expected patterns that can be tried quickly/);
  }
});

Deno.test("patterns for each layer of a large model are not refused", () => {
  const exclude = Array.from(
    { length: 64 },
    (_, i) => [`*layers.${i}.self_attn*`, `re:model\\.layers\\.${i}\\..*router`],
  ).flat();
  ask({ exclude }, 9300);
});

Deno.test("classes of many entries are looked at once", () => {
  const types = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`nn.Other${i}`, null]));
  ask({ layer_type_quant_config: { ...types, "nn.Linear": null } });
});

Deno.test("90,000 names without special characters are no patterns", () => {
  const exclude = Array.from({ length: 90_000 }, (_, i) => module(i));
  const quark = new QuarkConfig({ ...CONFIG, exclude }, "c");
  assertEquals(quark.of([module(89_999)]).entry, `exclude "${module(89_999)}"`);
});
