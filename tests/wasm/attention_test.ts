import { bf16ToFloat32 } from "../../src/formats/bf16.ts";
import { ELEMENTS } from "../../src/formats/elements.ts";
import { encodePlain } from "../../src/formats/encode.ts";
import { normals } from "../formats/seeded.ts";
import { assert } from "../assert.ts";
import { assertNear, assertSameBits, F32, Machine } from "./module.ts";
import { attention, NUMBER_FORMATS, type NumberFormat, readNumber, rounded } from "./twins.ts";

/** Cache formats: word, bytes of a number, and the number that stored bytes stand for, without its scale. */
const CACHES = {
  bf16: { word: 0, size: 2, read: (b: DataView, at: number) => bf16ToFloat32(b.getUint16(at, true)) },
  f32: { word: 1, size: 4, read: (b: DataView, at: number) => b.getFloat32(at, true) },
  fp8: { word: 3, size: 1, read: (b: DataView, at: number) => ELEMENTS.e4m3fn.values[b.getUint8(at)]! },
} as const;

interface Case {
  readonly cache: keyof typeof CACHES;
  readonly headDim: number;
  readonly window: number;
  readonly capacity: number;
  readonly positions: readonly number[];
  readonly sinks?: NumberFormat;
  readonly round?: boolean;
  /** Heads of a unit. */
  readonly together?: number;
}

const HEADS = 12, KV_HEADS = 2, SLOTS = 2;
/** Every remainder by 8, which is what a head has after its last whole vectors; below, at and above a block of 32. */
const HEAD_DIMS = [1, 2, 3, 4, 5, 6, 7, 20, 30, 31, 33, 34, 64, 66, 103, 104, 130];

/** Attention of some tokens over caches of random numbers, by the kernel and by its twin. */
function run({ cache, headDim, window, capacity, positions, sinks = "bf16", round = false, together = 1 }: Case) {
  const machine = new Machine();
  const { word, size, read } = CACHES[cache];
  const fp8 = cache === "fp8";
  const [kScale, vScale] = fp8 ? [Math.fround(0.11), Math.fround(0.07)] : [1, 1];
  const headStride = capacity * headDim * size + 16, slotStride = KV_HEADS * headStride + 16;
  const fill = (seed: number) => {
    const numbers = normals(seed, SLOTS * slotStride);
    if (fp8) return Uint8Array.from(numbers, (x) => (x < 0 ? 128 : 0) + Math.min(0x60, Math.abs(x) * 40));
    return encodePlain(numbers, cache === "bf16" ? "bf16" : "f32").subarray(0, SLOTS * slotStride);
  };
  const kBytes = fill(1), vBytes = fill(2);
  const k = machine.bytes(kBytes), v = machine.bytes(vBytes);
  const slots = positions.map((_, t) => t % SLOTS);
  const stride = HEADS * headDim;
  const queries = normals(3, positions.length * stride, 2);
  const sinkBytes = encodePlain(normals(4, HEADS, 2), sinks);
  const scale = Math.fround(1 / Math.sqrt(headDim));
  const out = machine.floats(positions.length * stride);
  machine.run(
    "attention",
    [
      ...[out.address, stride, machine.floats(queries).address, stride, k.address, v.address, word],
      ...[slotStride, headStride, capacity, window, HEADS, KV_HEADS, headDim],
      ...[machine.integers(slots).address, machine.integers(positions).address],
      ...[machine.bytes(sinkBytes, 1).address, NUMBER_FORMATS[sinks]],
      ...[new F32(kScale), new F32(vScale), new F32(scale), +round, together],
    ],
    positions.length * HEADS / together,
    [out],
    4 * together * Math.ceil(capacity / 4) * 4 + 128 * headDim,
  );
  const expected = positions.flatMap((p, t) => {
    const rows = (bytes: Uint8Array, factor: number, kvHead: number) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const first = window === 0 ? 0 : Math.max(0, p - window + 1);
      return Array.from({ length: p - first + 1 }, (_, j) => {
        const at = slots[t]! * slotStride + kvHead * headStride + (first + j) % capacity * headDim * size;
        return Array.from({ length: headDim }, (_, d) => read(view, at + d * size) * factor);
      });
    };
    const caches = Array.from(
      { length: KV_HEADS },
      (_, h) => [rows(kBytes, kScale, h), rows(vBytes, vScale, h)] as const,
    );
    return Array.from({ length: HEADS }, (_, h) => {
      const [keys, values] = caches[Math.floor(h / (HEADS / KV_HEADS))]!;
      const q = queries.subarray(t * stride + h * headDim, t * stride + (h + 1) * headDim);
      return attention(q, keys, values, readNumber(sinkBytes, sinks, h), scale);
    });
  });
  return { got: out.data.slice(), expected: expected.flat() };
}

for (const cache of Object.keys(CACHES) as (keyof typeof CACHES)[]) {
  for (const headDim of HEAD_DIMS) {
    Deno.test(`attention() attends to all keys, or to a window (${cache}, head_dim ${headDim})`, () => {
      for (const window of [0, 7]) {
        const { got, expected } = run({ cache, headDim, window, capacity: 80, positions: [0, 1, 3, 6, 7, 30, 70, 79] });
        assertNear(got, expected, `window ${window}`);
      }
    });

    Deno.test(`attention() follows the ring (${cache}, head_dim ${headDim})`, () => {
      const positions = [39, 40, 41, 44, 75, 100, 1000];
      assertNear(...results(run({ cache, headDim, window: 37, capacity: 40, positions })), "window 37 of 40");
      assertNear(...results(run({ cache, headDim, window: 40, capacity: 40, positions })), "window 40 of 40");
    });
  }
}

