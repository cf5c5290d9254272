import type { ModelConfig } from "../../src/checkpoint/model_config.ts";
import { rankRanges, shardSource } from "../../src/checkpoint/shard.ts";
import type { LinearSource, MatrixSource, ModelSource, VectorSource } from "../../src/checkpoint/source.ts";
import { InputError } from "../../src/errors.ts";
import { bytesOf, decodeRow } from "../../src/quant/decode.ts";
import { NO_QDQ, type WeightFormat } from "../../src/quant/format.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

/** A small deterministic generator; the tests must not depend on luck. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A config of which only the sizes matter. */
function sizes(config: Partial<ModelConfig>): ModelConfig {
  return {
    layers: 1,
    hidden: 64,
    intermediate: 96,
    experts: 4,
    topK: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    vocab: 128,
    rmsNormEps: 1e-5,
    slidingWindow: 4,
    sliding: [true],
    swigluAlpha: 1.702,
    swigluLimit: 7,
    rope: { theta: 1e4, yarn: null },
    maxPositions: 128,
    eosTokenIds: [],
    padTokenId: null,
    bosTokenId: null,
    ...config,
  };
}

/** Random bytes of a whole model, as one "file", in one weight format and storage order for the experts. */
class Maker {
  readonly bytes: Uint8Array[] = [];
  length = 0;
  constructor(readonly below: (below: number) => number) {}

  take(count: number): number {
    const piece = Uint8Array.from({ length: count }, () => this.below(255));
    this.bytes.push(piece);
    const at = this.length;
    this.length += count;
    return at;
  }

  matrix(rows: number, cols: number, format: WeightFormat, transposed = false): MatrixSource {
    const rowBytes = bytesOf(format, transposed ? rows : cols);
    const offset = this.take(rowBytes * (transposed ? cols : rows));
    const scale: MatrixSource["scale"] = format.startsWith("mx")
      ? { kind: "e8m0", file: 0, offset: this.take(rows * cols / 32), rowStride: cols / 32 }
      : format === "fp8_e4m3"
      ? { kind: "row", values: Float32Array.from({ length: rows }, () => 1 + this.below(9)) }
      : { kind: "none" };
    return {
      name: `${format} at ${offset}`,
      format,
      rows,
      cols,
      transposed,
      file: 0,
      offset,
      rowBytes,
      rowStride: rowBytes,
      scale,
    };
  }

  vector(length: number): VectorSource {
    return { name: "v", format: "bf16", length, file: 0, offset: this.take(2 * length) };
  }

  linear(rows: number, cols: number, format: WeightFormat, transposed = false): LinearSource {
    return { weight: this.matrix(rows, cols, format, transposed), bias: this.vector(rows), input: NO_QDQ };
  }

  model(c: ModelConfig, experts: WeightFormat, transposed: boolean, attention: WeightFormat): ModelSource {
    const query = c.heads * c.headDim, keyValue = c.kvHeads * c.headDim;
    const layer = {
      inputNorm: this.vector(c.hidden),
      q: this.linear(query, c.hidden, attention),
      k: this.linear(keyValue, c.hidden, attention),
      v: this.linear(keyValue, c.hidden, attention),
      o: this.linear(c.hidden, query, attention),
      sinks: this.vector(c.heads),
      postNorm: this.vector(c.hidden),
      router: this.linear(c.experts, c.hidden, "bf16"),
      gateUp: Array.from({ length: c.experts }, () => this.linear(2 * c.intermediate, c.hidden, experts, transposed)),
      down: Array.from({ length: c.experts }, () => this.linear(c.hidden, c.intermediate, experts, transposed)),
    };
    const tree = {
      embedding: this.matrix(c.vocab, c.hidden, "bf16"),
      layers: [layer],
      norm: this.vector(c.hidden),
      head: { ...this.linear(c.vocab, c.hidden, "bf16"), bias: null },
    };
    return { files: [{ path: "model", bytes: this.length }], tree, kvScales: [{ k: 1, v: 1 }] };
  }

  file(): Uint8Array {
    const file = new Uint8Array(this.length);
    let at = 0;
    for (const piece of this.bytes) {
      file.set(piece, at);
      at += piece.length;
    }
    return file;
  }
}

const known = new WeakMap<MatrixSource, number[][]>();

/** Dequantized values of a matrix, [rows][cols], read from the file's bytes alone. */
function dense(m: MatrixSource, file: Uint8Array): number[][] {
  let rows = known.get(m);
  if (!rows) known.set(m, rows = decodeAll(m, file));
  return rows;
}

