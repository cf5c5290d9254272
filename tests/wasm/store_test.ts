import { float32ToBf16 } from "../../src/formats/bf16.ts";
import { ELEMENTS, encode } from "../../src/formats/elements.ts";
import { integers, normals } from "../formats/seeded.ts";
import { assert, assertEquals } from "../assert.ts";
import { F32, Machine } from "./module.ts";

/** Cache formats: their words, and the bytes of a number. */
export const CACHES = {
  bf16: {
    word: 0,
    bytes: (x: number) => new Uint8Array(Uint16Array.of(float32ToBf16(x)).buffer),
  },
  f32: { word: 1, bytes: (x: number) => new Uint8Array(Float32Array.of(x).buffer) },
  fp8: {
    word: 3,
    bytes: (x: number, scale: number) => {
      const quotient = Math.fround(x / scale);
      return Uint8Array.of(Number.isNaN(quotient) ? 0x7f : encode(ELEMENTS.e4m3fn, quotient));
    },
  },
} as const;

/** Stores some tokens, and looks at every byte of the cache. */
function checkPlaces({ word, bytes }: (typeof CACHES)[keyof typeof CACHES], headDim: number): void {
  const machine = new Machine();
  const kvHeads = 3, capacity = 6, slots = 3, scale = Math.fround(0.043);
  const size = bytes(0, 1).length;
  const headStride = capacity * headDim * size + 16, slotStride = kvHeads * headStride + 32;
  const cache = machine.bytes(slots * slotStride, 1);
  const positions = [0, 5, 6, 13, 100, 2], slotOf = [0, 0, 1, 2, 1, 2];
  const stride = kvHeads * headDim + 4;
  const values = normals(1, positions.length * stride, 8);
  const next = integers(2);
  for (const special of [NaN, Infinity, -Infinity, 0, -0, 1e-9, 448 * scale, 1e9]) {
    values[next() % values.length] = special;
  }
  const src = machine.floats(values);
  machine.run(
    "store",
    [
      ...[src.address, stride, cache.address, word, slotStride, headStride, capacity, headDim, kvHeads],
      ...[machine.integers(slotOf).address, machine.integers(positions).address, new F32(scale)],
    ],
    positions.length,
    [cache],
  );
  const expected = new Uint8Array(slots * slotStride);
  positions.forEach((position, t) => {
    for (let g = 0; g < kvHeads; g++) {
      for (let d = 0; d < headDim; d++) {
        const at = slotOf[t]! * slotStride + g * headStride + (position % capacity * headDim + d) * size;
        expected.set(bytes(values[t * stride + g * headDim + d]!, scale), at);
      }
    }
  });
  assertEquals(cache.data.findIndex((byte, i) => byte !== expected[i]), -1, `head_dim ${headDim}`);
}

for (const [name, format] of Object.entries(CACHES)) {
  Deno.test(`store() writes tokens to their places in the ring (${name})`, () => {
    for (const headDim of [1, 2, 3, 4, 6, 7, 20, 66]) checkPlaces(format, headDim);
  });
}

Deno.test("store() divides by the scale, whose reciprocal would give other codes near ties", () => {
  const { values } = ELEMENTS.e4m3fn, found: { x: number; scale: number }[] = [], word = new Int32Array(1);
  const near = new Float32Array(word.buffer);
  for (const scale of [0.043, 0.0123, 3.7, 1 / 448].map(Math.fround)) {
    for (let code = 0; code < 126; code++) {
      near[0] = (values[code]! + values[code + 1]!) / 2 * scale;
      for (word[0]! -= 3; found.length < 4000; word[0]!++) {
        const x = near[0]!, quotient = Math.fround(x / scale), product = Math.fround(x * Math.fround(1 / scale));
        if (encode(ELEMENTS.e4m3fn, quotient) !== encode(ELEMENTS.e4m3fn, product)) found.push({ x, scale });
        if (quotient > (values[code]! + values[code + 1]!) / 2) break;
      }
    }
  }
  assert(found.length > 20, `${found.length} numbers`);
  for (const { x, scale } of found) {
    const machine = new Machine(), cache = machine.bytes(4, 1), src = machine.floats([x, -x, x, x]);
    const place = [machine.integers([0]).address, machine.integers([0]).address, new F32(scale)] as const;
    machine.run("store", [src.address, 4, cache.address, CACHES.fp8.word, 4, 4, 1, 4, 1, ...place], 1, [cache]);
    assertEquals([...cache.data], [x, -x, x, x].flatMap((y) => [...CACHES.fp8.bytes(y, scale)]), `${x} / ${scale}`);
  }
});
