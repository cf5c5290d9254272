/** Features that do not fill MX blocks: no layout has room for them, whatever lies in the last block. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { type Layout, type QuarkOptions, type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals } from "../assert.ts";
import { refusal, rewrite, type StoredNumbers, TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

const SHAPE: Shape = { ...SHAPES.tiny, layers: 1, hidden: 64, intermediate: 64, experts: 2, topK: 2, vocab: 40 };
const EXPERTS = "model.layers.0.mlp.experts";
const CASES: [Layout, QuarkOptions, tensor: string][] = [
  ["hf_mxfp4", {}, `${EXPERTS}.down_proj_blocks`],
  ["original", {}, "block.0.mlp.mlp2_weight.blocks"],
  ["quark", { experts: "blocks" }, `${EXPERTS}.down_proj_blocks`],
  ["quark", { experts: "fused" }, `${EXPERTS}.down_proj.weight`],
  ["quark", { experts: "each" }, `${EXPERTS}.0.down_proj.weight`],
  ["quark", { experts: "each", weights: "mxfp6_e2m3" }, `${EXPERTS}.0.down_proj.weight`],
];

for (const [layout, quark, tensor] of CASES) {
  Deno.test(`layout ${layout} with ${JSON.stringify(quark)} refuses input features that leave a block unfilled`, () => {
    // With more features than whole blocks, and with fewer than the blocks that are stored.
    for (const intermediate of [80, 48]) {
      using dir = new TemporaryDirectory();
      makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout, quark });
      const rows = (size: number) => size === 2 * SHAPE.intermediate ? 2 * intermediate : size;
      rewrite(`${dir.path}/model.safetensors`, (tensors) => {
        for (const [name, { dtype, shape, bytes }] of tensors) {
          if (!/gate_up_proj|mlp1/.test(name)) continue;
          const changed = shape.map(rows), count = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);
          const long: StoredNumbers = {
            ...{ dtype, shape: changed },
            bytes: new Uint8Array(bytes.length / count(shape) * count(changed)),
          };
          tensors.set(name, long);
        }
      });
      dir.write("config.json", randomConfig({ ...SHAPE, intermediate }, layout, quark));
      assertEquals(
        refusal(() => openCheckpoint(dir.path), dir.path, InputError),
        `model.safetensors: tensor ${tensor}: expected input features in blocks of 32, but by config.json they are ` +
          intermediate,
      );
    }
  });
}