function decodeAll(m: MatrixSource, file: Uint8Array): number[][] {
  if (m.transposed) {
    const stored = Array.from({ length: m.cols }, (_, c) => {
      const at = m.offset + c * m.rowStride;
      return decodeRow(m.format, file.subarray(at, at + m.rowBytes), m.rows, null);
    });
    return Array.from({ length: m.rows }, (_, r) => stored.map((column) => column[r]!));
  }
  return Array.from({ length: m.rows }, (_, r) => {
    const at = m.offset + r * m.rowStride, scale = m.scale;
    const scales = scale.kind === "e8m0"
      ? file.subarray(scale.offset + r * scale.rowStride, scale.offset + r * scale.rowStride + Math.ceil(m.cols / 32))
      : scale.kind === "row"
      ? scale.values[r]!
      : null;
    return [...decodeRow(m.format, file.subarray(at, at + m.rowBytes), m.cols, scales)];
  });
}

const values = (v: VectorSource, file: Uint8Array): number[] => [
  ...decodeRow("bf16", file.subarray(v.offset, v.offset + 2 * v.length), v.length, null),
];

const joinColumns = (parts: number[][][]): number[][] => parts[0]!.map((_, r) => parts.flatMap((part) => part[r]!));

/** Equality of nested lists of numbers; the library's is a hundred times slower on large ones. */
function assertSame(actual: readonly unknown[], expected: readonly unknown[], message: string): void {
  assertEquals(actual.length, expected.length, message);
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i], b = expected[i];
    if (Array.isArray(b)) assertSame(a as unknown[], b, message);
    else if (!Object.is(a, b)) assertEquals(a, b, `${message}: element ${i}`);
  }
}

/** Checks that the parts of all ranks, put together, are the whole model; KV heads may be held by several ranks. */
function checkParts(c: ModelConfig, source: ModelSource, file: Uint8Array, tp: number, ep: number): void {
  const label = `tp ${tp}, ep ${ep}`;
  const ranks = Array.from({ length: tp * ep }, (_, rank) => shardSource(source, c, { tp, ep }, rank));
  const ranges = ranks.map((_, rank) => rankRanges(c, { tp, ep }, rank));
  const whole = source.tree.layers[0]!;
  for (let group = 0; group < ep; group++) {
    const members = ranks.slice(group * tp, (group + 1) * tp);
    const layers = members.map((m) => m.tree.layers[0]!);
    assertSame(layers.flatMap((l) => dense(l.q.weight, file)), dense(whole.q.weight, file), `${label}: q`);
    assertSame(layers.flatMap((l) => values(l.q.bias!, file)), values(whole.q.bias!, file), `${label}: q bias`);
    assertSame(layers.flatMap((l) => values(l.sinks, file)), values(whole.sinks, file), `${label}: sinks`);
    assertSame(joinColumns(layers.map((l) => dense(l.o.weight, file))), dense(whole.o.weight, file), `${label}: o`);
    assertEquals(layers.map((l) => l.o.bias !== null), layers.map((_, i) => i === 0), `${label}: o bias once`);
    for (const name of ["k", "v"] as const) {
      const all = dense(whole[name].weight, file), seen = new Set<number>();
      layers.forEach((l, i) => {
        const { start, end } = ranges[group * tp + i]!.kvHeads;
        assertSame(dense(l[name].weight, file), all.slice(start * c.headDim, end * c.headDim), `${label}: ${name}`);
        for (let head = start; head < end; head++) seen.add(head);
      });
      assertEquals(seen.size, c.kvHeads, `${label}: every KV head is somewhere`);
    }
    const table = members.flatMap((m) => dense(m.tree.embedding, file));
    assertSame(table, dense(source.tree.embedding, file), `${label}: embedding`);
    assertSame(members.flatMap((m) => dense(m.tree.head.weight, file)), dense(source.tree.head.weight, file), label);
  }
  // Query heads of a rank read the KV head that they read in the whole model, by the local rule of contiguous equal groups.
  for (const { heads, kvHeads } of ranges) {
    const mine = heads.end - heads.start, kv = kvHeads.end - kvHeads.start;
    for (let h = 0; h < mine; h++) {
      const global = Math.floor((heads.start + h) / (c.heads / c.kvHeads));
      assertEquals(
        kvHeads.start + Math.floor(h / (mine / kv)),
        global,
        `${label}: KV head of query head ${heads.start + h}`,
      );
    }
  }
  const found: number[] = [];
  for (let group = 0; group < ep; group++) {
    const members = ranks.slice(group * tp, (group + 1) * tp).map((m) => m.tree.layers[0]!);
    const { start, end } = ranges[group * tp]!.experts;
    for (let e = start; e < end; e++) {
      found.push(e);
      const up = members.map((l) => l.gateUp[e - start]!), down = members.map((l) => l.down[e - start]!);
      assertEquals(
        up.flatMap((l) => dense(l.weight, file)),
        dense(whole.gateUp[e]!.weight, file),
        `${label}: gate_up ${e}`,
      );
      assertEquals(
        up.flatMap((l) => values(l.bias!, file)),
        values(whole.gateUp[e]!.bias!, file),
        `${label}: bias ${e}`,
      );
      const columns = joinColumns(down.map((l) => dense(l.weight, file)));
      assertSame(columns, dense(whole.down[e]!.weight, file), `${label}: down ${e}`);
      assertEquals(down.map((l) => l.bias !== null), down.map((_, i) => i === 0), `${label}: down bias once`);
      for (const l of down) {
        if (l.weight.scale.kind === "e8m0") assertEquals(l.weight.cols % 32, 0, `${label}: no block is cut`);
      }
    }
  }
  assertEquals(found, Array.from({ length: c.experts }, (_, e) => e), `${label}: every expert once`);
}

