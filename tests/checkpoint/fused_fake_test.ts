/** Fused experts of a fake-quantized export: plain weights of all in one tensor, with their scales beside it. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { type QuarkOptions, type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { assertEquals } from "../assert.ts";
import { refusal, rewrite, type StoredNumbers, TemporaryDirectory } from "./container.ts";
import { Decoder, ELEMENTS } from "./decode.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";
import { bf16Bytes } from "./store.ts";

const SHAPE: Shape = { ...SHAPES.tiny, layers: 1, hidden: 64, intermediate: 48, experts: 3, topK: 2, vocab: 40 };
const QUARK: QuarkOptions = { weights: "bf16", attention: "bf16", experts: "fused" };
/** Rows and columns; the last block of a row of down_proj is half a one. */
const PROJECTIONS = [["gate_up_proj", 96, 64], ["down_proj", 64, 48]] as const;
const EXPERTS = "model.layers.0.mlp.experts", FUSED = `${EXPERTS}.gate_up_proj`;
/** Of each expert; times a code of FP8 they have no more bits than bfloat16. */
const SCALES = [0.5, 3, 0.15625];

const floats = (shape: readonly number[], values: readonly number[]): StoredNumbers => ({
  ...{ dtype: "F32", shape },
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});

/** How a case's weights are quantized, and what lies beside them. */
interface Case {
  readonly element: "fp8_e4m3" | "mxfp4";
  readonly weight: Readonly<Record<string, unknown>>;
  /** Of an expert's row and block. */
  readonly scaleOf: (expert: number, row: number, block: number) => number;
  readonly scale: (rows: number, cols: number) => StoredNumbers;
}

const FP8 = { dtype: "fp8_e4m3", qscheme: "per_tensor", is_dynamic: false };
const blockByte = (expert: number, row: number, block: number) => 120 + (expert * 5 + row * 3 + block) % 11;
const all = <T>(rows: number, blocks: number, of: (expert: number, row: number, block: number) => T): T[] =>
  SCALES.flatMap((_, expert) =>
    Array.from({ length: rows * blocks }, (_, i) => of(expert, Math.floor(i / blocks), i % blocks))
  );
const rowScale = (expert: number, row: number) => SCALES[(expert + row) % 3]!;
const CASES: Readonly<Record<string, Case>> = {
  "one scale": {
    ...{ element: "fp8_e4m3", weight: FP8, scaleOf: () => 3 },
    scale: () => floats([1], [3]),
  },
  "a scale of each": {
    ...{ element: "fp8_e4m3", weight: FP8, scaleOf: (expert) => SCALES[expert]! },
    scale: () => floats([3], SCALES),
  },
  "a scale of each row": {
    ...{ element: "fp8_e4m3", weight: { dtype: "fp8_e4m3", qscheme: "per_channel", ch_axis: 0 }, scaleOf: rowScale },
    scale: (rows) => floats([3, rows], all(rows, 1, rowScale)),
  },
  "scales of blocks": {
    element: "mxfp4",
    weight: { dtype: "fp4", qscheme: "per_group", group_size: 32, scale_format: "e8m0" },
    scaleOf: (expert, row, block) => 2 ** (blockByte(expert, row, block) - 127),
    scale: (rows, cols) => ({
      ...{ dtype: "U8", shape: [3, rows, Math.ceil(cols / 32)] },
      bytes: Uint8Array.from(all(rows, Math.ceil(cols / 32), blockByte)),
    }),
  },
};

/** An export of a case, and what its experts' weights are by projection: [E, rows, cols]. */
function exported(
  { element, weight, scaleOf, scale }: Case,
  change: (tensors: Map<string, StoredNumbers>) => void = () => {},
  config: Readonly<Record<string, unknown>> = {},
) {
  const dir = new TemporaryDirectory(), random = new Random(3), { codes, value } = ELEMENTS[element];
  makeCheckpoint(dir, random, { shape: SHAPE, layout: "quark", quark: QUARK });
  const weights = PROJECTIONS.map(([, rows, cols]) =>
    Float32Array.from({ length: 3 * rows * cols }, (_, i) => {
      const row = Math.floor(i / cols);
      return value(random.below(codes)) * scaleOf(Math.floor(row / rows), row % rows, Math.floor(i % cols / 32));
    })
  );
  rewrite(`${dir.path}/model.safetensors`, (tensors) => {
    for (const [i, [projection, rows, cols]] of PROJECTIONS.entries()) {
      const name = `${EXPERTS}.${projection}.weight`;
      tensors.set(name, { ...tensors.get(name)!, bytes: bf16Bytes(weights[i]!) });
      tensors.set(`${name}_scale`, scale(rows, cols));
    }
    change(tensors);
  });
  const quantization_config = {
    ...{ quant_method: "quark", export: { weight_format: "fake_quantized" }, global_quant_config: { weight } },
    exclude: ["*self_attn*", "*router", "lm_head"],
    ...config,
  };
  dir.write("config.json", { ...randomConfig(SHAPE, "quark", QUARK), quantization_config });
  return { dir, weights };
}

