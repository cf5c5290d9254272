//! `attention`: softmax over the cached keys of a window, with a sink, then the weighted sum of values.
//!
//! Keys are counted from the first visible one, so the sums do not depend on where in the ring a key is stored. Each
//! score is one dot product; weights and values are summed over groups of 32 keys, then over the groups.
//!
//! The output row doubles as scratch: it first holds the query in prepared order, then the sums; nothing else reads it
//! before the unit is done. The next head follows directly in memory, and another thread may be writing it, so the up
//! to seven columns after the last whole eight are read and written without touching a byte beyond them.

use crate::bf16::{Bf16, round_if};
use crate::cache::{Cached, format};
use crate::dot::BLOCK;
use crate::exp::exp;
use crate::f32::F32;
use crate::fp8::E4m3fn;
use crate::memory::{Words, at, each_vector, load, natural_pair, prepared_pair, row, store, sum_lanes};
use crate::number;
use core::arch::wasm32::*;
use core::cmp::min;

/// Keys of a group: bounds the length of float32 sums.
const GROUP: usize = 32;

#[unsafe(no_mangle)]
unsafe extern "C" fn attention(desc: *const u32, start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        match d.get(6) {
            format::BF16 => units::<Bf16>(d, start as usize, end as usize, scratch.cast()),
            format::F32 => units::<F32>(d, start as usize, end as usize, scratch.cast()),
            format::FP8 => units::<E4m3fn>(d, start as usize, end as usize, scratch.cast()),
            _ => unreachable(),
        }
    }
}

/// The cached rows (keys or values) of a head that a token sees: `count` of them from position `first` on.
#[derive(Clone, Copy)]
struct Ring {
    base: usize,
    row_bytes: usize,
    capacity: usize,
    /// Entry of the first row.
    entry: usize,
    count: usize,
}

impl Ring {
    #[inline(always)]
    fn row(&self, i: usize) -> *const u8 {
        let entry = self.entry + i;
        let entry = if entry < self.capacity { entry } else { entry - self.capacity };
        (self.base + entry * self.row_bytes) as *const u8
    }
}

unsafe fn units<C: Cached>(d: Words, start: usize, end: usize, scores: *mut f32) {
    unsafe {
        let (out, out_stride, q, q_stride, k_cache, v_cache) =
            (d.get(0), d.get(1), d.get(2), d.get(3), d.get(4), d.get(5));
        let (slot_stride, head_stride, capacity, window) = (d.get(7), d.get(8), d.get(9), d.get(10));
        let (heads, kv_heads, head_dim) = (d.get(11), d.get(12), d.get(13));
        let (slots, positions) = (d.get(14) as *const u32, d.get(15) as *const u32);
        let (sinks, sinks_format, k_scale, v_scale) = (d.get(16), d.listed(17, number::F16), d.float(18), d.float(19));
        let (softmax_scale, round) = (d.float(20), d.get(21) != 0);
        for unit in start..end {
            let (token, head) = (unit / heads, unit % heads);
            let position = *positions.add(token) as usize;
            let first = if window == 0 { 0 } else { (position + 1).saturating_sub(window) };
            let group = head / (heads / kv_heads);
            let base = at(at(0, *slots.add(token) as usize, slot_stride), group, head_stride);
            let keys = Ring {
                base: k_cache.wrapping_add(base),
                row_bytes: head_dim * C::SIZE,
                capacity,
                entry: first % capacity,
                count: position + 1 - first,
            };
            let values = Ring { base: v_cache.wrapping_add(base), ..keys };
            let q = row(q, token, q_stride).add(head * head_dim);
            let out = row(out, token, out_stride).add(head * head_dim);
            prepare_query(out, q, head_dim);
            score::<C>(out, &keys, head_dim, scores, f32x4_splat(k_scale), f32x4_splat(softmax_scale));
            let sink = number::read(at(sinks, head, number::size(sinks_format)), sinks_format);
            let total = softmax(scores, keys.count, sink);
            weigh::<C>(out, &values, head_dim, scores);
            finish(out, head_dim, f32x4_splat(total), f32x4_splat(v_scale), round);
        }
    }
}

