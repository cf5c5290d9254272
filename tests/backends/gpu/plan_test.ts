import { isNarrow, partialSizes, partsFor } from "../../../src/backends/gpu/batches.ts";
import { chunksOf, type Placement, planWeights } from "../../../src/backends/gpu/plan.ts";
import type { MatrixSource, VectorSource } from "../../../src/checkpoint/source.ts";
import { assert, assertEquals, assertThrows } from "../../assert.ts";
import { randomModel, STORAGES, testConfig } from "../random_model.ts";

/** Bytes that a plan moves, as pairs (offset in the file, address). */
function moved(placements: readonly Placement[], limit: number): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const { offset, bytes: length, compact, copies } of chunksOf(placements, limit)) {
    assert(length <= limit);
    // Where each byte of the read comes from, after pieces were moved together.
    const from = Array.from({ length }, (_, i) => offset + i);
    if (compact) {
      for (let p = 0; p < compact.pieces; p++) {
        for (let i = 0; i < compact.pieceBytes; i++) from[p * compact.pieceBytes + i] = offset + p * compact.stride + i;
      }
    }
    for (const { at, bytes: count, address } of copies) {
      for (let i = 0; i < count; i++) bytes.set(address + i, from[at + i]!);
    }
  }
  return bytes;
}

/** Every matrix and vector of a source. */
function everything(model: ReturnType<typeof randomModel>): { matrices: MatrixSource[]; vectors: VectorSource[] } {
  const { tree } = model.source;
  const linears = tree.layers.flatMap((l) => [l.q, l.k, l.v, l.o, l.router, ...l.gateUp, ...l.down]);
  return {
    matrices: [tree.embedding, tree.head.weight, ...linears.map(({ weight }) => weight)],
    vectors: [
      tree.norm,
      ...tree.layers.flatMap((l) => [l.inputNorm, l.postNorm, l.sinks]),
      ...linears.map(({ bias }) => bias!),
    ],
  };
}

for (const storage of STORAGES) {
  const config = testConfig({ layers: 1, experts: 2, topK: 2 });
  const { format, scale, transposed } = storage;
  Deno.test(`planWeights() brings every byte of a model to its place (${format} ${scale} ${transposed})`, () => {
    using model = randomModel(1, { config, storage });
    const plan = planWeights(model.source);
    const { matrices, vectors } = everything(model);
    for (const limit of [1000, 1 << 20]) {
      const bytes = moved(plan.placements, limit);
      for (const m of matrices) {
        const { weight, scale, rowStride } = plan.matrices.get(m)!;
        for (let row = 0; row < (m.transposed ? m.cols : m.rows); row++) {
          for (let i = 0; i < m.rowBytes; i++) {
            assertEquals(bytes.get(weight!.address + row * rowStride + i), m.offset + row * m.rowStride + i);
          }
        }
        assertEquals(weight!.address % 16, 0);
        if (m.scale.kind === "e8m0") {
          const { offset, rowStride: stride } = m.scale;
          for (let row = 0; row < m.rows; row++) {
            for (let i = 0; i < m.cols / 32; i++) {
              assertEquals(bytes.get(scale!.address + row * (m.cols / 32) + i), offset + row * stride + i);
            }
          }
          assertEquals(scale!.address % 16, 0);
        }
      }
      for (const v of vectors) {
        const { address } = plan.vectors.get(v)!;
        assertEquals([bytes.get(address), address % 16], [v.offset, 0]);
      }
    }
    const last = plan.placements.map((p) => p.address + p.pieces * p.pieceBytes);
    assert(Math.max(...last) <= plan.bytes);
    assertEquals(plan.constants.length, storage.scale === "row" ? 8 : 0);
    for (const { address, values } of plan.constants) {
      assertEquals(address % 16, 0);
      assert(address >= Math.max(...last) && address + values.byteLength <= plan.bytes);
    }
  });
}

Deno.test("planWeights() never gives two ranges the same place", () => {
  using model = randomModel(2, { config: testConfig({}), storage: STORAGES.find(({ format }) => format === "mxfp4")! });
  const { placements } = planWeights(model.source);
  const sorted = [...placements].sort((a, b) => a.address - b.address);
  sorted.slice(1).forEach((next, i) => {
    const previous = sorted[i]!;
    assert(next.address >= previous.address + previous.pieces * previous.pieceBytes);
  });
});

const whole = (offset: number, pieceBytes: number, address: number): Placement => ({
  file: 0,
  offset,
  pieces: 1,
  pieceBytes,
  stride: 0,
  address,
});

Deno.test("chunksOf() reads neighbours at once and copies them at once where they keep their distance", () => {
  const placements = [whole(1000, 500, 256), whole(1504, 100, 760), whole(1700, 50, 2048), whole(200_000, 10, 4096)];
  assertEquals(chunksOf(placements, 10_000), [
    {
      file: 0,
      offset: 1000,
      bytes: 750,
      compact: null,
      copies: [{ at: 0, bytes: 604, address: 256 }, { at: 700, bytes: 50, address: 2048 }],
    },
    { file: 0, offset: 200_000, bytes: 10, compact: null, copies: [{ at: 0, bytes: 10, address: 4096 }] },
  ]);
});

Deno.test("chunksOf() cuts long ranges, and takes as many pieces of a slice as fit", () => {
  assertEquals(
    chunksOf([whole(0, 2500, 0)], 1000).map(({ offset, bytes, copies }) => [offset, bytes, copies[0]!.address]),
    [
      [0, 1000, 0],
      [1000, 1000, 1000],
      [2000, 500, 2000],
    ],
  );
  const slice: Placement = { file: 0, offset: 64, pieces: 5, pieceBytes: 100, stride: 400, address: 512 };
  assertEquals(
    chunksOf([slice], 1000).map(({ offset, bytes, compact, copies }) => ({
      offset,
      bytes,
      pieces: compact!.pieces,
      copies,
    })),
    [
      { offset: 64, bytes: 900, pieces: 3, copies: [{ at: 0, bytes: 300, address: 512 }] },
      { offset: 1264, bytes: 500, pieces: 2, copies: [{ at: 0, bytes: 200, address: 812 }] },
    ],
  );
  assertThrows(() => chunksOf([slice], 99), RangeError, "does not fit a read");
});

Deno.test("the sums of a narrow linear's parts have room for any number of tokens", () => {
  using model = randomModel(1, { config: testConfig({ layers: 1 }) });
  for (const rows of [2, 32, 128]) {
    assert(isNarrow(rows));
    for (const tokens of [4, 16, 17, 257, 512, 1000, 1024, 4096]) {
      // Tiles of 128 outputs of up to 64 tokens, as the kernels of batches have them.
      const tiles = Math.ceil(tokens / 64), { sums, tiles: counters } = partialSizes(model.source, tokens);
      assert(sums >= partsFor([rows]) * tiles * 128 * 64, `${tokens} tokens`);
      assert(counters >= tiles, `${tokens} tokens`);
    }
  }
  assert(!isNarrow(129));
});
