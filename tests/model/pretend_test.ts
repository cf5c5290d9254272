/** Keys and values that are made up for measurements at a depth. */
import { roundToBf16 } from "../../src/formats/bf16.ts";
import type { ModelConfig } from "../../src/checkpoint/model_config.ts";
import type { Backend, Batch, Tensor } from "../../src/model/backend.ts";
import { GptOss, type TensorName } from "../../src/model/gpt_oss.ts";
import { assert, assertEquals } from "../assert.ts";

Deno.test("pretend() fills the cache of every layer with small bf16 numbers that nobody takes for zeros", () => {
  const key = { width: 20 } as Tensor, value = { width: 12 } as Tensor, calls: unknown[] = [];
  const written = new Map<Tensor, Float32Array>();
  const backend = {
    tensors: { key, value },
    begin: (batch: Batch) => calls.push(batch),
    write: (tensor: Tensor, values: Float32Array) => written.set(tensor, values),
    store: (layer: number, k: Tensor, v: Tensor) => calls.push([layer, k === key, v === value]),
  } as unknown as Backend<TensorName>;
  const batch = { ids: new Int32Array(50) } as Batch;
  new GptOss(backend, { layers: 3, topK: 4 } as ModelConfig).pretend(batch);
  assertEquals(calls, [batch, [0, true, true], [1, true, true], [2, true, true]]);
  for (const tensor of [key, value]) {
    const values = [...written.get(tensor)!];
    assertEquals(values.length, 50 * tensor.width);
    assert(values.every((x) => Math.abs(x) <= 1 && roundToBf16(x) === x), "numbers that bf16 does not have");
    // All 255 of them, of both signs, nearly equally often.
    assertEquals(new Set(values).size, 255);
    assert(values.filter((x) => x === 0).length <= values.length / 100, "many zeros");
  }
});
