/** Cases of rotary embedding and of storing keys and values. */
import { cacheBytes, PageLayout, type Shape } from "./cache_layout.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
import type { KvFormat } from "../../formats/format.ts";
import { exactly, type KernelCase, worstOf } from "./check.ts";
import { type Argument, floats, i32, inout, input, type Job, output, pointer } from "./job.ts";
import { type CacheFields, cacheStruct } from "./structs.ts";
import { Random } from "./random.ts";

/** cos and sin by position [positions][dim/2]. */
export function tables(r: Random, positions: number, half: number) {
  const angles = Float64Array.from({ length: positions * half }, () => 6.28 * r.next());
  return {
    cos: Float32Array.from(angles, (a) => 1.35 * Math.cos(a)),
    sin: Float32Array.from(angles, (a) => 1.35 * Math.sin(a)),
  };
}

/** Half-split rotation in the kernels' float32 steps. */
export function rotated(
  x: Float32Array,
  heads: number,
  dim: number,
  cos: Float32Array,
  sin: Float32Array,
  position: number,
  round: number,
) {
  const out = x.slice(), half = dim / 2, f = Math.fround;
  for (let h = 0; h < heads; h++) {
    for (let d = 0; d < half; d++) {
      const a = x[h * dim + d]!,
        b = x[h * dim + d + half]!,
        c = cos[position * half + d]!,
        s = sin[position * half + d]!;
      const [u, v] = [f(f(a * c) - f(b * s)), f(f(b * c) + f(a * s))];
      out[h * dim + d] = round ? roundToBf16(u) : u;
      out[h * dim + d + half] = round ? roundToBf16(v) : v;
    }
  }
  return out;
}

/** Four tokens' rows of all cases; the last is rotated, but belongs to nobody where something is stored. */
const SLOTS = Int32Array.of(1, 0, 0, 0), POSITIONS = Int32Array.of(7, 63, 64, 5), TOKENS = SLOTS.length;
const DIM = 32, HEADS = 4, KV_HEADS = 2, WIDTH = KV_HEADS * DIM;
/** Numbers between the starts of two tokens' queries. */
const STRIDE = HEADS * DIM + 4;

/** A launch, with what its results must be. */
const launch = (entry: string, grid: Job["grid"], variant: string, args: Argument[], check: () => number) => ({
  name: `${entry} ${variant}`,
  job: { entry, grid, threads: 256, lds: 0, arguments: args },
  check,
});

/** Rows of a format before and after rotation, and the cache that they enter. */
function cacheData(r: Random, kv: KvFormat, round: number, angles: ReturnType<typeof tables>) {
  const shape: Shape = { kv, heads: HEADS, kvHeads: KV_HEADS, dim: DIM, slots: 2, window: 4 };
  const pages = new PageLayout(shape, [65, 8], [], new Random(849));
  const q = r.row(TOKENS * STRIDE, false, 3), k = r.row(TOKENS * WIDTH, false, 3), v = r.row(TOKENS * WIDTH, false, 30);
  const rotatedQ = q.slice(), rotatedK = k.slice();
  POSITIONS.forEach((position, t) => {
    const turn = (row: Float32Array, heads: number) =>
      rotated(row, heads, DIM, angles.cos, angles.sin, position, round);
    rotatedQ.set(turn(q.slice(t * STRIDE, t * STRIDE + HEADS * DIM), HEADS), t * STRIDE);
    rotatedK.set(turn(k.slice(t * WIDTH, (t + 1) * WIDTH), KV_HEADS), t * WIDTH);
  });
  const expected = (values: Float32Array, scale: number) => {
    const bytes = new Uint8Array(pages.bytes).fill(0xff);
    for (let t = 0; t < TOKENS - 1; t++) {
      for (let g = 0; g < KV_HEADS; g++) {
        const row = values.subarray(t * WIDTH + g * DIM, t * WIDTH + (g + 1) * DIM);
        bytes.set(cacheBytes(row, kv, scale), pages.row(SLOTS[t]!, g, POSITIONS[t]!));
      }
    }
    return bytes;
  };
  const empty = () => pages.fields(output(pages.bytes), output(pages.bytes), Math.fround(0.011), 0.25);
  /** The verdict on a cache that keys and `v` were stored in. */
  const stored = (c: CacheFields, keys: Float32Array) =>
    worstOf(exactly(c.k.bytes, expected(keys, c.kScale)), exactly(c.v.bytes, expected(v, c.vScale)));
  return { q, k, v, rotatedQ, rotatedK, empty, stored };
}

/** rotate, store and both in one, into one cache. */
export function* cacheCases(): Generator<KernelCase> {
  const r = new Random(850), { cos, sin } = tables(r, 65, DIM / 2), n = TOKENS;
  const angles = [pointer(input(cos)), pointer(input(sin))];
  const where = [pointer(input(SLOTS)), pointer(input(POSITIONS.with(n - 1, -1)))];
  for (const [kv, round] of [["bf16", 1], ["f32", 0], ["fp8", 0]] as const) {
    const { q, k, v, rotatedQ, rotatedK, empty, stored } = cacheData(r, kv, round, { cos, sin });
    const variant = `${kv} round ${round}`, turned = inout(q), plain = empty();
    yield launch("rotate", [n, 1, 1], variant, [
      ...[pointer(turned), i32(STRIDE), i32(HEADS), i32(DIM), ...angles, pointer(input(POSITIONS)), i32(round), i32(n)],
    ], () => exactly(floats(turned), rotatedQ));
    yield launch("store", [n, 1, 1], variant, [
      ...[pointer(input(k)), i32(WIDTH), pointer(input(v)), i32(WIDTH), cacheStruct(plain).argument(), ...where],
      i32(n),
    ], () => stored(plain, k));
    const both = empty(), q2 = inout(q), k2 = inout(k);
    yield launch("rotate_store", [Math.ceil((HEADS + 2 * KV_HEADS) * DIM / 512), n, 1], variant, [
      ...[pointer(q2), i32(STRIDE), pointer(k2), i32(WIDTH), pointer(input(v)), i32(WIDTH), ...angles],
      ...[cacheStruct(both).argument(), ...where, i32(round), i32(n)],
    ], () => {
      // The last token's rows stay as they are.
      const start = (n - 1) * STRIDE, turnedQ = rotatedQ.slice(), turnedK = rotatedK.slice();
      turnedQ.set(q.subarray(start), start);
      turnedK.set(k.subarray((n - 1) * WIDTH), (n - 1) * WIDTH);
      return worstOf(exactly(floats(q2), turnedQ), exactly(floats(k2), turnedK), stored(both, rotatedK));
    });
  }
}
