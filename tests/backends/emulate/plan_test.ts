import { mappedBytes } from "../../../src/backends/emulate/mapped_bytes.ts";
import { addressOf, merge, OS_PAGE, planMemories } from "../../../src/backends/emulate/plan.ts";
import type { LinearSource, MatrixSource, ModelSource, VectorSource } from "../../../src/checkpoint/source.ts";
import { FailureError } from "../../../src/errors.ts";
import { NO_QDQ } from "../../../src/formats/input.ts";
import { assert, assertEquals, assertThrows } from "../../assert.ts";

Deno.test("merge() joins ranges that touch and keeps others apart", () => {
  const spans = [
    { file: 0, offset: 100, bytes: 10 },
    { file: 0, offset: 0, bytes: 50 },
    { file: 0, offset: 50, bytes: 20 },
    { file: 1, offset: 70, bytes: 5 },
    { file: 0, offset: 105, bytes: 3 },
  ];
  assertEquals(merge(spans, false), [
    { file: 0, offset: 0, bytes: 70 },
    { file: 0, offset: 100, bytes: 10 },
    { file: 1, offset: 70, bytes: 5 },
  ]);
});

Deno.test("merge() widens to pages for mapping and joins what shares a page", () => {
  const spans = [
    { file: 0, offset: 10, bytes: 10 },
    { file: 0, offset: 4000, bytes: 200 },
    { file: 0, offset: 3 * OS_PAGE + 1, bytes: 1 },
  ];
  assertEquals(merge(spans, true), [
    { file: 0, offset: 0, bytes: 2 * OS_PAGE },
    { file: 0, offset: 3 * OS_PAGE, bytes: OS_PAGE },
  ]);
});

/** A model whose layers are `layerBytes` of weights each, one after another in one file. */
function model(layers: number, layerBytes: number): ModelSource {
  let at = 8;
  const matrix = (bytes: number): MatrixSource => {
    const offset = at;
    at += bytes;
    return {
      name: `at ${offset}`,
      format: "bf16",
      rows: 1,
      cols: bytes / 2,
      transposed: false,
      file: 0,
      offset,
      rowBytes: bytes,
      rowStride: bytes,
      scale: { kind: "none" },
    };
  };
  const linear = (bytes: number): LinearSource => ({
    weight: matrix(bytes),
    bias: null,
    input: NO_QDQ,
    multipliesCodes: false,
  });
  const vector = (): VectorSource => {
    const offset = at;
    at += 64;
    return { name: `at ${offset}`, format: "bf16", length: 32, file: 0, offset };
  };
  const tree = {
    embedding: matrix(1000),
    layers: Array.from({ length: layers }, () => ({
      inputNorm: vector(),
      q: linear(layerBytes),
      k: linear(64),
      v: linear(64),
      o: linear(64),
      sinks: vector(),
      postNorm: vector(),
      router: linear(64),
      gateUp: [linear(64)],
      down: [linear(64)],
    })),
    norm: vector(),
    head: linear(1000),
  };
  return { files: [{ path: "model", bytes: at }], tree, kvScales: tree.layers.map(() => ({ k: 1, v: 1 })) };
}

Deno.test("mappedBytes() counts the pages of as many linears as a checkpoint may have, shared ones once", () => {
  const source = model(16_384, 64), { bytes } = source.files[0]!;
  assertEquals(mappedBytes([source]), Math.ceil(bytes / OS_PAGE) * OS_PAGE);
  assertEquals(mappedBytes([source, source]), mappedBytes([source]));
});

for (const mapped of [false, true]) {
  Deno.test(`planMemories() cuts a model into memories of whole layers (${mapped ? "mapped" : "read"})`, () => {
    const source = model(6, 200_000);
    const capacity = 700_000;
    const plan = planMemories({ source, areasEnd: 100_000, cacheBytes: () => 10_000, mapped, capacity });
    assert(plan.memories.length > 1, "one memory cannot hold it");
    assertEquals(plan.memoryOfLayer.length, 6);
    assertEquals([...plan.memoryOfLayer].sort((a, b) => a - b), [...plan.memoryOfLayer], "stages are in layer order");
    source.tree.layers.forEach((layer, i) => {
      const memory = plan.memories[plan.memoryOfLayer[i]!]!;
      assert(memory.bytes <= capacity);
      const start = addressOf(memory, 0, layer.q.weight.offset);
      const end = addressOf(memory, 0, layer.down[0]!.weight.offset + 63);
      assertEquals(
        end - start,
        layer.down[0]!.weight.offset + 63 - layer.q.weight.offset,
        "a layer's bytes stay together",
      );
      assert(memory.caches.get(i)! >= 100_000, "the cache lies after the common areas");
      assert(memory.caches.get(i)! + 10_000 <= memory.runs[0]!.address, "weights lie after the caches");
      if (mapped) assertEquals((start - layer.q.weight.offset) % OS_PAGE, 0);
    });
  });
}

Deno.test("planMemories() counts weight bytes once", () => {
  const source = model(2, 1000);
  const plan = planMemories({ source, areasEnd: 0, cacheBytes: () => 0, mapped: false });
  assertEquals(plan.memories.length, 1);
  assertEquals(plan.weightBytes, source.files[0]!.bytes - 8);
});

Deno.test("planMemories() names the layer that does not fit", () => {
  const source = model(2, 900_000);
  assertThrows(
    () => planMemories({ source, areasEnd: 0, cacheBytes: () => 0, mapped: false, capacity: 500_000 }),
    FailureError,
    "layer 0 needs",
  );
});

Deno.test("addressOf() refuses bytes that are not in the memory", () => {
  const source = model(1, 1000);
  const plan = planMemories({ source, areasEnd: 0, cacheBytes: () => 0, mapped: false });
  assertThrows(() => addressOf(plan.memories[0]!, 0, 0), Error, "not in this memory");
});
