/** Scales beside plain weights of a fake-quantized export: which linears went through a format, and of which shape. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { allLinears } from "../../src/checkpoint/source.ts";
import { InputError } from "../../src/errors.ts";
import { float32ToBf16 } from "../../src/formats/bf16.ts";
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
  const at = (index: number, value: number) => (scale: StoredNumbers) => {
    const values = new Float32Array(scale.bytes.slice().buffer);
    values[index] = value;
    return values;
  };
  // Only the first row of weights is compared with its scales.
  for (const value of [2 ** -127, 2 ** 127, 1]) {
    using dir = set("F32", (scale) => new Uint8Array(at(7, value)(scale).buffer));
    openCheckpoint(dir.path);
  }
  const bf16 = (values: Float32Array) => new Uint8Array(Uint16Array.from(values, float32ToBf16).buffer);
  const f16 = (values: Float32Array) => new Uint8Array(Float16Array.from(values).buffer);
  for (const [dtype, bytes] of [["BF16", bf16], ["F16", f16]] as const) {
    using dir = set(dtype, (scale) => bytes(at(7, 1)(scale)));
    openCheckpoint(dir.path);
    using bad = set(dtype, (scale) => bytes(at(7, 1.5)(scale)));
    const line = refusal(() => openCheckpoint(bad.path), bad.path, InputError);
    assertEquals(line.endsWith("as e8m0 has them, got 1.5 at [3, 1]"), true, line);
  }
  for (const dtype of ["U8", "F8_E8M0"]) {
    const bytes = (scale: StoredNumbers) => Uint8Array.from(at(7, 1)(scale), (value) => Math.log2(value) + 127);
    using dir = set(dtype, bytes);
    openCheckpoint(dir.path);
    using bad = set(dtype, (scale) => bytes(scale).fill(255, 63));
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

Deno.test("weights that AMD Quark would change by the scale beside them are refused, and no others", () => {
  // What becomes of AMD Quark 0.13's own logits (NMSE) where q_proj's scale is multiplied.
  const quark: Readonly<Record<string, readonly [factor: number, nmse: number][]>> = {
    fake_mxfp4: [[1 / 16, 1.15], [1 / 2, 0.485], [1, 0], [2, 0.539], [64, 1.65]],
    fake_fp8: [[1 / 16, 1.09], [1 / 2, 0.132], [0.9, 0.0442], [1, 0], [1.25, 0.0677], [2, 0], [64, 0]],
  };
  for (const [name, cases] of Object.entries(quark)) {
    for (const [factor, nmse] of cases) {
      using dir = changed(name, (t) => {
        const scale = t.get(SCALE)!, values = new Float32Array(scale.bytes.slice().buffer);
        t.set(SCALE, { ...scale, bytes: floats(...values.map((value) => value * factor)) });
      });
      if (nmse === 0) {
        assertEquals(openCheckpoint(dir.path).warnings, []);
        continue;
      }
      const line = refusal(() => openCheckpoint(dir.path), dir.path, InputError);
      const expected = `expected numbers that ${SCALE} does not change, as AMD Quark quantizes them by it, got `;
      assertEquals(line.startsWith(`model.safetensors: tensor ${Q}.weight: ${expected}`), true, line);
      assertEquals(/ at \[0, \d+\], which becomes \S+$/.test(line), true, line);
    }
  }
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
