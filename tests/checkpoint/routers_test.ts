/** NaN and infinities in routers are found wherever they stand. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals } from "../assert.ts";
import { refusal, rewrite, TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

const SHAPE = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };

Deno.test("a number of a router that is none is refused by its place, the first and the last too", () => {
  using dir = new TemporaryDirectory();
  const places = [["weight", 0, 0], ["weight", 2, 63], ["weight", 1, 0], ["bias", 0], ["bias", 2]] as const;
  for (const layer of [0, 1]) {
    for (const [part, ...at] of places) {
      makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "hf_bf16" });
      const name = `model.layers.${layer}.mlp.router.${part}`;
      rewrite(`${dir.path}/model.safetensors`, (tensors) => {
        const { bytes, shape } = tensors.get(name)!, size = bytes.length / shape.reduce((a, b) => a * b, 1);
        const index = at.reduce((sum: number, one, i) => sum * shape[i]! + one, 0);
        bytes.fill(255, index * size, (index + 1) * size);
      });
      assertEquals(
        refusal(() => openCheckpoint(dir.path), dir.path, InputError),
        `model.safetensors: tensor ${name}: expected numbers, got NaN at [${at.join(", ")}]`,
      );
    }
  }
});
