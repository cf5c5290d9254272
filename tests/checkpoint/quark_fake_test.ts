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

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

Deno.test("scales of blocks beside plain weights are powers of two that e8m0 has, bytes or numbers", () => {
  const set = (dtype: string, bytes: (scale: StoredNumbers) => Uint8Array) =>
    changed("fake_mxfp4", (t) => t.set(SCALE, { ...t.get(SCALE)!, dtype, bytes: bytes(t.get(SCALE)!) }));
  const wrong = [NaN, Infinity, -Infinity, 0, -0, -0.5, 0.3, 1.0000001, 2 ** -128, 1e-45, 3 * 2 ** -127];
  for (const value of wrong) {
    using dir = set("F32", ({ bytes }) => {
      const values = new Float32Array(bytes.slice().buffer);
      values[7] = value;
      return new Uint8Array(values.buffer);
    });
    assertEquals(
      refusal(() => openCheckpoint(dir.path), dir.path, InputError),
      `model.safetensors: tensor ${SCALE}: expected powers of two from 2^-127 to 2^127, as e8m0 has them, got ` +
        `${Math.fround(value)} at [3, 1]`,
    );
  }
  const all = (value: number) => () => floats(...Array.from({ length: 64 }, () => value));
  for (const value of [2 ** -127, 2 ** 127, 1]) {
    using dir = set("F32", all(value));
    openCheckpoint(dir.path);
  }
  const bf16 = (bits: number) => () => new Uint8Array(Uint16Array.from({ length: 64 }, () => bits).buffer);
  for (const [dtype, right, other] of [["BF16", 0x3f80, 0x3fc0], ["F16", 0x3c00, 0x3e00]] as const) {
    using dir = set(dtype, bf16(right));
    openCheckpoint(dir.path);
    using bad = set(dtype, bf16(other));
    const line = refusal(() => openCheckpoint(bad.path), bad.path, InputError);
    assertEquals(line.endsWith("as e8m0 has them, got 1.5 at [0, 0]"), true, line);
  }
  for (const dtype of ["U8", "F8_E8M0"]) {
    using dir = set(dtype, () => new Uint8Array(64).fill(127));
    openCheckpoint(dir.path);
    using bad = set(dtype, () => new Uint8Array(64).fill(127).fill(255, 63));
    assertEquals(
      refusal(() => openCheckpoint(bad.path), bad.path, InputError),
      `model.safetensors: tensor ${SCALE}: expected e8m0 scales from 0 to 254, got 255 (NaN) at [31, 1]`,
    );
  }
  using other = set("F8_E4M3", () => new Uint8Array(64));
  assertEquals(
    refusal(() => openCheckpoint(other.path), other.path, InputError),
    `model.safetensors: tensor ${SCALE}: expected U8, F8_E8M0, BF16, F16 or F32 [32, 2], got F8_E4M3 [32, 2]`,
  );
});

Deno.test("other scales beside plain weights are finite and above 0", () => {
  for (const value of [NaN, Infinity, 0, -1]) {
    using dir = changed("fake_fp8", (t) => t.set(SCALE, { ...t.get(SCALE)!, bytes: floats(value) }));
    assertEquals(
      refusal(() => openCheckpoint(dir.path), dir.path, InputError),
      `model.safetensors: tensor ${SCALE}: expected finite scales above 0, got ${value}`,
    );
  }
});

Deno.test("a scale beside plain weights of any shape is refused with all shapes that it may have", () => {
  using dir = changed("fake_fp8", (t) => t.set(SCALE, { dtype: "F32", shape: [3], bytes: floats(1, 1, 1) }));
  assertEquals(
    refusal(() => openCheckpoint(dir.path), dir.path, InputError),
    `model.safetensors: tensor ${SCALE}: expected scales [] or [1], got F32 [3]`,
  );
});

Deno.test("a linear of a fake-quantized export that lacks its scale is refused", () => {
  using dir = changed("fake_mxfp4", (t) => t.delete(SCALE));
  assertEquals(
    refusal(() => planModel(openCheckpoint(dir.path), OPTIONS), dir.path, InputError),
    `config.json: quantization_config.global_quant_config: expected a quantized weight of ${Q}, or exclude to name ` +
      "it, got a plain one: are its inputs plain?",
  );
});
