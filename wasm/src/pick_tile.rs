//! What `pick` multiplies: bf16 weights brought to digits of eight bits, six rows together, and their products with
//! digits of input rows.

use crate::bf16::{Upper, widen};
use crate::digits::has_ordinary_size;
use crate::memory::{opaque, turn};
use crate::pick_panel::SUMS;
use core::arch::wasm32::*;

/// Output rows of a unit of `pick`.
pub const TILE: usize = 12;
/// Output rows that are multiplied together with two rows of digits.
pub const ROWS: usize = 6;
/// Columns of a vector of digits.
pub const STEP: usize = 16;

/// The largest digit of a weight.
const WEIGHT: f32 = 127.0;
/// A float32 whose lowest bits are an integer's, once that is added to it.
const ROUNDER: f32 = 12_582_912.0;

/// What belongs to a row of weights.
pub struct RowFacts {
    /// What a digit stands for.
    pub scale: f32,
    /// At least the norm of the weights, and of what they are without their digits; infinite where they have none.
    pub norm: f32,
    pub rest: f32,
    /// Of the digits.
    pub sum: i32,
}

/// Rows whose largest magnitudes are looked for together: as many stretches of memory are read side by side, which is
/// faster than one after the other.
pub const STREAMS: usize = 4;

/// The largest magnitude of each of STREAMS rows of `steps` times 16 bf16 weights, as the bits of a float32.
#[inline(never)]
pub unsafe fn largest(rows: [*const u8; STREAMS], steps: usize) -> [u32; STREAMS] {
    unsafe {
        let mask = opaque(i16x8_splat(0x7fff));
        let mut most = [i16x8_splat(0); STREAMS];
        for step in 0..steps {
            for k in 0..STREAMS {
                let load = |i: usize| v128_and(v128_load(rows[k].wrapping_add(32 * step + 16 * i).cast()), mask);
                most[k] = u16x8_max(most[k], u16x8_max(load(0), load(1)));
            }
        }
        most.map(|most| {
            let most = u16x8_max(most, i64x2_shuffle::<1, 0>(most, most));
            let most = u16x8_max(most, i32x4_shuffle::<1, 0, 3, 2>(most, most));
            let most = u16x8_max(most, i32x4_shr(most, 16));
            (i32x4_extract_lane::<0>(most) as u32) << 16
        })
    }
}

/// Brings `steps` times 16 bf16 weights, of which `magnitude` is the largest one's, to digits of eight bits, which lie
/// six rows together.
#[inline(never)]
pub unsafe fn weight_digits(from: *const u8, steps: usize, magnitude: u32, to: *mut u8) -> RowFacts {
    unsafe {
        let load = |i: usize| v128_load(from.wrapping_add(16 * i).cast());
        let fits = has_ordinary_size(magnitude);
        let most = f32::from_bits(magnitude);
        let (scale, inverse) = if fits { (most / WEIGHT, WEIGHT / most) } else { (0.0, 0.0) };
        let (inverse, rounder) = (opaque(f32x4_splat(inverse)), opaque(f32x4_splat(ROUNDER)));
        let (upper, ones) = (Upper::new(opaque), opaque(i8x16_splat(1)));
        let (mut sum, mut squares) = (i32x4_splat(0), i32x4_splat(0));
        for step in 0..steps {
            // Of a row that does not fit they are of no importance.
            let digits = |i: usize| {
                let [even, odd] = widen(load(2 * step + i), &upper).map(|w| f32x4_relaxed_madd(w, inverse, rounder));
                i16x8_shuffle::<0, 9, 2, 11, 4, 13, 6, 15>(even, i32x4_shl(odd, 16))
            };
            let bytes = i8x16_narrow_i16x8(digits(0), digits(1));
            v128_store(to.add(step * ROWS * STEP).cast(), bytes);
            sum = i32x4_relaxed_dot_i8x16_i7x16_add(bytes, ones, sum);
            let size = i8x16_abs(bytes);
            squares = i32x4_relaxed_dot_i8x16_i7x16_add(size, size, squares);
        }
        let root = |x: f32| f32x4_extract_lane::<0>(f32x4_sqrt(f32x4_splat(x))) * (1.0 + 1.0 / 1024.0);
        // Each weight is off by half of the scale at most, and a little more where products are rounded.
        let rest = scale * 0.5 * root((steps * STEP) as f32);
        let norm = if fits {
            scale * root(total(squares) as f32) + rest
        } else if magnitude == 0 {
            0.0
        } else {
            f32::INFINITY
        };
        RowFacts { scale, norm, rest, sum: total(sum) }
    }
}

