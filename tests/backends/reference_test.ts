/**
 * The reference backend against arithmetic that was done elsewhere: by hand, or by the defining formula in another
 * form.
 */
import { attendHead, softmaxWithSink } from "../../src/backends/reference/attention.ts";
import { CacheHalf, throughCache } from "../../src/backends/reference/cache.ts";
import { combine } from "../../src/backends/reference/combine.ts";
import { dot, prepareRow } from "../../src/backends/reference/linear.ts";
import { openReference } from "../../src/backends/reference/open.ts";
import { rmsNorm } from "../../src/backends/reference/rms_norm.ts";
import { rotate } from "../../src/backends/reference/rotate.ts";
import { route } from "../../src/backends/reference/route.ts";
import { swiglu } from "../../src/backends/reference/swiglu.ts";
import { rowScale, WeightFiles } from "../../src/backends/reference/weight_files.ts";
import type { OpenRequest } from "../../src/model/backend.ts";
import { InputError } from "../../src/errors.ts";
import { workspace } from "../../src/model/gpt_oss.ts";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "../assert.ts";
import { normals } from "../formats/seeded.ts";
import { consecutive } from "./compare.ts";
import { OPERATION_CASES } from "./operations.ts";
import {
  type RandomModel,
  randomModel,
  SourceFileBuilder,
  type Storage,
  STORAGES,
  testConfig,
} from "./random_model.ts";

const f32 = Math.fround;

function assertClose(actual: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
  assertEquals(actual.length, expected.length);
  expected.forEach((value, i) => assertAlmostEquals(actual[i]!, value, tolerance, `element ${i}`));
}

Deno.test("swiglu() gives the check values", () => {
  // (gate, up) -> result
  const cases = [
    [1, 0, 0.84579577],
    [1, 1, 1.69159153],
    [-1, 2, -0.46261270],
    [8, 8, 55.99962503],
    [-3, -9, 0.10842786],
    [7, -1, 0],
    [0, 0, 0],
  ] as const;
  const out = new Float32Array(cases.length);
  swiglu(out, Float32Array.from(cases.flatMap(([gate, up]) => [gate, up])), 1.702, 7, f32);
  assertClose(out, cases.map(([, , result]) => result), 4e-6);
});

Deno.test("softmaxWithSink() gives the check values, and uses the sink as it is", () => {
  assertClose(softmaxWithSink([1, 2, 0.5], 1.5), [0.1674051, 0.4550542, 0.1015363], 1e-7);
  assertClose(softmaxWithSink([3], -Infinity), [1], 0);
  assertClose(softmaxWithSink([1000, 999], 998), [0.66524096, 0.24472847], 1e-8);
  // The largest is subtracted wherever it is: exp(1000) is no float64.
  assertClose(softmaxWithSink([1000, 0], 0), [1, 0], 0);
  assertClose(softmaxWithSink([0, 1000], 0), [0, 1], 0);
  assertClose(softmaxWithSink([0], 1000), [0], 0);
});

Deno.test("attendHead() scales scores by 1 / sqrt(D), but not the sink", () => {
  // D = 4: scores 2 * [1, 2, 0.5] / 2.
  const query = Float32Array.of(2, 0, 0, 0);
  const keys = [1, 2, 0.5].map((score) => Float32Array.of(score, 9, 9, 9));
  const values = [[1, 0, 0, 10], [0, 1, 0, 10], [0, 0, 1, 10]].map((v) => Float32Array.from(v));
  const out = new Float32Array(4);
  attendHead(out, query, keys, values, 1.5, f32);
  assertClose(out, [0.1674051, 0.4550542, 0.1015363, 7.239956], 1e-6);
});

Deno.test("route() gives the check values, best first", () => {
  const { experts, weights } = route(Float32Array.of(-5, 0.5, 2, -1, 1, -9), 4);
  assertEquals(experts, [2, 4, 1, 3]);
  assertClose(weights, [0.6094600, 0.2242078, 0.1359889, 0.0303432], 1e-7);
  assertEquals(weights, weights.map(f32));
  // exp(1000) is no float64.
  assertEquals(route(Float32Array.of(0, 1000, 1), 3), { experts: [1, 2, 0], weights: [1, 0, 0] });
});

