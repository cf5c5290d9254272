//! Products of queries with cached keys, and of their weights with cached values, for some heads that share those.
//!
//! A load costs three instructions (V8 checks bounds), so a tile of keys and heads shares what it loads, and tiles go
//! over all heads before the next keys come into an L1 cache. What is summed in which order depends on neither.

use crate::attention::each_left_over;
use crate::attention_rows::{Copy, Ring, Row, copy};
use crate::attention_two::{SCORE, WEIGH, call};
use crate::cache::Cached;
use crate::dot::BLOCK;
use crate::memory::{load, opaque, store, sum_lanes};
use core::arch::wasm32::*;
use core::cmp::min;

/// Keys of a group: bounds the length of float32 sums.
pub const GROUP: usize = 32;
/// Keys of a tile.
pub const TILE: usize = 4;

/// Some heads of one token.
#[derive(Clone, Copy)]
pub struct Heads {
    /// Queries in prepared order, later sums of values: [head][head_dim].
    pub rows: *mut f32,
    pub head_dim: usize,
    /// Scores, later weights: [head][stride].
    pub scores: *mut f32,
    pub stride: usize,
    pub count: usize,
    /// Room for a group of keys or values as float32.
    pub room: *mut f32,
}

impl Heads {
    /// The query of a head, or its sums.
    #[inline(always)]
    pub unsafe fn row(&self, head: usize) -> *mut f32 {
        unsafe { self.rows.add(head * self.head_dim) }
    }

    /// The scores of a head, or its weights.
    #[inline(always)]
    pub unsafe fn scores(&self, head: usize) -> *mut f32 {
        unsafe { self.scores.add(head * self.stride) }
    }
}

/// scores[i] = q . k_i * k_scale * softmax_scale
pub unsafe fn score<C: Cached>(heads: &Heads, keys: &Ring, k_scale: v128, softmax_scale: v128) {
    unsafe {
        for first in (0..keys.count).step_by(GROUP) {
            let last = min(first + GROUP, keys.count);
            if C::COPIED && heads.count > 2 {
                let copy = copy::<C>(heads.room, heads.head_dim, keys, first, last);
                score_heads::<Copy>(heads, &copy, first, last, k_scale, softmax_scale);
            } else {
                score_heads::<C>(heads, keys, first, last, k_scale, softmax_scale);
            }
        }
    }
}

/// Scores of keys `first..last`, for all heads.
#[inline(always)]
unsafe fn score_heads<C: Row>(
    heads: &Heads,
    keys: &Ring,
    first: usize,
    last: usize,
    k_scale: v128,
    softmax_scale: v128,
) {
    unsafe {
        let mut head = 0;
        while head + 2 <= heads.count {
            score_group::<C, 2>(heads, head, keys, first, last, k_scale, softmax_scale);
            head += 2;
        }
        if head < heads.count {
            score_group::<C, 1>(heads, head, keys, first, last, k_scale, softmax_scale);
        }
    }
}

/// Scores of keys `first..last`, for H heads from `head` on.
#[inline(never)]
unsafe fn score_group<C: Row, const H: usize>(
    heads: &Heads,
    head: usize,
    keys: &Ring,
    first: usize,
    last: usize,
    k_scale: v128,
    softmax_scale: v128,
) {
    unsafe {
        if call::<C, H>(SCORE, heads, head, (keys, first, last), [k_scale, softmax_scale]) {
            return;
        }
        let constants = C::constants(opaque);
        let scaled = |sums: v128| f32x4_mul(f32x4_mul(sums, k_scale), softmax_scale);
        let q: [*const f32; H] = core::array::from_fn(|h| heads.row(head + h).cast_const());
        let scores: [*mut f32; H] = core::array::from_fn(|h| heads.scores(head + h));
        let mut i = first;
        while i + TILE <= last {
            let rows = [keys.row(i), keys.row(i + 1), keys.row(i + 2), keys.row(i + 3)];
            let [a, b, c, d] = products::<C, TILE, H>(q, rows, heads.head_dim, &constants);
            for h in 0..H {
                v128_store(scores[h].add(i).cast(), scaled(sums_of_four([a[h], b[h], c[h], d[h]])));
            }
            i += TILE;
        }
        while i < last {
            let [sums] = products::<C, 1, H>(q, [keys.row(i)], heads.head_dim, &constants);
            for h in 0..H {
                store(scores[h].add(i), 1, scaled(f32x4_splat(sum_lanes(sums[h]))));
            }
            i += 1;
        }
    }
}

/// Adds the lanes of four vectors, each as [`sum_lanes`] does.
#[inline(always)]
fn sums_of_four([a, b, c, d]: [v128; 4]) -> v128 {
    let (ab, cd) = (i32x4_shuffle::<0, 2, 4, 6>(a, b), i32x4_shuffle::<0, 2, 4, 6>(c, d));
    let (ef, gh) = (i32x4_shuffle::<1, 3, 5, 7>(a, b), i32x4_shuffle::<1, 3, 5, 7>(c, d));
    let (first, last) = (f32x4_add(ab, ef), f32x4_add(cd, gh));
    f32x4_add(i32x4_shuffle::<0, 2, 4, 6>(first, last), i32x4_shuffle::<1, 3, 5, 7>(first, last))
}

