/** Which of AMD Quark's FP8 weights and inputs a scale is for, as its shape says, and of which shape weights are. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { InputError } from "../../src/errors.ts";
import { type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assertEquals } from "../assert.ts";
import { unpack } from "../model/quark_exports.ts";
import { refusal, rewrite, type StoredNumbers, TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

const SHAPE: Shape = { ...SHAPES.tiny, layers: 1, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };
const V = "model.layers.0.self_attn.v_proj", FUSED = "model.layers.0.mlp.experts.gate_up_proj";
const FILE = "model.safetensors: tensor";

/** So many different scales. */
const scales = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => 1 + i / 256);
const stored = (shape: number[], values: Float32Array): StoredNumbers => ({
  dtype: "F32",
  shape,
  bytes: new Uint8Array(values.slice().buffer),
});

/** A checkpoint whose attention and fused experts are FP8. */
function changed(change: (tensors: Map<string, StoredNumbers>) => void): TemporaryDirectory {
  const dir = new TemporaryDirectory();
  const quark = { weights: "fp8", attention: "fp8", experts: "fused" } as const;
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "quark", quark });
  rewrite(`${dir.path}/model.safetensors`, change);
  return dir;
}

/** How a linear's weights, or those of each expert, are scaled by a tensor. */
function read(name: string, shape: number[], values: Float32Array): unknown {
  using dir = changed((t) => t.set(`${name}.weight_scale`, stored(shape, values)));
  const layer = openCheckpoint(dir.path).source.tree.layers[0]!;
  return (name === V ? [layer.v] : layer.gateUp).map(({ weight: { scale } }) => scale);
}

const one = (value: number) => ({ kind: "tensor", value });
const rows = (values: Float32Array) => ({ kind: "row", values });

/** The line that refuses another tensor. */
function refused(name: string, tensor: StoredNumbers): string {
  using dir = changed((t) => t.set(name, tensor));
  return refusal(() => openCheckpoint(dir.path), dir.path, InputError);
}

Deno.test("scales of a linear are one number or one of each row, never of columns", () => {
  const all = scales(64);
  for (const shape of [[], [1], [1, 1]]) assertEquals(read(V, shape, scales(1)), [one(1)]);
  for (const shape of [[64], [64, 1]]) assertEquals(read(V, shape, all), [rows(all)]);
  for (const [shape, got] of [[[1, 64], "[1, 64]"], [[8, 8], "[8, 8]"], [[1, 64, 1], "[1, 64, 1]"]] as const) {
    assertEquals(
      refused(`${V}.weight_scale`, stored([...shape], all)),
      `${FILE} ${V}.weight_scale: expected one number, or scales [64], got F32 ${got}`,
    );
  }
});

Deno.test("scales of fused experts are one number for all, one for each, or one of each expert's rows", () => {
  const all = scales(3 * 64), each = scales(3);
  for (const shape of [[], [1], [1, 1]]) assertEquals(read(FUSED, shape, scales(1)), [one(1), one(1), one(1)]);
  for (const shape of [[3], [3, 1], [3, 1, 1]]) assertEquals(read(FUSED, shape, each), [...each].map(one));
  const byRow = [0, 1, 2].map((expert) => rows(all.slice(64 * expert, 64 * (expert + 1))));
  for (const shape of [[3, 64], [3, 64, 1]]) assertEquals(read(FUSED, shape, all), byRow);
  const cases = [[[1, 3], each, "[1, 3]"], [[64, 3], all, "[64, 3]"], [[3, 1, 64], all, "[3, 1, 64]"]] as const;
  for (const [shape, values, got] of cases) {
    assertEquals(
      refused(`${FUSED}.weight_scale`, stored([...shape], values)),
      `${FILE} ${FUSED}.weight_scale: expected one number, or scales [3] or [3, 64], got F32 ${got}`,
    );
  }
});

Deno.test("scales of the inputs of fused experts are one for all or one for each, by either name, not both", () => {
  const each = [...scales(3)];
  for (const name of [`${FUSED}.input_scale`, `${FUSED}_input_scale`]) {
    const inputs = (shape: number[], values: Float32Array) => {
      using dir = changed((t) => t.set(name, stored(shape, values)));
      return openCheckpoint(dir.path).source.tree.layers[0]!.gateUp.map(({ inputScale }) => inputScale);
    };
    for (const shape of [[], [1]]) assertEquals(inputs(shape, Float32Array.of(0.75)), [0.75, 0.75, 0.75]);
    for (const shape of [[3], [3, 1]]) assertEquals(inputs(shape, scales(3)), each);
    assertEquals(
      refused(name, stored([2], scales(2))),
      `${FILE} ${name}: expected BF16, F16, F32 or F64 with 1 or 3 elements, got F32 [2]`,
    );
  }
  using both = changed((t) => {
    for (const name of [`${FUSED}.input_scale`, `${FUSED}_input_scale`]) t.set(name, stored([3], scales(3)));
  });
  assertEquals(
    refusal(() => openCheckpoint(both.path), both.path, InputError),
    `${FILE} ${FUSED}_input_scale: expected no other scales of the inputs that ${FUSED}.input_scale is of, got F32 [3]`,
  );
});

Deno.test("FP8 weights are of the shape that the config says, however many they are", () => {
  const codes = (shape: number[]): StoredNumbers => ({
    dtype: "F8_E4M3",
    shape,
    bytes: new Uint8Array(shape.reduce((product, size) => product * size, 1)),
  });
  const wrong: [name: string, shape: number[], expected: string, got: string][] = [
    [V, [32, 128], "[64, 64]", "[32, 128]"],
    [FUSED, [192, 64], "[3, 64, 64]", "[192, 64]"],
    ["model.layers.0.mlp.experts.down_proj", [3, 32, 64], "[3, 64, 32]", "[3, 32, 64]"],
  ];
  for (const [name, shape, expected, got] of wrong) {
    assertEquals(
      refused(`${name}.weight`, codes(shape)),
      `${FILE} ${name}.weight: expected F8_E4M3 ${expected}, got F8_E4M3 ${got}`,
    );
  }
});

Deno.test("scales of rows beside plain weights are taken, and any that the config has no format for", () => {
  const name = "model.layers.0.self_attn.q_proj.weight_scale";
  for (const shape of [[32], [32, 1]]) {
    using dir = unpack("fake_fp8");
    const path = `${dir.path}/config.json`, json = JSON.parse(Deno.readTextFileSync(path));
    const { quantization_config: config } = json;
    config.layer_quant_config = {
      "*layers.0*q_proj": {
        ...config.global_quant_config,
        weight: { dtype: "fp8_e4m3", qscheme: "per_channel", ch_axis: 0 },
      },
    };
    dir.write("config.json", json);
    rewrite(`${dir.path}/model.safetensors`, (t) => {
      const { bytes } = t.get(name)!, [value] = new Float32Array(bytes.slice().buffer);
      t.set(name, stored(shape, new Float32Array(32).fill(value!)));
    });
    const taken = () => openCheckpoint(dir.path).source.tree.layers[0]!.q.hasPlainScale;
    assertEquals(taken(), true);
    config.exclude = [...config.exclude ?? [], "*q_proj"];
    dir.write("config.json", json);
    assertEquals(taken(), true);
  }
});
