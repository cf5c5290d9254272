//! Products of packed blocks of integers; see `integer.rs`.

use crate::finish::Finish;
use crate::gemm::Quads;
use crate::integer::{QUAD, ROWS, W_BYTES, X_BYTES};
use crate::memory::turn;
use crate::panel::Panel;
use crate::splat_lane::splat_lane;
use core::arch::wasm32::*;
use core::cmp::{max, min};

/// How many blocks of eight output rows, 14 KiB, stay in an L1 cache beside those of four input rows.
const BLOCKS: usize = 48;

/// Computes output rows `row .. row + rows` of the quads whose bit is set, from what was packed.
pub unsafe fn multiply_quads(rows: usize, quads: &Quads, which: u32, w: *const u8, panel: &Panel, finish: &Finish) {
    unsafe {
        let blocks = quads.blocks();
        let chosen = || (0..quads.count()).filter(|quad| which >> quad & 1 == 1);
        panel.clear(quads.count() * QUAD);
        // A rank may have no columns.
        let at_once = max(1, blocks).div_ceil(max(1, blocks).div_ceil(BLOCKS));
        for block in (0..blocks).step_by(at_once) {
            let count = min(at_once, blocks - block);
            for quad in chosen() {
                let x = quads.address(quad).add(block * X_BYTES);
                for four in 0..rows.div_ceil(ROWS) {
                    let w = w.add((four * blocks + block) * W_BYTES);
                    let sums = panel.sums(quad * QUAD).add(four * ROWS * QUAD);
                    match (quads.dots, quads.pairs_of(quad).1) {
                        (true, 1) => multiply::<true, 1>(w, x, count, sums),
                        (true, 2) => multiply::<true, 2>(w, x, count, sums),
                        (true, 3) => multiply::<true, 3>(w, x, count, sums),
                        (true, _) => multiply::<true, 4>(w, x, count, sums),
                        (false, 1) => multiply::<false, 1>(w, x, count, sums),
                        (false, 2) => multiply::<false, 2>(w, x, count, sums),
                        (false, 3) => multiply::<false, 3>(w, x, count, sums),
                        (false, _) => multiply::<false, 4>(w, x, count, sums),
                    }
                }
            }
        }
        for quad in chosen() {
            let (pair, pairs) = quads.pairs_of(quad);
            for n in 0..pairs {
                let half = |half: usize| {
                    let [a, b, c, d] =
                        turn(core::array::from_fn(|i| *panel.sums(quad * QUAD).add((half * 4 + i) * QUAD + n)));
                    f32x4_add(f32x4_add(a, b), f32x4_add(c, d))
                };
                finish.store(pair + n, [half(0), half(1)]);
            }
        }
    }
}

/// Adds `blocks` blocks to the sums of four output rows and the first N of four input rows, in the four lanes of
/// `dot.rs`.
///
/// Where processors have no instruction that multiplies and adds bytes (DOTS is false), one multiplies pairs of them,
/// four of whose sums fit a 16-bit lane.
#[inline(never)]
unsafe fn multiply<const DOTS: bool, const N: usize>(mut w: *const u8, mut x: *const u8, blocks: usize, to: *mut v128) {
    unsafe {
        let mut sums: [[v128; QUAD]; ROWS] = *to.cast();
        for _ in 0..blocks {
            let rows: [[v128; 2]; ROWS] = *w.cast();
            let scales = v128_load(w.add(32 * ROWS).cast());
            macro_rules! output {
                ($n:tt, $i:tt, $x:expr, $scale:expr) => {
                    let ([first, last, correction], [even, odd]) = ($x, rows[$i]);
                    let sum = if DOTS {
                        let sum = i32x4_relaxed_dot_i8x16_i7x16_add(first, even, correction);
                        i32x4_relaxed_dot_i8x16_i7x16_add(last, odd, sum)
                    } else {
                        let pairs = i16x8_add(
                            i16x8_relaxed_dot_i8x16_i7x16(first, even),
                            i16x8_relaxed_dot_i8x16_i7x16(last, odd),
                        );
                        i32x4_add(i32x4_dot_i16x8(pairs, i16x8_splat(1)), correction)
                    };
                    let scale = splat_lane!($scale, $i);
                    sums[$i][$n] = f32x4_relaxed_madd(f32x4_convert_i32x4(sum), scale, sums[$i][$n]);
                };
            }
            macro_rules! input {
                ($n:tt) => {
                    if $n < N {
                        let packed: [v128; 3] = *x.add(48 * $n).cast();
                        // The bits of the scales' products: exponents add up.
                        let scale = i32x4_add(scales, v128_load32_splat(x.add(48 * QUAD + 4 * $n).cast()));
                        output!($n, 0, packed, scale);
                        output!($n, 1, packed, scale);
                        output!($n, 2, packed, scale);
                        output!($n, 3, packed, scale);
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
        *to.cast() = sums;
    }
}
