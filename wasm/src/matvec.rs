//! The few-rows path of `linear`: weights multiply as they are decoded, up to four input rows at a time. Sums in the
//! order of `dot.rs`.

use crate::dot::{BLOCK, Format, block_sum, cut_block};
use crate::memory::sum_lanes;
use crate::mx;
use crate::record::{Record, Weights};
use core::arch::wasm32::*;

/// Multiplies all input rows with output rows `from..to`.
#[inline(always)]
pub unsafe fn direct<F: Format>(r: &Record, from: usize, to: usize) {
    unsafe {
        let mut pair = 0;
        while pair + 4 <= r.pairs {
            rows::<F, 4>(r, from, to, pair);
            pair += 4;
        }
        while pair + 2 <= r.pairs {
            rows::<F, 2>(r, from, to, pair);
            pair += 2;
        }
        if pair < r.pairs {
            rows::<F, 1>(r, from, to, pair);
        }
    }
}

/// Multiplies N input rows, of pairs from `pair` on, with output rows `from..to`.
#[inline(never)]
unsafe fn rows<F: Format, const N: usize>(r: &Record, from: usize, to: usize, pair: usize) {
    unsafe {
        let w = &r.weights;
        let x: [*const v128; N] = core::array::from_fn(|n| r.x(pair + n));
        for row in from..to {
            let sums = dots::<F, N>(w.row(row), w.row_scales(row), x, w.cols);
            for n in 0..N {
                r.finish(row, pair + n, sum_lanes(sums[n]));
            }
        }
    }
}

/// Products of a stored row and N prepared rows, in four lanes each.
#[inline(always)]
unsafe fn dots<F: Format, const N: usize>(
    w: *const u8,
    scales: *const u8,
    x: [*const v128; N],
    cols: usize,
) -> [v128; N] {
    unsafe {
        let blocks = cols / BLOCK;
        let mut sums = [f32x4_splat(0.0); N];
        let add = |sums: &mut [v128; N], b: usize, w: [v128; 8], scale: v128| {
            for n in 0..N {
                let t = block_sum(&w, x[n].add(b * 8));
                sums[n] = if F::SCALED { f32x4_relaxed_madd(t, scale, sums[n]) } else { f32x4_add(sums[n], t) };
            }
        };
        let mut b = 0;
        if F::SCALED {
            while b + 4 <= blocks {
                let s = mx::four_scales(scales.add(b));
                let block = |i: usize| F::block(w.add((b + i) * F::BYTES));
                add(&mut sums, b, block(0), i32x4_shuffle::<0, 0, 0, 0>(s, s));
                add(&mut sums, b + 1, block(1), i32x4_shuffle::<1, 1, 1, 1>(s, s));
                add(&mut sums, b + 2, block(2), i32x4_shuffle::<2, 2, 2, 2>(s, s));
                add(&mut sums, b + 3, block(3), i32x4_shuffle::<3, 3, 3, 3>(s, s));
                b += 4;
            }
        }
        while b < blocks {
            add(&mut sums, b, F::block(w.add(b * F::BYTES)), f32x4_splat(Weights::block_scale(scales, b)));
            b += 1;
        }
        if cols % BLOCK != 0 {
            let cut = cut_block::<F>(w.add(b * F::BYTES), cols % BLOCK);
            add(&mut sums, b, cut, f32x4_splat(Weights::block_scale(scales, b)));
        }
        sums
    }
}