/// Calls `f(column, lanes)` for each vector of the columns after the last whole eight; those stay in natural order.
#[inline(always)]
fn each_left_over(head_dim: usize, mut f: impl FnMut(usize, usize)) {
    let whole = head_dim & !7;
    each_vector(head_dim - whole, |i, lanes| f(whole + i, lanes));
}

/// Copies the query with each whole 8 numbers in prepared order; the rest stays in natural order.
#[inline(always)]
unsafe fn prepare_query(to: *mut f32, q: *const f32, head_dim: usize) {
    unsafe {
        let whole = head_dim & !7;
        for i in (0..whole).step_by(8) {
            let [even, odd] = prepared_pair(v128_load(q.add(i).cast()), v128_load(q.add(i + 4).cast()));
            v128_store(to.add(i).cast(), even);
            v128_store(to.add(i + 4).cast(), odd);
        }
        each_left_over(head_dim, |i, lanes| store(to.add(i), lanes, load(q.add(i), lanes)));
    }
}

/// Products of a query and N cached keys, in four lanes each.
#[inline(always)]
unsafe fn products<C: Cached, const N: usize>(q: *const f32, keys: [*const u8; N], head_dim: usize) -> [v128; N] {
    unsafe {
        let mut sums = [f32x4_splat(0.0); N];
        let mut d = 0;
        while d + BLOCK <= head_dim {
            let q = *q.add(d).cast::<[v128; 8]>();
            for n in 0..N {
                let k = C::block(keys[n].add(d * C::SIZE));
                // Short chains: a score's rounding errors become relative errors of its weight, so they count more than
                // a GEMM's.
                let [mut a, mut b] = [f32x4_mul(k[0], q[0]), f32x4_mul(k[4], q[4])];
                for v in 1..4 {
                    a = f32x4_relaxed_madd(k[v], q[v], a);
                    b = f32x4_relaxed_madd(k[4 + v], q[4 + v], b);
                }
                sums[n] = f32x4_add(sums[n], f32x4_add(a, b));
            }
            d += BLOCK;
        }
        while d + 8 <= head_dim {
            let q = *q.add(d).cast::<[v128; 2]>();
            for n in 0..N {
                let k = C::eight(keys[n].add(d * C::SIZE));
                sums[n] = f32x4_relaxed_madd(k[1], q[1], f32x4_relaxed_madd(k[0], q[0], sums[n]));
            }
            d += 8;
        }
        each_left_over(head_dim, |i, lanes| {
            let q = load(q.add(i), lanes);
            for n in 0..N {
                sums[n] = f32x4_relaxed_madd(C::few(keys[n].add(i * C::SIZE), lanes), q, sums[n]);
            }
        });
        sums
    }
}

/// scores[i] = q . k_i * k_scale * softmax_scale
#[inline(always)]
unsafe fn score<C: Cached>(
    q: *const f32,
    keys: &Ring,
    head_dim: usize,
    scores: *mut f32,
    k_scale: v128,
    softmax_scale: v128,
) {
    unsafe {
        let scaled = |sums: v128| f32x4_mul(f32x4_mul(sums, k_scale), softmax_scale);
        let whole = keys.count & !3;
        for i in (0..whole).step_by(4) {
            let [a, b, c, d] =
                products::<C, 4>(q, [keys.row(i), keys.row(i + 1), keys.row(i + 2), keys.row(i + 3)], head_dim);
            // Adds the lanes of four vectors, each as `sum_lanes` does.
            let (ab, cd) = (i32x4_shuffle::<0, 2, 4, 6>(a, b), i32x4_shuffle::<0, 2, 4, 6>(c, d));
            let (ef, gh) = (i32x4_shuffle::<1, 3, 5, 7>(a, b), i32x4_shuffle::<1, 3, 5, 7>(c, d));
            let (first, last) = (f32x4_add(ab, ef), f32x4_add(cd, gh));
            let sums = f32x4_add(i32x4_shuffle::<0, 2, 4, 6>(first, last), i32x4_shuffle::<1, 3, 5, 7>(first, last));
            v128_store(scores.add(i).cast(), scaled(sums));
        }
        for i in whole..keys.count {
            let [sums] = products::<C, 1>(q, [keys.row(i)], head_dim);
            store(scores.add(i), 1, scaled(f32x4_splat(sum_lanes(sums))));
        }
    }
}