Deno.test("attention() gives the same bits however many heads are computed together", () => {
  for (const cache of Object.keys(CACHES) as (keyof typeof CACHES)[]) {
    for (const headDim of [64, 66, 24, 5, 7]) {
      for (
        const seen of [
          { window: 37, capacity: 40, positions: [0, 2, 31, 36, 39, 75, 1000] },
          // Whole groups of keys after the first one.
          { window: 0, capacity: 100, positions: [63, 64, 99] },
        ]
      ) {
        const alike = { cache, headDim, ...seen }, alone = run(alike).got;
        for (const together of [2, 3, 6]) {
          assertSameBits(run({ ...alike, together }).got, alone, `${cache}, head_dim ${headDim}, ${together} together`);
        }
      }
    }
  }
});

const results = ({ got, expected }: ReturnType<typeof run>) => [got, expected] as const;

for (const cache of Object.keys(CACHES) as (keyof typeof CACHES)[]) {
  Deno.test(`attention() reads sinks in every format, and rounds (${cache})`, () => {
    for (const sinks of Object.keys(NUMBER_FORMATS) as NumberFormat[]) {
      for (const headDim of [64, 66, 13]) {
        const asked = { cache, headDim, window: 0, capacity: 100, positions: [99], sinks };
        const plain = run(asked), what = `${sinks}, head_dim ${headDim}`;
        assertNear(plain.got, plain.expected, what);
        assertSameBits(run({ ...asked, round: true }).got, plain.got.map((v) => rounded(true, v)), what);
      }
    }
  });
}

Deno.test("attention() gives all weight to what is far above the rest, and none to what is far below", () => {
  const headDim = 4, count = 77;
  const machine = new Machine(), values = machine.floats(normals(1, count * headDim));
  const keys = machine.floats(count * headDim), query = machine.floats([1, 0, 0, 0]), out = machine.floats(headDim);
  const sink = machine.floats(1), zeros = machine.integers([0]).address;
  const attend = () =>
    machine.run(
      "attention",
      [
        ...[out.address, headDim, query.address, headDim, keys.address, values.address, 1, 0, 0, count, 0, 1, 1],
        ...[headDim, zeros, machine.integers([count - 1]).address, sink.address, NUMBER_FORMATS.f32],
        ...[new F32(1), new F32(1), new F32(1), 0, 1],
      ],
      1,
      [out],
      4 * 80 + 128 * headDim,
    );
  for (let far = 0; far < count; far++) {
    keys.data.fill(0);
    // So far that e to that power is no float32, nor its reciprocal.
    keys.data[far * headDim] = 200;
    attend();
    assertSameBits(out.data, values.data.subarray(far * headDim, (far + 1) * headDim), `key ${far}`);
  }
  // And none to a key so far below that only the slower exponential function has it, whose exponent would wrap.
  const sums = [0, 1, 2, 3].map((d) => values.data.reduce((sum, v, i) => i % headDim === d ? sum + v : sum, 0));
  for (let far = 0; far < count; far++) {
    keys.data.fill(0);
    keys.data[far * headDim] = -100;
    attend();
    // The sink is as near as the other keys.
    assertNear(out.data, sums.map((sum, d) => (sum - values.data[far * headDim + d]!) / count), `all but key ${far}`);
  }
  keys.data.fill(0);
  sink.data[0] = 200;
  attend();
  assertSameBits(out.data, new Float32Array(headDim));
});

Deno.test("attention() gives the same bits wherever the keys lie in the ring", () => {
  // The same 24 keys from entry 0 on, and around the end of the ring.
  const headDim = 64, count = 24, capacity = 32;
  const outs = [0, 19].map((entry) => {
    const machine = new Machine();
    const keys = encodePlain(normals(1, count * headDim), "bf16"),
      values = encodePlain(normals(2, count * headDim), "bf16");
    const place = (rows: Uint8Array) => {
      const cache = new Uint8Array(capacity * headDim * 2);
      for (let j = 0; j < count; j++) {
        cache.set(rows.subarray(j * headDim * 2, (j + 1) * headDim * 2), (entry + j) % capacity * headDim * 2);
      }
      return machine.bytes(cache).address;
    };
    const out = machine.floats(headDim);
    machine.run(
      "attention",
      [
        ...[out.address, headDim, machine.floats(normals(3, headDim)).address, headDim, place(keys), place(values), 0],
        ...[0, 0, capacity, count, 1, 1, headDim, machine.integers([0]).address],
        machine.integers([capacity + entry + count - 1]).address,
        ...[machine.bytes([0, 0]).address, 0, new F32(1), new F32(1), new F32(0.125), 0, 1],
      ],
      1,
      [out],
      4 * capacity,
    );
    return out.data.slice();
  });
  assertSameBits(outs[1]!, outs[0]!);
  assert(outs[0]!.some((v) => v !== 0));
});