const FORMATS: readonly WeightFormat[] = ["mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8_e4m3", "bf16"];

for (const format of FORMATS) {
  for (const transposed of format === "bf16" ? [false, true] : [false]) {
    Deno.test(`shardSource() cuts ${format}${transposed ? " stored transposed" : ""} so that the ranks' parts are the whole`, () => {
      const below = random(17);
      for (let round = 0; round < 3; round++) {
        const kvHeads = 1 + below(4);
        const c = sizes({
          hidden: 32 * (1 + below(3)),
          intermediate: format === "bf16" ? 2 * (1 + below(60)) : 32 * (1 + below(6)),
          experts: 4 + below(5),
          kvHeads,
          heads: kvHeads * (4 + below(3)) * 2,
          headDim: 32,
          vocab: 64 + below(200),
        });
        const maker = new Maker(below);
        const source = maker.model(c, format, transposed, format === "bf16" || transposed ? "bf16" : format);
        const file = maker.file();
        for (const tp of [1, 2, 3, 4, 8]) {
          for (const ep of [1, 2, 4]) checkParts(c, source, file, tp, ep);
        }
      }
    });
  }
}

Deno.test("rankRanges() cuts gpt-oss's 2880 columns in whole blocks", () => {
  const c = sizes({ intermediate: 2880, heads: 64, kvHeads: 8, headDim: 64, vocab: 201_088, experts: 32 });
  const widths = (tp: number) =>
    Array.from({ length: tp }, (_, rank) => {
      const { start, end } = rankRanges(c, { tp, ep: 1 }, rank).intermediate;
      return end - start;
    });
  assertEquals(widths(1), [2880]);
  assertEquals(widths(2), [1440, 1440]);
  assertEquals(widths(4), [736, 736, 736, 672]);
  assertEquals(widths(8), [384, 384, 384, 384, 384, 384, 384, 192]);
  const vocab = Array.from({ length: 8 }, (_, rank) => rankRanges(c, { tp: 8, ep: 1 }, rank).vocab);
  assert(vocab.every(({ start, end }) => end - start === 25_136));
});

Deno.test("rankRanges() leaves a rank without columns when the model is too small", () => {
  const c = sizes({ intermediate: 224, heads: 8, kvHeads: 2, experts: 16 });
  const last = rankRanges(c, { tp: 8, ep: 1 }, 7);
  assertEquals(last.intermediate, { start: 224, end: 224 });
  assertEquals(last.heads, { start: 7, end: 8 });
  assertEquals(last.kvHeads, { start: 1, end: 2 });
});

Deno.test("rankRanges() refuses sizes that make no sense", () => {
  const c = sizes({});
  assertThrows(() => rankRanges(c, { tp: 0, ep: 1 }, 0), InputError, "--tp: expected a positive integer, got 0");
  assertThrows(() => rankRanges(c, { tp: 1, ep: 5 }, 0), InputError, "--ep 5: the model has 4 experts");
  assertThrows(() => rankRanges(c, { tp: 5, ep: 1 }, 0), InputError, "--tp 5: the model has 4 attention heads");
});
