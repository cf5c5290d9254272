//! Products of packed blocks of integers; see `integer.rs`.

use crate::dot::BLOCK;
use crate::integer::{COUPLE, QUAD, W_BYTES, X_BYTES};
use crate::memory::sum_lanes;
use crate::record::Record;
use core::arch::wasm32::*;
use core::cmp::min;

/// Computes output rows `row .. row + rows` of `pairs` (1..=4) pairs from `pair` on, from what was packed.
pub unsafe fn multiply_quad(
    r: &Record,
    row: usize,
    rows: usize,
    pair: usize,
    pairs: usize,
    w: *const u8,
    x: *const u8,
) {
    unsafe {
        let blocks = r.weights.cols.div_ceil(BLOCK);
        for couple in 0..rows.div_ceil(COUPLE) {
            let sums = multiply(w.add(couple * blocks * W_BYTES), x, blocks);
            for i in 0..min(COUPLE, rows - couple * COUPLE) {
                for n in 0..pairs {
                    r.finish(row + couple * COUPLE + i, pair + n, sum_lanes(sums[i][n]));
                }
            }
        }
    }
}

/// Lane `I` in all lanes.
macro_rules! splat_lane {
    ($v:expr, 0) => {
        i32x4_shuffle::<0, 0, 0, 0>($v, $v)
    };
    ($v:expr, 1) => {
        i32x4_shuffle::<1, 1, 1, 1>($v, $v)
    };
    ($v:expr, 2) => {
        i32x4_shuffle::<2, 2, 2, 2>($v, $v)
    };
    ($v:expr, 3) => {
        i32x4_shuffle::<3, 3, 3, 3>($v, $v)
    };
}

/// The sums of two output rows and four input rows, in the four lanes of `dot.rs`.
///
/// A product of two vectors is one instruction on every processor (i16x8.relaxed_dot); four of them fit a 16-bit lane.
#[inline(never)]
unsafe fn multiply(mut w: *const u8, mut x: *const u8, blocks: usize) -> [[v128; QUAD]; COUPLE] {
    unsafe {
        let mut sums = [[f32x4_splat(0.0); QUAD]; COUPLE];
        for _ in 0..blocks {
            let exponents = v128_load(x.add(32 * QUAD).cast());
            let rows: [[v128; 2]; COUPLE] = core::array::from_fn(|i| {
                let at = w.add(48 * i).cast();
                [v128_load(at), v128_load(at.add(1))]
            });
            // The bits of both scales' product: exponents add up.
            let scales: [v128; COUPLE] =
                core::array::from_fn(|i| i32x4_add(v128_load32_splat(w.add(48 * COUPLE + 4 * i).cast()), exponents));
            macro_rules! input {
                ($n:tt) => {
                    let at = x.add(32 * $n).cast();
                    let (first, last) = (v128_load(at), v128_load(at.add(1)));
                    for i in 0..COUPLE {
                        let pairs = i16x8_add(
                            i16x8_relaxed_dot_i8x16_i7x16(rows[i][0], first),
                            i16x8_relaxed_dot_i8x16_i7x16(rows[i][1], last),
                        );
                        let offset = v128_load(w.add(48 * i + 32).cast());
                        let sum = i32x4_add(i32x4_dot_i16x8(pairs, i16x8_splat(1)), offset);
                        let scale = splat_lane!(scales[i], $n);
                        sums[i][$n] = f32x4_relaxed_madd(f32x4_convert_i32x4(sum), scale, sums[i][$n]);
                    }
                };
            }
            input!(0);
            input!(1);
            input!(2);
            input!(3);
            w = w.add(W_BYTES);
            x = x.add(X_BYTES);
        }
        sums
    }
}