Deno.test("route() takes the lower index of equal logits, and NaN last", () => {
  assertEquals(route(Float32Array.of(1, 2, 1, 2, 1), 4).experts, [1, 3, 0, 2]);
  assertEquals(route(Float32Array.of(-0, 0, -0, 0), 3).experts, [0, 1, 2]);
  const coarse = Float32Array.from({ length: 128 }, (_, e) => e * 5 % 8);
  assertEquals(route(coarse, 18).experts, [...Array.from({ length: 16 }, (_, i) => 3 + 8 * i), 6, 14]);
  assertEquals(route(Float32Array.of(NaN, -1, NaN, -2), 2).experts, [1, 3]);
});

Deno.test("rmsNorm() has epsilon inside the root and the mean over the width", () => {
  const out = new Float32Array(2);
  rmsNorm(out, Float32Array.of(3, 4), Float32Array.of(1, 2), 0, f32);
  assertClose(out, [3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)], 1e-6);
  rmsNorm(out, Float32Array.of(0, 0), Float32Array.of(1, 2), 1e-5, f32);
  assertEquals([...out], [0, 0]);
  rmsNorm(out, Float32Array.of(0.001, -0.001), Float32Array.of(1, 1), 1e-6, f32);
  assertClose(out, [Math.SQRT1_2, -Math.SQRT1_2], 1e-6);
});

Deno.test("rotate() turns pairs that are half a head apart", () => {
  // Two heads of four: pair 0 by 90 degrees, pair 1 not at all.
  const row = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  rotate(row, Float32Array.of(0, 1), Float32Array.of(1, 0), f32);
  assertEquals([...row], [-3, 2, 1, 4, -7, 6, 5, 8]);
});

Deno.test("combine() weighs the experts' rows", () => {
  const out = new Float32Array(3);
  combine(out, Float32Array.of(1, 2, 3, 10, 20, 30), Float32Array.of(0.25, 0.5), f32);
  assertEquals([...out], [5.25, 10.5, 15.75]);
});

Deno.test("throughCache() saturates FP8 and gives float32(code) * scale back", () => {
  assertEquals(throughCache(0.3, "fp8", 0.5), 0.3125);
  assertEquals(throughCache(-1e6, "fp8", 0.5), -224);
  const scale = f32(0.013);
  assertEquals(throughCache(f32(0.0131), "fp8", scale), scale);
  assertEquals(throughCache(f32(0.1), "bf16", 7), 0.10009765625);
  assertEquals(throughCache(f32(0.1), "f32", 7), f32(0.1));
});

Deno.test("CacheHalf.copySlot() makes a slot a copy of another, whichever those are, and of no other", () => {
  for (const [from, to] of [[0, 2], [1, 0], [2, 1]] as const) {
    const half = new CacheHalf({ slots: 3, capacity: 2, width: 2 }, "f32", 1);
    const rows = () => [0, 1, 2].map((slot) => [3, 4].map((position) => [...half.row(slot, position)]));
    for (const slot of [0, 1, 2]) for (const p of [3, 4]) half.store(slot, p, Float32Array.of(10 * slot + p, 9));
    const before = rows();
    half.copySlot(from, to);
    assertEquals(rows(), before.map((slot, i) => i === to ? before[from]! : slot));
  }
});

Deno.test("prepareRow() leaves FP8 inputs quantized only where the weights are FP8 too", () => {
  const row = Float32Array.of(300, 0.3), input = { kind: "fp8_static", scale: 0.5 } as const;
  assertEquals(prepareRow(row, { input, rotation: null, multipliesCodes: true }, true), {
    values: Float32Array.of(448, 0.625),
    scale: 0.5,
  });
  assertEquals(prepareRow(row, { input, rotation: null, multipliesCodes: false }, true), {
    values: Float32Array.of(224, 0.3125),
    scale: 1,
  });
});

