//! `attention`: softmax over the cached keys of a window, with a sink, then the weighted sum of values.
//!
//! Keys are counted from the first visible one, so the sums do not depend on where in the ring a key is stored. Each
//! score is one dot product; weights and values are summed over groups of 32 keys, then over the groups. A unit is some
//! heads of a token that share keys and values, which it reads once.
//!
//! The output row doubles as scratch: it first holds the query in prepared order, then the sums; nothing else reads it
//! before the unit is done. The next head follows directly in memory, and another thread may be writing it, so the up
//! to seven columns after the last whole eight are read and written without touching a byte beyond them.

use crate::attention_products::{GROUP, Heads, score, weigh};
use crate::attention_rows::Ring;
use crate::bf16::{Bf16, round_if};
use crate::cache::{Cached, format};
use crate::exp::{self, exp, exp_with};
use crate::f32::F32;
use crate::fp8::E4m3fn;
use crate::memory::{Words, at, each_vector, load, natural_pair, opaque, prepared_pair, row, store, sum_lanes};
use crate::number;
use core::arch::wasm32::*;

/// Most heads of a unit.
const MOST_TOGETHER: usize = 64;

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

unsafe fn units<C: Cached>(d: Words, start: usize, end: usize, scores: *mut f32) {
    unsafe {
        let (out, out_stride, q, q_stride, k_cache, v_cache) =
            (d.get(0), d.get(1), d.get(2), d.get(3), d.get(4), d.get(5));
        let (slot_stride, head_stride, capacity, window) = (d.get(7), d.get(8), d.get(9), d.get(10));
        let (heads, kv_heads, head_dim) = (d.get(11), d.get(12), d.get(13));
        let (slots, positions) = (d.get(14) as *const u32, d.get(15) as *const u32);
        let (sinks, sinks_format, k_scale, v_scale) = (d.get(16), d.listed(17, number::F16), d.float(18), d.float(19));
        let (softmax_scale, round) = (d.float(20), d.get(21) != 0);
        let together = d.get(22);
        for unit in start..end {
            let (token, head) = (unit / (heads / together), unit % (heads / together) * together);
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
            let some = Heads {
                rows: row(out, token, out_stride).add(head * head_dim),
                head_dim,
                scores,
                stride: keys.count.next_multiple_of(4),
                count: together,
                room: scores.add(together * keys.count.next_multiple_of(4)),
            };
            for i in 0..together {
                prepare_query(some.row(i), row(q, token, q_stride).add((head + i) * head_dim), head_dim);
            }
            score::<C>(&some, &keys, f32x4_splat(k_scale), f32x4_splat(softmax_scale));
            let mut totals = [0.0; MOST_TOGETHER];
            for i in 0..together {
                let sink = number::read(at(sinks, head + i, number::size(sinks_format)), sinks_format);
                totals[i] = softmax(some.scores(i), keys.count, sink);
                each_vector(head_dim, |d, lanes| store(some.row(i).add(d), lanes, f32x4_splat(0.0)));
            }
            weigh::<C>(&some, &values);
            for i in 0..together {
                finish(some.row(i), head_dim, f32x4_splat(totals[i]), f32x4_splat(v_scale), round);
            }
        }
    }
}

/// Calls `f(column, lanes)` for each vector of the columns after the last whole eight; those stay in natural order.
#[inline(always)]
pub fn each_left_over(head_dim: usize, mut f: impl FnMut(usize, usize)) {
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

/// Replaces scores by e^(score - m), where m is the largest of the scores and the sink. Returns the sum of these and of
/// e^(sink - m).
#[inline(never)]
unsafe fn softmax(scores: *mut f32, count: usize, sink: f32) -> f32 {
    unsafe {
        // Lanes beyond the last score count as minus infinity.
        let from = |i: usize, lanes: usize| {
            let missing = i32x4_gt(i32x4(1, 2, 3, 4), i32x4_splat(lanes as i32));
            v128_bitselect(f32x4_splat(f32::NEG_INFINITY), load(scores.add(i), lanes), missing)
        };
        // Largest scores of every fourth vector: one after the other would wait for each other.
        let mut four = [f32x4_splat(sink); 4];
        let whole = count & !15;
        for i in (0..whole).step_by(16) {
            for k in 0..4 {
                four[k] = larger(four[k], v128_load(scores.add(i + 4 * k).cast()));
            }
        }
        let mut most = larger(larger(four[0], four[1]), larger(four[2], four[3]));
        each_vector(count - whole, |i, lanes| most = larger(most, from(whole + i, lanes)));
        most = larger(most, i32x4_shuffle::<2, 3, 0, 1>(most, most));
        most = larger(most, i32x4_shuffle::<1, 0, 3, 2>(most, most));
        let constants = exp::Constants::new(opaque);
        let mut total = f32x4_splat(0.0);
        let whole = count - count % GROUP;
        for first in (0..whole).step_by(GROUP) {
            let at = scores.add(first).cast::<v128>();
            let mut ordinary = i32x4_splat(-1);
            for i in 0..GROUP / 4 {
                ordinary = v128_and(ordinary, exp::is_ordinary(f32x4_sub(v128_load(at.add(i)), most), &constants));
            }
            let mut group = f32x4_splat(0.0);
            if i32x4_all_true(ordinary) {
                for i in 0..GROUP / 4 {
                    let e = exp::ordinary(f32x4_sub(v128_load(at.add(i)), most), &constants);
                    v128_store(at.add(i), e);
                    group = f32x4_add(group, e);
                }
            } else {
                for i in 0..GROUP / 4 {
                    let e = exp_with(f32x4_sub(v128_load(at.add(i)), most), &constants);
                    v128_store(at.add(i), e);
                    group = f32x4_add(group, e);
                }
            }
            total = f32x4_add(total, group);
        }
        if whole < count {
            let mut group = f32x4_splat(0.0);
            each_vector(count - whole, |i, lanes| {
                let e = exp_with(f32x4_sub(from(whole + i, lanes), most), &constants);
                store(scores.add(whole + i), lanes, e);
                group = f32x4_add(group, e);
            });
            total = f32x4_add(total, group);
        }
        sum_lanes(total) + f32x4_extract_lane::<0>(exp(f32x4_sub(f32x4_splat(sink), most)))
    }
}

/// The larger lanes. A NaN in `new` is passed over, as noticing costs more: its weight is NaN, whatever is the largest.
#[inline(always)]
fn larger(most: v128, new: v128) -> v128 {
    v128_bitselect(new, most, f32x4_gt(new, most))
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