/// Multiplies 16 digits of weights with 16 of an input row and adds the products of four to each lane of `sum`: by a
/// dot product of bytes, or by an instruction that multiplies pairs of them, given ones of 16 bits, which two fit.
#[inline(always)]
fn dot<const DOTS: bool>(row: v128, x: v128, ones: v128, sum: v128) -> v128 {
    if DOTS {
        i32x4_relaxed_dot_i8x16_i7x16_add(row, x, sum)
    } else {
        i32x4_add(i32x4_dot_i16x8(i16x8_relaxed_dot_i8x16_i7x16(row, x), ones), sum)
    }
}

/// Multiplies six rows of weights with two rows of digits; writes the sums of each, with those in `begun`, at
/// `to` and `to + TILE`.
#[inline(never)]
pub unsafe fn multiply<const DOTS: bool>(
    mut w: *const u8,
    [mut a, mut b]: [*const u8; 2],
    steps: usize,
    begun: &[v128; SUMS],
    to: *mut i32,
) {
    unsafe {
        let ones = opaque(i16x8_splat(1));
        let mut sums: [[v128; 2]; ROWS] = core::array::from_fn(|i| [begun[2 * i], begun[2 * i + 1]]);
        for _ in 0..steps {
            let x = [v128_load(a.cast()), v128_load(b.cast())];
            macro_rules! output {
                ($i:tt) => {
                    let row = v128_load(w.add(STEP * $i).cast());
                    sums[$i][0] = dot::<DOTS>(row, x[0], ones, sums[$i][0]);
                    sums[$i][1] = dot::<DOTS>(row, x[1], ones, sums[$i][1]);
                };
            }
            output!(0);
            output!(1);
            output!(2);
            output!(3);
            output!(4);
            output!(5);
            w = w.add(STEP * ROWS);
            a = a.add(STEP);
            b = b.add(STEP);
        }
        let sums = sums;
        let totals = |v: [v128; 4]| {
            let [a, b, c, d] = turn(v);
            i32x4_add(i32x4_add(a, b), i32x4_add(c, d))
        };
        for k in 0..2 {
            v128_store(to.add(k * TILE).cast(), totals([sums[0][k], sums[1][k], sums[2][k], sums[3][k]]));
        }
        let last = totals([sums[4][0], sums[5][0], sums[4][1], sums[5][1]]);
        v128_store64_lane::<0>(last, to.add(4).cast());
        v128_store64_lane::<1>(last, to.add(TILE + 4).cast());
    }
}

/// The sum of products of one of six rows of weights with a row of digits.
#[inline(never)]
pub unsafe fn multiply_one(w: *const u8, x: *const u8, steps: usize) -> i32 {
    unsafe {
        let ones = opaque(i16x8_splat(1));
        // As many sums as do not wait for each other; columns are whole blocks, of two steps.
        let mut sums = [i32x4_splat(0); 2];
        for step in (0..steps).step_by(2) {
            for k in 0..2 {
                let row = v128_load(w.add((step + k) * ROWS * STEP).cast());
                // So few that pairs will do anywhere.
                sums[k] = dot::<false>(row, v128_load(x.add((step + k) * STEP).cast()), ones, sums[k]);
            }
        }
        total(i32x4_add(sums[0], sums[1]))
    }
}

/// The sum of four lanes.
#[inline(always)]
fn total(v: v128) -> i32 {
    i32x4_extract_lane::<0>(v) + i32x4_extract_lane::<1>(v) + i32x4_extract_lane::<2>(v) + i32x4_extract_lane::<3>(v)
}
