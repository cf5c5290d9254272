import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { ModelConfig } from "../../src/checkpoint/model_config.ts";
import { groupSizes, rankRanges, shardSource, sliceVector } from "../../src/checkpoint/shard.ts";
import { InputError } from "../../src/errors.ts";
import type { InputFormat } from "../../src/formats/input.ts";
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

const MX_INPUT: InputFormat = { kind: "mx", element: "e2m1", rule: "even" };

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

Deno.test("rankRanges() cuts heads and vocabulary over the ranks of all groups, where there are heads enough", () => {
  const c = sizes({ intermediate: 2880, heads: 64, kvHeads: 8, headDim: 64, vocab: 201_088, experts: 32 });
  const ranges = Array.from({ length: 8 }, (_, rank) => rankRanges(c, { tp: 2, ep: 4 }, rank));
  assertEquals(ranges.map(({ heads }) => heads.start), [0, 8, 16, 24, 32, 40, 48, 56]);
  assertEquals(ranges.map(({ vocab }) => vocab.start), [0, 1, 2, 3, 4, 5, 6, 7].map((rank) => 25_136 * rank));
  assertEquals(ranges.map(({ experts }) => experts.start), [0, 0, 8, 8, 16, 16, 24, 24]);
  assertEquals(ranges.map(({ intermediate }) => intermediate.start), [0, 1440, 0, 1440, 0, 1440, 0, 1440]);
  assertEquals(new Set(ranges.map(({ group }) => group)), new Set([0]));
  // More ranks than heads, and heads of half a block: each group has all.
  for (const few of [{ heads: 4, kvHeads: 4, headDim: 64 }, { heads: 8, kvHeads: 8, headDim: 16 }]) {
    const ranges = Array.from(
      { length: 8 },
      (_, rank) => rankRanges(sizes({ ...few, experts: 32 }), { tp: 2, ep: 4 }, rank),
    );
    assertEquals(ranges.map(({ heads }) => heads.start), [0, 1, 2, 3].flatMap(() => [0, few.heads / 2]));
    assertEquals(ranges.map(({ group }) => group), [0, 0, 1, 1, 2, 2, 3, 3]);
  }
});

Deno.test("groupSizes() makes one group of as many ranks as there are heads, and none of more", () => {
  const c = sizes({ heads: 8, kvHeads: 2, headDim: 64, experts: 32 });
  assertEquals(groupSizes(c, { tp: 2, ep: 4 }), { tp: 8, ep: 1 });
  assertEquals(groupSizes(c, { tp: 2, ep: 5 }), { tp: 2, ep: 5 });
  assertEquals(groupSizes({ ...c, headDim: 16 }, { tp: 2, ep: 4 }), { tp: 2, ep: 4 });
});

Deno.test("rankRanges() gives every word to a rank where their number does not divide by the ranks", () => {
  const words = (vocab: number) =>
    [0, 1, 2].map((rank) => {
      const { vocab: { start, end } } = rankRanges(sizes({ vocab, headDim: 32 }), { tp: 3, ep: 1 }, rank);
      return [start, end];
    });
  // Padded to 128, of which each has 43.
  assertEquals(words(128), [[0, 43], [43, 86], [86, 128]]);
  assertEquals(words(100), [[0, 43], [43, 86], [86, 100]]);
});

Deno.test("shardSource() cuts transposed experts, whose output features lie side by side", () => {
  const { config, source } = randomCheckpoint({ shape: SHAPES.tiny, layout: "hf_bf16" });
  const whole = source.tree.layers[1]!, part = shardSource(source, config, { tp: 2, ep: 2 }, 3).tree.layers[1]!;
  // The second rank of the second group: columns 64 to 95 of experts 4 to 7, two rows of gate and up for each.
  const { gateUp: [up], down: [down] } = part,
    { weight: fullUp } = whole.gateUp[4]!,
    { weight: fullDown } = whole.down[4]!;
  assert(fullUp.transposed && fullDown.transposed);
  assertEquals([fullUp.rowStride, fullDown.rowStride], [2 * 192, 2 * 64]);
  assertEquals(up!.weight, { ...fullUp, rows: 64, offset: fullUp.offset + 2 * 128, rowBytes: 2 * 64 });
  assertEquals(down!.weight, { ...fullDown, cols: 32, offset: fullDown.offset + 64 * 2 * 64 });
  assertEquals([up!.bias!.offset - whole.gateUp[4]!.bias!.offset, up!.bias!.length], [2 * 128, 64]);
  assertEquals(down!.bias, null, "the first rank has it");
});

Deno.test("sliceVector() begins as many bytes further as its numbers take", () => {
  for (const [format, bytes] of [["bf16", 2], ["f16", 2], ["f32", 4]] as const) {
    const vector = { name: "v", format, length: 10, file: 1, offset: 100 };
    const part = sliceVector(vector, { start: 3, end: 8 });
    assertEquals(part, { ...vector, offset: 100 + 3 * bytes, length: 5 });
  }
});

Deno.test("rankRanges() refuses sizes that make no sense", () => {
  const c = sizes({});
  for (const ep of [0, -1, 1.5]) {
    assertThrows(() => rankRanges(c, { tp: 1, ep }, 0), InputError, `ep: expected a positive integer, got ${ep}`);
  }
  for (const rank of [-1, 4, NaN]) {
    assertThrows(() => rankRanges(c, { tp: 2, ep: 2 }, rank), RangeError, `rank ${rank}: expected 0 to 3`);
  }
  assertThrows(() => rankRanges(c, { tp: 0, ep: 1 }, 0), InputError, "tp: expected a positive integer, got 0");
  assertThrows(() => rankRanges(c, { tp: 1, ep: 5 }, 0), InputError, "ep 5: the model has 4 experts");
  assertThrows(() => rankRanges(c, { tp: 5, ep: 1 }, 0), InputError, "tp 5: the model has 4 attention heads");
  const single = () => rankRanges({ ...c, experts: 1 }, { tp: 1, ep: 2 }, 0);
  assertThrows(single, InputError, "ep 2: the model has 1 expert, so at most that");
});

Deno.test("shardSource() refuses heads that cut a block of o_proj's weights or inputs", () => {
  const shape = { ...SHAPES.tiny, layers: 1, heads: 8, headDim: 16 };
  for (const attention of ["mxfp4", "bf16"] as const) {
    using dir = new TemporaryDirectory();
    makeCheckpoint(dir, new Random(1), { shape, layout: "quark", quark: { attention } });
    const { config, source } = openCheckpoint(dir.path);
    const layers = source.tree.layers.map((w) => ({ ...w, o: { ...w.o, input: MX_INPUT } }));
    const planned = { ...source, tree: { ...source.tree, layers } };
    // Four ranks have two heads each, a block; eight have half a block each.
    for (let rank = 0; rank < 4; rank++) shardSource(planned, config, { tp: 4, ep: 1 }, rank);
    assertThrows(
      () => shardSource(attention === "mxfp4" ? source : planned, config, { tp: 8, ep: 1 }, 0),
      InputError,
      "tp 8: model.layers.0.self_attn.o_proj has MX blocks of 32 columns: expected the heads of a rank to fill " +
        "whole ones, got columns 0 to 15",
    );
    if (attention === "bf16") shardSource(source, config, { tp: 8, ep: 1 }, 0);
  }
});
