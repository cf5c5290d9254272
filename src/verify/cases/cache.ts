/** Cases of rotary embedding and of storing keys and values. */
import { cacheBytes, PageLayout, type Shape } from "./cache_layout.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
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

/** rotate, store and both in one, into one cache. */
export function* cacheCases(): Generator<KernelCase> {
  const r = new Random(850), dim = 32, heads = 4, kvHeads = 2, n = 4, half = dim / 2, width = kvHeads * dim;
  // The last token is rotated, but belongs to nobody where something is stored.
  const slots = Int32Array.of(1, 0, 0, 0), positions = Int32Array.of(7, 63, 64, 5), { cos, sin } = tables(r, 65, half);
  const angles = [pointer(input(cos)), pointer(input(sin))];
  for (const [kv, round] of [["bf16", 1], ["f32", 0], ["fp8", 0]] as const) {
    const shape: Shape = { kv, heads, kvHeads, dim, slots: 2, window: 4 };
    const pages = new PageLayout(shape, [65, 8], [], new Random(849));
    const q = r.row(n * (heads * dim + 4), false, 3), k = r.row(n * width, false, 3), v = r.row(n * width, false, 30);
    const rowOf = (all: Float32Array, stride: number, length: number, t: number) =>
      all.slice(t * stride, t * stride + length);
    const wantQ = q.slice(), wantK = k.slice();
    for (let t = 0; t < n; t++) {
      wantQ.set(
        rotated(rowOf(q, heads * dim + 4, heads * dim, t), heads, dim, cos, sin, positions[t]!, round),
        t * (heads * dim + 4),
      );
      wantK.set(rotated(rowOf(k, width, width, t), kvHeads, dim, cos, sin, positions[t]!, round), t * width);
    }
    const expected = (values: Float32Array, scale: number) => {
      const bytes = new Uint8Array(pages.bytes).fill(0xff);
      for (let t = 0; t < n - 1; t++) {
        for (let g = 0; g < kvHeads; g++) {
          const row = rowOf(values, width, width, t).subarray(g * dim, (g + 1) * dim);
          bytes.set(cacheBytes(row, kv, scale), pages.row(slots[t]!, g, positions[t]!));
        }
      }
      return bytes;
    };
    const cache = () => pages.fields(output(pages.bytes), output(pages.bytes), Math.fround(0.011), 0.25);
    const stored = (c: CacheFields, keys: Float32Array) =>
      worstOf(exactly(c.k.bytes, expected(keys, c.kScale)), exactly(c.v.bytes, expected(v, c.vScale)));
    const where = [pointer(input(slots)), pointer(input(positions.with(n - 1, -1)))];
    const simple = (entry: string, args: Argument[], check: () => number): KernelCase => ({
      name: `${entry} ${kv} round ${round}`,
      job: { entry, grid: [n, 1, 1], threads: 256, lds: 0, arguments: args },
      check,
    });
    const turned = inout(q);
    yield simple("rotate", [
      ...[
        pointer(turned),
        i32(heads * dim + 4),
        i32(heads),
        i32(dim),
        ...angles,
        pointer(input(positions)),
        i32(round),
        i32(n),
      ],
    ], () => exactly(floats(turned), wantQ));
    const plain = cache();
    yield simple("store", [
      ...[
        pointer(input(k)),
        i32(width),
        pointer(input(v)),
        i32(width),
        cacheStruct(plain).argument(),
        ...where,
        i32(n),
      ],
    ], () => stored(plain, k));
    const both = cache(), q2 = inout(q), k2 = inout(k);
    const job: Job = {
      entry: "rotate_store",
      grid: [Math.ceil((heads + 2 * kvHeads) * dim / 512), n, 1],
      threads: 256,
      lds: 0,
      arguments: [
        ...[pointer(q2), i32(heads * dim + 4), pointer(k2), i32(width), pointer(input(v)), i32(width), ...angles],
        ...[cacheStruct(both).argument(), ...where, i32(round), i32(n)],
      ],
    };
    yield {
      name: `rotate_store ${kv} round ${round}`,
      job,
      check: () => {
        // The last token's rows stay as they are.
        const start = (n - 1) * (heads * dim + 4), turnedQ = wantQ.slice(), turnedK = wantK.slice();
        turnedQ.set(q.subarray(start), start);
        turnedK.set(k.subarray((n - 1) * width), (n - 1) * width);
        return worstOf(exactly(floats(q2), turnedQ), exactly(floats(k2), turnedK), stored(both, wantK));
      },
    };
  }
}