/// Replaces scores by e^(score - m), where m is the largest of the scores and the sink. Returns the sum of these and of
/// e^(sink - m).
#[inline(always)]
unsafe fn softmax(scores: *mut f32, count: usize, sink: f32) -> f32 {
    unsafe {
        let mut most = f32x4_splat(sink);
        // Lanes beyond the last score count as minus infinity.
        let from = |i: usize, lanes: usize| {
            let missing = i32x4_gt(i32x4(1, 2, 3, 4), i32x4_splat(lanes as i32));
            v128_bitselect(f32x4_splat(f32::NEG_INFINITY), load(scores.add(i), lanes), missing)
        };
        each_vector(count, |i, lanes| most = f32x4_max(most, from(i, lanes)));
        most = f32x4_max(most, i32x4_shuffle::<2, 3, 0, 1>(most, most));
        most = f32x4_max(most, i32x4_shuffle::<1, 0, 3, 2>(most, most));
        let mut total = f32x4_splat(0.0);
        let mut group = f32x4_splat(0.0);
        each_vector(count, |i, lanes| {
            let e = exp(f32x4_sub(from(i, lanes), most));
            store(scores.add(i), lanes, e);
            group = f32x4_add(group, e);
            if (i + 4) % GROUP == 0 || i + 4 >= count {
                total = f32x4_add(total, group);
                group = f32x4_splat(0.0);
            }
        });
        sum_lanes(total) + f32x4_extract_lane::<0>(exp(f32x4_sub(f32x4_splat(sink), most)))
    }
}

/// out = sum of weight_i * v_i, in prepared order.
#[inline(always)]
unsafe fn weigh<C: Cached>(out: *mut f32, values: &Ring, head_dim: usize, weights: *const f32) {
    unsafe {
        each_vector(head_dim, |i, lanes| store(out.add(i), lanes, f32x4_splat(0.0)));
        for first in (0..values.count).step_by(GROUP) {
            let last = min(first + GROUP, values.count);
            let mut d = 0;
            while d + BLOCK <= head_dim {
                weigh_group(out.add(d), 4, values, d * C::SIZE, weights, first, last, |at| C::block(at));
                d += BLOCK;
            }
            while d + 8 <= head_dim {
                weigh_group(out.add(d), 4, values, d * C::SIZE, weights, first, last, |at| C::eight(at));
                d += 8;
            }
            each_left_over(head_dim, |i, lanes| {
                weigh_group(out.add(i), lanes, values, i * C::SIZE, weights, first, last, |at| [C::few(at, lanes)]);
            });
        }
    }
}

/// Adds the weighted values `first..last` to N vectors of `lanes` columns, which begin at byte `offset` of a row.
#[inline(always)]
unsafe fn weigh_group<const N: usize>(
    out: *mut f32,
    lanes: usize,
    values: &Ring,
    offset: usize,
    weights: *const f32,
    first: usize,
    last: usize,
    read: impl Fn(*const u8) -> [v128; N],
) {
    unsafe {
        let mut sums = [f32x4_splat(0.0); N];
        for i in first..last {
            let v = read(values.row(i).add(offset));
            let weight = v128_load32_splat(weights.add(i).cast());
            for n in 0..N {
                sums[n] = f32x4_relaxed_madd(v[n], weight, sums[n]);
            }
        }
        for n in 0..N {
            let to = out.add(4 * n);
            store(to, lanes, f32x4_add(load(to, lanes), sums[n]));
        }
    }
}

/// Normalizes the sums and brings them back to natural order.
#[inline(always)]
unsafe fn finish(out: *mut f32, head_dim: usize, total: v128, v_scale: v128, round: bool) {
    unsafe {
        let normal = |v: v128| round_if(round, f32x4_mul(f32x4_div(v, total), v_scale));
        let whole = head_dim & !7;
        for i in (0..whole).step_by(8) {
            let [first, last] = natural_pair(v128_load(out.add(i).cast()), v128_load(out.add(i + 4).cast()));
            v128_store(out.add(i).cast(), normal(first));
            v128_store(out.add(i + 4).cast(), normal(last));
        }
        each_left_over(head_dim, |i, lanes| store(out.add(i), lanes, normal(load(out.add(i), lanes))));
    }
}
