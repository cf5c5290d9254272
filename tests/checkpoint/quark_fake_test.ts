/** Scales beside plain weights of a fake-quantized export: which linears went through a format, and of which shape. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { allLinears } from "../../src/checkpoint/source.ts";
import { InputError } from "../../src/errors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { assertEquals } from "../assert.ts";
import { unpack } from "../model/quark_exports.ts";
import { refusal, rewrite, type StoredNumbers, type TemporaryDirectory } from "./container.ts";

const Q = "model.layers.0.self_attn.q_proj", SCALE = `${Q}.weight_scale`;
const OPTIONS = { dtype: "f32", kvCacheDtype: "auto" } as const;

function changed(name: string, change: (tensors: Map<string, StoredNumbers>) => void): TemporaryDirectory {
  const dir = unpack(name);
  rewrite(`${dir.path}/model.safetensors`, change);
  return dir;
}

Deno.test("linears of a fake-quantized export have a scale beside them, routers and the head have none", () => {
  using dir = unpack("fake_mxfp4");
  const { source } = openCheckpoint(dir.path);
  const plain = allLinears(source.tree).filter(({ hasPlainScale }) => !hasPlainScale).map(({ module }) => module);
  assertEquals(plain, ["model.layers.0.mlp.router", "model.layers.1.mlp.router", "lm_head"]);
});

Deno.test("a scale beside plain weights of another shape is refused", () => {
  const shapes: [shape: number[], got: string][] = [
    [[1, 32, 2], "[1, 32, 2]"],
    [[2, 32], "[2, 32]"],
    [[64], "[64]"],
    [[32, 2, 1], "[32, 2, 1]"],
  ];
  for (const [shape, got] of shapes) {
    using dir = changed("fake_mxfp4", (t) => t.set(SCALE, { ...t.get(SCALE)!, shape }));
    const line = refusal(() => openCheckpoint(dir.path), dir.path, InputError);
    const expected = "expected scales [32, 2]";
    assertEquals(line.replace(/got \w+ /, "got "), `model.safetensors: tensor ${SCALE}: ${expected}, got ${got}`);
  }
  for (const shape of [[], [1]]) {
    using dir = changed("fake_fp8", (t) => t.set(SCALE, { ...t.get(SCALE)!, shape }));
    assertEquals(openCheckpoint(dir.path).warnings, []);
  }
});

Deno.test("a scale beside plain weights must be of the format that the config has for them", () => {
  using dir = unpack("fake_fp8");
  const path = `${dir.path}/config.json`, json = JSON.parse(Deno.readTextFileSync(path));
  const line = () => refusal(() => openCheckpoint(dir.path), dir.path, InputError);
  const entry = json.quantization_config.global_quant_config;
  entry.weight = { dtype: "fp4", qscheme: "per_group", group_size: 32, scale_format: "e8m0" };
  dir.write("config.json", json);
  assertEquals(line(), `model.safetensors: tensor ${SCALE}: expected scales [32, 2], got F32 []`);
  entry.weight = { dtype: "fp8_e4m3", qscheme: "per_channel", ch_axis: 0 };
  dir.write("config.json", json);
  assertEquals(line(), `model.safetensors: tensor ${SCALE}: expected scales [32] or [32, 1], got F32 []`);
});

Deno.test("a linear of a fake-quantized export that lacks its scale is refused", () => {
  using dir = changed("fake_mxfp4", (t) => t.delete(SCALE));
  assertEquals(
    refusal(() => planModel(openCheckpoint(dir.path), OPTIONS), dir.path, InputError),
    `config.json: quantization_config.global_quant_config: expected a quantized weight of ${Q}, or exclude to name ` +
      "it, got a plain one: are its inputs plain?",
  );
});