/**
 * A 2 x 32 matrix by hand: row 0 has 1.5 at column 0 and -3 at column 31, row 1 has 6 at column 1; scales 2^-1 and 2^2.
 */
const HAND_MADE: Record<string, readonly number[]> = {
  mxfp4: [0x3, ...new Array<number>(14).fill(0), 0xd0, 0x70, ...new Array<number>(15).fill(0)],
  // e3m2: 1.5 = 0 011 10, -3 = 1 100 10 (its low bits end byte 23), 6 = 0 101 10.
  mxfp6_e3m2: [
    ...[0x0e, ...new Array<number>(22).fill(0), 0b110010 << 2],
    ...[(0b010110 << 6) & 255, 0b010110 >> 2, ...new Array<number>(22).fill(0)],
  ],
  // e2m3: 1.5 = 0 01 100, -3 = 1 10 100, 6 = 0 11 100.
  mxfp6_e2m3: [
    ...[0b001100, ...new Array<number>(22).fill(0), 0b110100 << 2],
    ...[(0b011100 << 6) & 255, 0b011100 >> 2, ...new Array<number>(22).fill(0)],
  ],
};

for (const [format, bytes] of Object.entries(HAND_MADE)) {
  Deno.test(`WeightFiles.forEachRow() decodes hand-made bytes (${format})`, () => {
    using file = new SourceFileBuilder();
    const storage = STORAGES.find((s) => s.format === format)!;
    const half = bytes.length / 2;
    const matrix = file.rawMatrix("m", storage, 32, [
      { bytes: Uint8Array.from(bytes.slice(0, half)), scales: Uint8Array.of(126) },
      { bytes: Uint8Array.from(bytes.slice(half)), scales: Uint8Array.of(129) },
    ]);
    const { files: sources } = file.finish({ layers: [] } as never, []);
    using files = new WeightFiles(sources);
    const rows: number[][] = [];
    files.forEachRow(matrix, (_, values) => rows.push([...values]));
    const expected = [new Array<number>(32).fill(0), new Array<number>(32).fill(0)];
    expected[0]![0] = 0.75;
    expected[0]![31] = -1.5;
    expected[1]![1] = 24;
    assertEquals(rows, expected);
    assertEquals([...files.row(matrix, 1)], expected[1]);
  });
}

const fp8PerRow = STORAGES.find((s) => s.format === "fp8_e4m3" && s.scale === "row")!;

Deno.test("WeightFiles.forEachRow() reads transposed matrices by columns, and row scales apart", () => {
  using file = new SourceFileBuilder();
  const value = (r: number, c: number) => 10 * r + c;
  const transposed: Storage = { format: "bf16", scale: "none", transposed: true };
  const matrix = file.matrix("transposed", 3, 5, transposed, value);
  const scaled = file.matrix("scaled", 2, 4, fp8PerRow, (r) => r === 0 ? 448 : -56);
  const { files: sources } = file.finish({ layers: [] } as never, []);
  using files = new WeightFiles(sources);
  files.forEachRow(matrix, (r, values) => assertEquals([...values], [0, 1, 2, 3, 4].map((c) => value(r, c))));
  files.forEachRow(scaled, (r, values) => assertEquals([...values], new Array<number>(4).fill(r === 0 ? 448 : -448)));
  assertEquals([rowScale(scaled, 0), rowScale(scaled, 1)], [1, 0.125]);
});

function request(model: RandomModel, more: Partial<OpenRequest> = {}) {
  const { config, source } = model;
  const tensors = workspace(config, source);
  return {
    source,
    config,
    dtype: "f32",
    kvFormat: "f32",
    maxTokens: 16,
    slots: 2,
    context: 64,
    ...more,
    tensors,
  } as const;
}

