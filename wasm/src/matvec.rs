//! The few-rows path of `linear`: weights multiply as they are decoded. Sums in the order of `dot.rs`.

use crate::dot::{BLOCK, Format, block_sum, cut_block};
use crate::four_rows::{FourRows, ROWS};
use crate::memory::{opaque, sum_lanes, turn};
use crate::mx;
use crate::record::{Record, Weights};
use core::arch::wasm32::*;

/// Output rows that are multiplied together.
const TOGETHER: usize = ROWS;

/// Multiplies all input rows with output rows `from..to`. Tiles of rows and input rows that have about as many sums as
/// fit in registers: every load costs three instructions (V8 checks bounds), so tiles share what they load. The rows of
/// a tile lie as far apart as they can, so that each is the next piece of a long stretch of memory, which processors
/// read ahead.
#[inline(always)]
pub unsafe fn direct<F: Format>(r: &Record, from: usize, to: usize, scratch: *mut u8) {
    unsafe {
        let scales = scratch.cast::<f32>();
        if F::SCALED {
            write_scales(scales, 1.0);
        }
        let apart = (to - from) / TOGETHER;
        for row in from..from + apart {
            tile::<F, TOGETHER>(r, row, apart, scales);
        }
        for row in from + TOGETHER * apart..to {
            tile::<F, 1>(r, row, 0, scales);
        }
    }
}

/// Multiplies all input rows with R output rows: `row` and every `apart`-th one after it.
#[inline(always)]
unsafe fn tile<F: Format, const R: usize>(r: &Record, row: usize, apart: usize, scales: *const f32) {
    unsafe {
        let mut pair = 0;
        if R == ROWS {
            while pair < r.pairs && four_rows::<F>(r, row, apart, pair, scales) {
                pair += 1;
            }
        }
        while pair + 2 <= r.pairs {
            rows::<F, R, 2>(r, row, apart, pair, scales);
            pair += 2;
        }
        if pair < r.pairs {
            rows::<F, R, 1>(r, row, apart, pair, scales);
        }
    }
}

/// Multiplies one input row with four output rows by a format's own loop; false if it has none for these rows.
#[inline(always)]
unsafe fn four_rows<F: Format>(r: &Record, row: usize, apart: usize, pair: usize, scales: *const f32) -> bool {
    unsafe {
        let w = &r.weights;
        let mut rows = FourRows {
            sums: [f32x4_splat(0.0); ROWS],
            largest: i32x4_splat(0),
            weights: core::array::from_fn(|i| w.row(row + i * apart)),
            bytes: core::array::from_fn(|i| w.row_scales(row + i * apart)),
            scales,
            x: r.x(pair),
        };
        let blocks = w.cols / BLOCK;
        if blocks == 0 || !F::four_rows(blocks, &mut rows) {
            return false;
        }
        for i in 0..ROWS {
            finish::<F>(r, row + i * apart, pair, rows.sums[i]);
        }
        true
    }
}

/// Multiplies N input rows, of pairs from `pair` on, with R output rows.
#[inline(never)]
unsafe fn rows<F: Format, const R: usize, const N: usize>(
    r: &Record,
    row: usize,
    apart: usize,
    pair: usize,
    scales: *const f32,
) {
    unsafe {
        let w = &r.weights;
        let x: [*const v128; N] = core::array::from_fn(|n| r.x(pair + n));
        let weights: [*const u8; R] = core::array::from_fn(|i| w.row(row + i * apart));
        let bytes: [*const u8; R] = core::array::from_fn(|i| w.row_scales(row + i * apart));
        let constants = F::constants(opaque);
        let mut sums = [[f32x4_splat(0.0); N]; R];
        for b in 0..w.cols / BLOCK {
            for i in 0..R {
                let block = F::block_with(weights[i].wrapping_add(b * F::BYTES), &constants);
                for n in 0..N {
                    let t = block_sum(&block, x[n].add(b * 8));
                    sums[i][n] = if F::SCALED {
                        let scale = scales.add(*bytes[i].wrapping_add(b) as usize);
                        f32x4_relaxed_madd(t, v128_load32_splat(scale.cast()), sums[i][n])
                    } else {
                        f32x4_add(sums[i][n], t)
                    };
                }
            }
        }
        // A copy: what is indexed in a loop that is not unrolled lies in memory.
        let sums = sums;
        for (i, sums) in sums.into_iter().enumerate() {
            for (n, sum) in sums.into_iter().enumerate() {
                finish::<F>(r, row + i * apart, pair + n, sum);
            }
        }
    }
}

/// Adds a last block that is cut to the sum of an output, and stores it.
#[inline(never)]
pub unsafe fn finish<F: Format>(r: &Record, row: usize, pair: usize, mut sum: v128) {
    unsafe {
        let (w, blocks) = (&r.weights, r.weights.cols / BLOCK);
        if w.cols % BLOCK != 0 {
            let cut = cut_block::<F>(w.row(row).add(blocks * F::BYTES), w.cols % BLOCK);
            let scale = f32x4_splat(Weights::block_scale(w.row_scales(row), blocks));
            let t = block_sum(&cut, r.x(pair).add(blocks * 8));
            sum = if F::SCALED { f32x4_relaxed_madd(t, scale, sum) } else { f32x4_add(sum, t) };
        }
        r.finish(row, pair, sum_lanes(sum));
    }
}

/// [`finish`] of the outputs of one row for `pairs` (1 to 4) pairs from `pair` on.
#[inline(never)]
pub unsafe fn finish_four<F: Format>(r: &Record, row: usize, pair: usize, pairs: usize, sums: &[v128; 4]) {
    unsafe {
        if r.weights.cols % BLOCK != 0 {
            for i in 0..pairs {
                finish::<F>(r, row, pair + i, sums[i]);
            }
        } else {
            let [a, b, c, d] = turn(*sums);
            r.finish_four(row, pair, pairs, f32x4_add(f32x4_add(a, b), f32x4_add(c, d)));
        }
    }
}

/// Writes [`mx::scale`] of all 256 bytes, times a unit: looking a scale up costs less than computing it.
pub unsafe fn write_scales(to: *mut f32, unit: f32) {
    unsafe {
        for i in (0..256u32).step_by(4) {
            let bytes = (i | (i + 1) << 8 | (i + 2) << 16 | (i + 3) << 24).to_le_bytes();
            v128_store(to.add(i as usize).cast(), f32x4_mul(mx::four_scales(bytes.as_ptr()), f32x4_splat(unit)));
        }
    }
}