/** The line that refuses it. */
function line(...args: Parameters<typeof exported>): string {
  using dir = exported(...args).dir;
  return refusal(() => openCheckpoint(dir.path), dir.path, InputError).replace("model.safetensors: tensor ", "");
}

for (const [what, one] of Object.entries(CASES)) {
  Deno.test(`fused plain weights that went through a format by ${what} are taken as they are`, () => {
    const { dir: made, weights } = exported(one);
    using dir = made;
    const checkpoint = openCheckpoint(dir.path), [layer] = checkpoint.source.tree.layers;
    const decoder = new Decoder(checkpoint.source);
    for (const [i, linears] of [layer!.gateUp, layer!.down].entries()) {
      assertEquals(linears.map(({ hasPlainScale }) => hasPlainScale), [true, true, true]);
      const got = linears.flatMap(({ weight }) => [...decoder.matrix(weight)]);
      assertEquals(Float32Array.from(got), weights[i]);
    }
    assertEquals(layer!.q.hasPlainScale, undefined);
    assertEquals(checkpoint.warnings, []);
    // The plan knows that they were quantized.
    assertEquals(planModel(checkpoint, { dtype: "f32", kvCacheDtype: "auto" }).plan.warnings, []);
  });
}

Deno.test("fused plain weights are held to the scale of their own expert", () => {
  const swapped = line(CASES["a scale of each"]!, (t) => t.set(`${FUSED}.weight_scale`, floats([3], [0.5, 3, 3])));
  const expected = `expected numbers that ${FUSED}.weight_scale does not change, as AMD Quark quantizes them by it`;
  assertEquals(swapped.replace(/ got .*/, ""), `${FUSED}.weight: ${expected},`);
  assertEquals(/ at \[2, 0, \d+\], which becomes \S+$/.test(swapped), true, swapped);
});

Deno.test("fused plain weights are held to the format of their own expert, by any of its names", () => {
  const entry = (weight: Case["weight"]) => ({ weight });
  const each = CASES["a scale of each"]!;
  // A number of the second expert that is none of FP8 times 3: 1.03125 is the next one.
  const other = (t: Map<string, StoredNumbers>) => {
    const name = `${FUSED}.weight`, { bytes } = t.get(name)!, numbers = new Uint16Array(bytes.slice().buffer);
    numbers[96 * 64 + 5] = 0x3f81;
    t.set(name, { ...t.get(name)!, bytes: new Uint8Array(numbers.buffer) });
  };
  using apart = exported(each, other, { exclude: ["*self_attn*", "*router", "lm_head", "*.experts.1.*"] }).dir;
  assertEquals(openCheckpoint(apart.path).source.tree.layers[0]!.gateUp[1]!.hasPlainScale, true);
  assertEquals(
    /, got 1\.0078125 at \[1, 0, 5\], which becomes 1\.03125$/.test(line(each, other)),
    true,
    line(each, other),
  );
  // What the config has for others says nothing of them.
  const names = [FUSED, EXPERTS, "*.experts.*.gate_up_proj"];
  for (const name of names) {
    const config = {
      global_quant_config: entry(CASES["scales of blocks"]!.weight),
      layer_quant_config: { [name]: entry(FP8), "*down_proj": entry(FP8) },
    };
    using dir = exported(each, () => {}, config).dir;
    assertEquals(openCheckpoint(dir.path).warnings, []);
    assertEquals(/^(\S+): .* got 1\.0078125 at \[1, 0, 5\]/.exec(line(each, other, config))?.[1], `${FUSED}.weight`);
  }
});

Deno.test("plain weights with a scale beside them are refused where no config says that they were multiplied", () => {
  using dir = exported(CASES["a scale of each"]!).dir;
  const { quantization_config: _, ...config } = randomConfig(SHAPE, "quark", QUARK);
  dir.write("config.json", config);
  assertEquals(
    refusal(() => openCheckpoint(dir.path), dir.path, InputError),
    `model.safetensors: tensor ${FUSED}.weight_scale: expected none beside BF16 weights, or weight_format ` +
      '"fake_quantized", got F32 [3]',
  );
});