/// Products of H queries and N cached keys, in four lanes each.
#[inline(always)]
unsafe fn products<C: Row, const N: usize, const H: usize>(
    q: [*const f32; H],
    keys: [*const u8; N],
    head_dim: usize,
    constants: &C::Constants,
) -> [[v128; H]; N] {
    unsafe {
        let mut sums = [[f32x4_splat(0.0); H]; N];
        let mut d = 0;
        while d + BLOCK <= head_dim {
            // Short chains, of half a block each: a score's rounding errors become relative errors of its weight, so
            // they count more than a GEMM's.
            let mut halves = [[[f32x4_splat(0.0); H]; N]; 2];
            for half in 0..2 {
                for eight in 0..2 {
                    let d = d + 16 * half + 8 * eight;
                    let q = q.map(|q| [v128_load(q.add(d).cast()), v128_load(q.add(d + 4).cast())]);
                    for n in 0..N {
                        let k = C::eight(keys[n].add(d * C::SIZE), constants);
                        for h in 0..H {
                            let sum = &mut halves[half][n][h];
                            *sum = if eight == 0 {
                                f32x4_mul(k[0], q[h][0])
                            } else {
                                f32x4_relaxed_madd(k[0], q[h][0], *sum)
                            };
                            *sum = f32x4_relaxed_madd(k[1], q[h][1], *sum);
                        }
                    }
                }
            }
            for n in 0..N {
                for h in 0..H {
                    sums[n][h] = f32x4_add(sums[n][h], f32x4_add(halves[0][n][h], halves[1][n][h]));
                }
            }
            d += BLOCK;
        }
        while d + 8 <= head_dim {
            for n in 0..N {
                let k = C::eight(keys[n].add(d * C::SIZE), constants);
                for h in 0..H {
                    let (even, odd) = (v128_load(q[h].add(d).cast()), v128_load(q[h].add(d + 4).cast()));
                    sums[n][h] = f32x4_relaxed_madd(k[1], odd, f32x4_relaxed_madd(k[0], even, sums[n][h]));
                }
            }
            d += 8;
        }
        each_left_over(head_dim, |i, lanes| {
            for n in 0..N {
                let k = C::few(keys[n].add(i * C::SIZE), lanes);
                for h in 0..H {
                    sums[n][h] = f32x4_relaxed_madd(k, load(q[h].add(i), lanes), sums[n][h]);
                }
            }
        });
        sums
    }
}

/// rows = sum of weight_i * v_i, in prepared order. Rows hold zeros before.
pub unsafe fn weigh<C: Cached>(heads: &Heads, values: &Ring) {
    unsafe {
        for first in (0..values.count).step_by(GROUP) {
            let last = min(first + GROUP, values.count);
            if C::COPIED && heads.count > 2 {
                let copy = copy::<C>(heads.room, heads.head_dim, values, first, last);
                weigh_heads::<Copy>(heads, &copy, first, last);
            } else {
                weigh_heads::<C>(heads, values, first, last);
            }
        }
    }
}

/// Adds values `first..last` to the sums of all heads.
#[inline(always)]
unsafe fn weigh_heads<C: Row>(heads: &Heads, values: &Ring, first: usize, last: usize) {
    unsafe {
        let mut head = 0;
        while head + 2 <= heads.count {
            weigh_group::<C, 2>(heads, head, values, first, last);
            head += 2;
        }
        if head < heads.count {
            weigh_group::<C, 1>(heads, head, values, first, last);
        }
    }
}

/// Adds values `first..last` to the sums of H heads from `head` on.
#[inline(never)]
unsafe fn weigh_group<C: Row, const H: usize>(heads: &Heads, head: usize, values: &Ring, first: usize, last: usize) {
    unsafe {
        if call::<C, H>(WEIGH, heads, head, (values, first, last), [f32x4_splat(1.0); 2]) {
            return;
        }
        let constants = C::constants(opaque);
        let columns = Columns { heads, head, values, first, last };
        let mut d = 0;
        while d + 16 <= heads.head_dim {
            columns.add::<H, 4>(d, 4, d * C::SIZE, |at| {
                let ([a, b], [c, e]) = (C::eight(at, &constants), C::eight(at.add(8 * C::SIZE), &constants));
                [a, b, c, e]
            });
            d += 16;
        }
        if d + 8 <= heads.head_dim {
            columns.add::<H, 2>(d, 4, d * C::SIZE, |at| C::eight(at, &constants));
        }
        each_left_over(heads.head_dim, |i, lanes| {
            columns.add::<H, 1>(i, lanes, i * C::SIZE, |at| [C::few(at, lanes)]);
        });
    }
}

/// Values `first..last` and the heads from `head` on that they are added for.
struct Columns<'a> {
    heads: &'a Heads,
    head: usize,
    values: &'a Ring,
    first: usize,
    last: usize,
}

impl Columns<'_> {
    /// Adds what N vectors of `lanes` numbers give, from column `d` on, which lies `offset` bytes from a value's start.
    #[inline(always)]
    unsafe fn add<const H: usize, const N: usize>(
        &self,
        d: usize,
        lanes: usize,
        offset: usize,
        read: impl Fn(*const u8) -> [v128; N],
    ) {
        unsafe {
            let weights: [*const f32; H] = core::array::from_fn(|h| self.heads.scores(self.head + h).cast_const());
            let mut sums = [[f32x4_splat(0.0); N]; H];
            let middle = self.values.wrap().clamp(self.first, self.last);
            for (from, to) in [(self.first, middle), (middle, self.last)] {
                let mut i = from;
                let mut at = self.values.row(from).wrapping_add(offset);
                while i < to {
                    let v = read(at);
                    for h in 0..H {
                        let weight = v128_load32_splat(weights[h].add(i).cast());
                        for n in 0..N {
                            sums[h][n] = f32x4_relaxed_madd(v[n], weight, sums[h][n]);
                        }
                    }
                    i += 1;
                    at = at.wrapping_add(self.values.row_bytes);
                }
            }
            for h in 0..H {
                for n in 0..N {
                    let to = self.heads.row(self.head + h).add(d + 4 * n);
                    store(to, lanes, f32x4_add(load(to, lanes), sums[h][n]));
                }
            }
        }
    }
}
