/**
 * Ranks quantize their part of an input in the very blocks of the whole input. The weights are identities, so that what
 * a linear gives is its quantized and dequantized input, and that of ranks can be compared with that of one rank bit
 * for bit.
 */
import type { Backend, OpenRequest } from "../../src/model/backend.ts";
import { openEmulate } from "../../src/backends/emulate/open.ts";
import { openReference } from "../../src/backends/reference/open.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { type ParallelSizes, rankRanges, shardSource } from "../../src/checkpoint/shard.ts";
import type { LinearSource, ModelSource } from "../../src/checkpoint/source.ts";
import { type TensorName, workspace } from "../../src/model/gpt_oss.ts";
import type { InputFormat } from "../../src/formats/input.ts";
import type { Shape } from "../../src/checkpoint/random/layouts.ts";
import { assert, assertEquals } from "../assert.ts";
import { rewrite, TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";
import { integers, normals } from "../formats/seeded.ts";
import { SOAK } from "../soak.ts";

/** Seven blocks of expert columns: uneven over 2, 3 and 4 ranks, and none for the last of 8. */
const SHAPE: Shape = {
  ...{ layers: 1, hidden: 256, intermediate: 224, experts: 4, topK: 2 },
  ...{ heads: 8, kvHeads: 2, headDim: 32, vocab: 64, window: 4 },
};
const TOKENS = 5, SLOT_ROWS = TOKENS * SHAPE.topK;
const SIZES: readonly ParallelSizes[] = [
  ...[2, 3, 4, 8].map((tp) => ({ tp, ep: 1 })),
  ...[{ tp: 1, ep: 2 }, { tp: 1, ep: 4 }, { tp: 2, ep: 2 }, { tp: 8, ep: 3 }],
];

const BACKENDS = {
  emulate: (request: OpenRequest<TensorName>) => openEmulate(request, { threads: 1, weights: "read" }),
  reference: (request: OpenRequest<TensorName>) => openReference(request),
} as const;

/** Bits of a number, and the code of 1. */
const ONE = { mxfp4: [4, 2], mxfp6_e3m2: [6, 12], mxfp6_e2m3: [6, 8] } as const;
type Weight = keyof typeof ONE;

/** The inputs that go with each format of weights. */
const SCHEMES: readonly (readonly [Weight, InputFormat])[] = [
  ...(["e2m1", "e3m2", "e2m3"] as const).map((element) => ["mxfp4", mx(element)] as const),
  ["mxfp4", { kind: "mx", element: "e2m1", rule: "floor" }],
  ["mxfp4", { kind: "mx", element: "e4m3fn", rule: "rceil" }],
  ["mxfp6_e3m2", mx("e3m2")],
  ["mxfp6_e2m3", mx("e2m3")],
];

function mx(element: "e2m1" | "e3m2" | "e2m3"): InputFormat {
  return { kind: "mx", element, rule: "even" };
}

/** [rows, cols] with 1 in the main diagonal, packed. */
function identity(rows: number, cols: number, [bits, one]: readonly [number, number]): Uint8Array {
  const rowBytes = cols * bits / 8, bytes = new Uint8Array(rows * rowBytes);
  for (let i = 0; i < Math.min(rows, cols); i++) {
    for (let bit = 0; bit < bits; bit++) {
      const at = i * bits + bit;
      if (one >> bit & 1) bytes[i * rowBytes + (at >> 3)]! |= 1 << (at & 7);
    }
  }
  return bytes;
}

/** A checkpoint whose down_proj and o_proj are identities. */
function makeIdentities(dir: TemporaryDirectory, format: Weight): void {
  makeCheckpoint(dir, new Random(3), { shape: SHAPE, layout: "quark", quark: { weights: format, attention: format } });
  rewrite(`${dir.path}/model.safetensors`, (tensors) => {
    for (const [name, tensor] of tensors) {
      const [, projection, suffix] = /\.(o|down)_proj\.(\w+)$/.exec(name) ?? [];
      const cols = projection === "o" ? SHAPE.heads * SHAPE.headDim : SHAPE.intermediate;
      if (suffix === "weight") tensors.set(name, { ...tensor, bytes: identity(SHAPE.hidden, cols, ONE[format]) });
      if (suffix === "weight_scale") {
        tensors.set(name, { ...tensor, bytes: new Uint8Array(tensor.bytes.length).fill(127) });
      }
      if (suffix === "bias") tensors.set(name, { ...tensor, bytes: new Uint8Array(tensor.bytes.length) });
    }
  });
}

function withInput(source: ModelSource, input: InputFormat): ModelSource {
  const change = (l: LinearSource): LinearSource => ({ ...l, input });
  const layers = source.tree.layers.map((w) => ({ ...w, o: change(w.o), down: w.down.map(change) }));
  return { ...source, tree: { ...source.tree, layers } };
}

/** Rows of very different sizes, so that no two blocks have one scale by chance. */
function activations(seed: number, rows: number, width: number): Float32Array {
  const next = integers(seed);
  const blockSizes = Float32Array.from({ length: rows * width / 16 }, () => 2 ** (next() % 24 - 12));
  return normals(seed + 1, rows * width).map((x, i) => Math.fround(x * blockSizes[Math.floor(i / 16)]!));
}

/** Columns from `start` on of rows [rows, width]. */
function columns(values: Float32Array, width: number, start: number, end: number): Float32Array {
  const own = end - start;
  return Float32Array.from(
    { length: values.length / width * own },
    (_, i) => values[Math.floor(i / own) * width + start + i % own]!,
  );
}

const ROUTING = Int32Array.from({ length: SLOT_ROWS }, (_, i) => (3 * i + Math.floor(i / 4)) % SHAPE.experts);

for (const [name, openBackend] of Object.entries(BACKENDS)) {
  for (const [i, [format, input]] of SCHEMES.entries()) {
    // Ranks' parts are cut alike for either; outside a soak reference has every second scheme.
    if (!SOAK && name === "reference" && i % 2 === 1) continue;
    const element = input.kind === "mx" ? `${input.element}, ${input.rule}` : "";
    Deno.test(`ranks of ${name} quantize inputs (${element}, ${format}) in the whole model's blocks`, async () => {
      using dir = new TemporaryDirectory();
      makeIdentities(dir, format);
      const { config, source: plain } = openCheckpoint(dir.path), whole = withInput(plain, input);
      const activated = activations(11, SLOT_ROWS, config.intermediate);
      const attended = activations(12, TOKENS, config.hidden);

      /** What a rank's part makes of its columns of the activations: outputs of down_proj and of o_proj. */
      const compute = async (sizes: ParallelSizes, rank: number) => {
        const source = shardSource(whole, config, sizes, rank), ranges = rankRanges(config, sizes, rank);
        const backend: Backend<TensorName> = await openBackend({
          ...{ source, config, dtype: "f32", kvFormat: "f32", tensors: workspace(config, source) },
          ...{ maxTokens: TOKENS, slots: 1, context: TOKENS },
          part: {
            vocabStart: ranges.vocab.start,
            expertStart: ranges.experts.start,
            communicator: { rank, size: sizes.tp * sizes.ep, allReduce: () => {} },
          },
        });
        const { tensors: t, weights } = backend, { o, down } = weights.layers[0]!;
        const counting = Int32Array.from({ length: TOKENS }, (_, i) => i);
        backend.begin({ ids: counting, slots: new Int32Array(TOKENS), positions: counting });
        backend.writeRouting(ROUTING, new Float32Array(SLOT_ROWS).fill(1));
        const { intermediate, heads } = ranges, { headDim } = config;
        const experts = columns(activated, config.intermediate, intermediate.start, intermediate.end);
        backend.write(t.activated, experts);
        backend.expertDown(t.expertOut, t.activated, down);
        backend.write(t.attended, columns(attended, config.hidden, heads.start * headDim, heads.end * headDim));
        backend.linear([t.projected], t.attended, [o]);
        const results = { down: backend.read(t.expertOut, SLOT_ROWS), o: backend.read(t.projected, TOKENS) };
        await backend.close();
        return { ...results, ranges };
      };

      const one = await compute({ tp: 1, ep: 1 }, 0);
      assert(one.o.some((x, i) => x !== attended[i]), "inputs of o_proj are not quantized");
      const unchanged = one.down.filter((x, i) => x === activated[Math.floor(i / 256) * 224 + i % 256]).length;
      assert(unchanged < one.down.length / 2, "inputs of down_proj are not quantized");

      // Outside a soak each number of ranks with two of the six schemes.
      for (const sizes of SIZES.filter((_, j) => SOAK || j % 3 === i % 3)) {
        const label = `tp ${sizes.tp}, ep ${sizes.ep}`;
        for (let rank = 0; rank < sizes.tp * sizes.ep; rank++) {
          const { down, o, ranges: { intermediate, heads, experts } } = await compute(sizes, rank);
          // Zeros wherever the columns or the experts are another rank's.
          const owns = (slotRow: number, feature: number) =>
            feature >= intermediate.start && feature < intermediate.end &&
            ROUTING[slotRow]! >= experts.start && ROUTING[slotRow]! < experts.end;
          assertEquals(
            down,
            one.down.map((x, i) => owns(Math.floor(i / config.hidden), i % config.hidden) ? x : 0),
            `${label}, rank ${rank}: down_proj`,
          );
          const start = heads.start * config.headDim, end = heads.end * config.headDim;
          assertEquals(
            o,
            one.o.map((x, i) => i % config.hidden >= start && i % config.hidden < end ? x : 0),
            `${label}, rank ${rank}: o_proj`,
          );
        }
      }
    });
  }
}