Deno.test("openReference() refuses files that are missing or changed since they were checked", async () => {
  using model = randomModel(1, { config: testConfig({ layers: 1 }) });
  const [file] = model.source.files;
  const asked = request(model);
  const missing = { ...asked, source: { ...model.source, files: [{ path: `${file!.path}.absent`, bytes: 1 }] } };
  await assertRejects(() => openReference(missing), InputError, ".absent: cannot be opened");
  Deno.truncateSync(file!.path, file!.bytes - 1);
  await assertRejects(() => openReference(asked), InputError, `expected ${file!.bytes} bytes`);
});

Deno.test("ReferenceBackend attends like one softmax over all of the sequence, whatever the chunks", async () => {
  const window = 5, length = 23;
  using model = randomModel(2, { config: testConfig({ slidingWindow: window, heads: 4, kvHeads: 2, headDim: 8 }) });
  const width = 32, kvWidth = 16, d = 8;
  const q = normals(1, length * width, 2), k = normals(2, length * kvWidth, 2), v = normals(3, length * kvWidth, 1);
  using files = new WeightFiles(model.source.files);
  const sinks = files.vector(model.source.tree.layers[0]!.sinks);
  for (const chunks of [[16, 7], [1, 2, 3, 4, 5, 6, 2], new Array<number>(length).fill(1)]) {
    for (const layer of [0, 1]) {
      const backend = await openReference(request(model, { maxTokens: 16, context: 24 }));
      const { tensors: t, weights } = backend;
      let from = 0;
      for (const n of chunks) {
        backend.begin(consecutive(n, from, 1));
        const part = (all: Float32Array, w: number) => all.slice(from * w, (from + n) * w);
        backend.write(t.query, part(q, width));
        backend.write(t.key, part(k, kvWidth));
        backend.write(t.value, part(v, kvWidth));
        backend.store(layer, t.key, t.value);
        backend.attention(t.attended, t.query, layer, weights.layers[0]!.sinks);
        const got = backend.read(t.attended, n);
        for (let row = 0; row < n; row++) {
          for (let i = 0; i < width; i++) {
            const position = from + row, head = Math.floor(i / d), kv = Math.floor(head / 2);
            // Numerator and denominator without subtracting a maximum.
            let top = 0, bottom = Math.exp(sinks[head]!);
            for (let j = 0; j <= position; j++) {
              if (layer === 0 && position - j >= window) continue;
              const key = k.subarray(j * kvWidth + kv * d, j * kvWidth + (kv + 1) * d);
              const weight = Math.exp(
                dot(q.subarray(position * width + head * d, position * width + head * d + d), key) / Math.sqrt(d),
              );
              top += weight * v[j * kvWidth + kv * d + i % d]!;
              bottom += weight;
            }
            assertAlmostEquals(got[row * width + i]!, top / bottom, 1e-6);
          }
        }
        from += n;
      }
      await backend.close();
    }
  }
});

Deno.test("ReferenceBackend.logits() are float32 also where activations are bf16", async () => {
  using model = randomModel(3, { config: testConfig({ layers: 1 }) });
  const began = performance.now(), backend = await openReference(request(model, { dtype: "bf16" }));
  assert(backend.info.loadMilliseconds >= 0 && backend.info.loadMilliseconds <= performance.now() - began);
  backend.begin(consecutive(2));
  backend.write(backend.tensors.normed, normals(1, 2 * 96));
  const logits = backend.logits(backend.tensors.normed, backend.weights.head, Int32Array.of(1, 0));
  assertEquals(logits.length, 2 * 96);
  const bits = new Uint32Array(logits.slice().buffer);
  assert(bits.some((word) => (word & 0xffff) !== 0));
  await backend.close();
});

Deno.test("ReferenceBackend works on every case of the operation list", async () => {
  // Comparing it with itself proves nothing, but the cases also check that a token does not depend on its batch.
  for (const operation of OPERATION_CASES.filter((_, i) => i % 5 === 0)) {
    using model = operation.model();
    const backend = await openReference({
      ...request(model),
      dtype: operation.dtype,
      kvFormat: operation.dtype,
      maxTokens: 32,
      ...operation.request,
    });
    const seen = operation.run(backend, model);
    assert(seen.some(({ values }) => values.some((x) => x !== 0)), operation.name);
    await backend.close();
  }
});
