//! Blocks as 8-bit integers: numbers of few bits that share a power of two multiply and add exactly as integers,
//! several times faster than as float32. A block's sums are the same numbers either way, and are scaled and added in
//! the order of `dot.rs`: the bits of the result are those of the float32 path. See "Blocks of few bits" in ABI.md.

use crate::dot::{BLOCK, Format};
use crate::fp4::Fp4;
use crate::fp6::{E2m3, Fp6};
use crate::memory::sum_lanes;
use crate::mx;
use crate::record::{Record, TILE, Weights, format};
use core::arch::wasm32::*;
use core::cmp::min;

/// Input rows that are multiplied together.
pub const QUAD: usize = 4;
/// Output rows that are multiplied together.
const COUPLE: usize = 2;
/// Bytes of a packed block of four input rows: two vectors of integers each, then the bits to add to a scale.
pub const X_BYTES: usize = QUAD * 32 + QUAD * 4;
/// Bytes of a packed block of two output rows: two vectors of integers and one of corrections each, then two scales.
const W_BYTES: usize = COUPLE * 48 + 16;
/// Bytes of a packed block of a tile.
pub const TILE_BYTES: usize = TILE / COUPLE * W_BYTES;

/// Input integers are stored plus this: one factor of the product has no sign and 7 bits.
const OFFSET: i32 = 64;
/// Bits of an input integer's magnitude: 63 at most.
const BITS: i32 = 6;
/// Largest magnitude of an exponent (of an input's quantum; of a block's scale) for which all their products, sums and
/// combinations are normal float32s.
const MOST_EXPONENT: i32 = 60;
/// 1.5 * 2^23: a float32 whose lowest bits are an integer's, once that is added to it.
const ROUNDER: f32 = 12_582_912.0;

/// Stored weights that are integers of 7 bits and a sign times one power of two.
trait Integers: Format {
    /// The exponent of that power.
    const EXPONENT: i32;

    /// The integers of a block. Lane l of the two vectors holds, a byte each, lanes l of [`Format::block`]'s vectors 0
    /// to 3 and 4 to 7.
    #[inline(always)]
    unsafe fn integers(at: *const u8) -> [v128; 2] {
        let inverse = f32x4_splat(power(-Self::EXPONENT));
        pack(unsafe { Self::block(at) }.map(|v| integer(f32x4_mul(v, inverse), 0)))
    }
}

impl Integers for Fp4 {
    const EXPONENT: i32 = -1;

    #[inline(always)]
    unsafe fn integers(at: *const u8) -> [v128; 2] {
        const TWICE: v128 = i8x16(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
        let packed = unsafe { v128_load(at.cast()) };
        // Relaxed: the indices are below 16, where all machines agree.
        let even = i8x16_relaxed_swizzle(TWICE, v128_and(packed, i8x16_splat(0x0f)));
        let odd = i8x16_relaxed_swizzle(TWICE, v128_and(u16x8_shr(packed, 4), i8x16_splat(0x0f)));
        [
            i8x16_shuffle::<0, 16, 4, 20, 1, 17, 5, 21, 2, 18, 6, 22, 3, 19, 7, 23>(even, odd),
            i8x16_shuffle::<8, 24, 12, 28, 9, 25, 13, 29, 10, 26, 14, 30, 11, 27, 15, 31>(even, odd),
        ]
    }
}

impl Integers for Fp6<E2m3> {
    const EXPONENT: i32 = -3;
}

/// Whether weights can be multiplied as integers.
pub fn has_integers(w: &Weights) -> bool {
    !w.transposed && matches!(w.format, format::MXFP4 | format::MXFP6_E2M3)
}

/// 2^exponent, which must be normal.
#[inline(always)]
fn power(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

/// Float32s that are integers of less than 22 bits, plus an offset, as 32-bit integers.
#[inline(always)]
fn integer(y: v128, offset: i32) -> v128 {
    i32x4_sub(f32x4_add(y, f32x4_splat(ROUNDER)), i32x4_splat(ROUNDER.to_bits() as i32 - offset))
}

/// The lowest bytes of lanes l of vectors 0 to 3, and 4 to 7, as lanes l of two vectors.
#[inline(always)]
fn pack(v: [v128; 8]) -> [v128; 2] {
    let byte = |v: v128| v128_and(v, i32x4_splat(0xff));
    let four = |a, b, c, d| {
        let low = v128_or(byte(a), i32x4_shl(byte(b), 8));
        v128_or(v128_or(low, i32x4_shl(byte(c), 16)), i32x4_shl(d, 24))
    };
    [four(v[0], v[1], v[2], v[3]), four(v[4], v[5], v[6], v[7])]
}

/// Packs `pairs` (1..=4) input rows, of pairs from `pair` on. False if some block does not fit.
#[inline(never)]
pub unsafe fn pack_quad(r: &Record, pair: usize, pairs: usize, to: *mut u8) -> bool {
    unsafe {
        for i in 0..QUAD {
            let x = r.x(pair + min(i, pairs - 1));
            for b in 0..r.weights.cols.div_ceil(BLOCK) {
                let block: [v128; 8] = core::array::from_fn(|v| v128_load(x.add(8 * b + v)));
                let to = to.add(b * X_BYTES);
                let Some(exponent) = pack_input(&block, to.add(32 * i).cast()) else { return false };
                *to.add(32 * QUAD).cast::<i32>().add(i) = exponent << 23;
            }
        }
        true
    }
}

/// Packs a block of an input row as integers; returns the exponent of their quantum, or None where they do not fit: the
/// largest number has at most 6 bits, and all others are multiples of its lowest one.
#[inline(always)]
unsafe fn pack_input(block: &[v128; 8], to: *mut v128) -> Option<i32> {
    let amax = mx::amax_bits(block);
    let exponent = if amax == 0 { 0 } else { (amax >> 23) as i32 - 127 - (BITS - 1) };
    if exponent.abs() > MOST_EXPONENT {
        return None;
    }
    let (inverse, quantum) = (f32x4_splat(power(-exponent)), f32x4_splat(power(exponent)));
    let mut same = i32x4_splat(-1);
    let integers = core::array::from_fn(|i| {
        let y = f32x4_mul(block[i], inverse);
        let rounded = f32x4_sub(f32x4_add(y, f32x4_splat(ROUNDER)), f32x4_splat(ROUNDER));
        // Against the number itself, as y may have underflowed.
        same = v128_and(same, f32x4_eq(f32x4_mul(rounded, quantum), block[i]));
        integer(rounded, OFFSET)
    });
    if !i32x4_all_true(same) {
        return None;
    }
    let [first, last] = pack(integers);
    unsafe {
        v128_store(to, first);
        v128_store(to.add(1), last);
    }
    Some(exponent)
}

/// Packs `rows` (1..=8) output rows from `row` on. False if some block's scale is too large or too small.
pub unsafe fn pack_tile(w: &Weights, row: usize, rows: usize, to: *mut u8) -> bool {
    unsafe {
        match w.format {
            format::MXFP4 => pack_rows::<Fp4>(w, row, rows, to),
            format::MXFP6_E2M3 => pack_rows::<Fp6<E2m3>>(w, row, rows, to),
            _ => unreachable(),
        }
    }
}

#[inline(never)]
unsafe fn pack_rows<F: Integers>(w: &Weights, row: usize, rows: usize, to: *mut u8) -> bool {
    unsafe {
        let blocks = w.cols.div_ceil(BLOCK);
        for i in 0..rows.next_multiple_of(COUPLE) {
            let row = row + min(i, rows - 1);
            let (from, scales) = (w.row(row), w.row_scales(row));
            let to = to.add(i / COUPLE * blocks * W_BYTES);
            for b in 0..blocks {
                let scale = i32::from(*scales.add(b));
                if (scale - 127).abs() > MOST_EXPONENT {
                    return false;
                }
                let from = from.add(b * F::BYTES);
                let columns = min(BLOCK, w.cols - b * BLOCK);
                let [first, last] = if columns == BLOCK { F::integers(from) } else { cut_integers::<F>(from, columns) };
                let to = to.add(b * W_BYTES);
                let vectors = to.add(i % COUPLE * 48).cast::<v128>();
                v128_store(vectors, first);
                v128_store(vectors.add(1), last);
                // What the inputs' offset adds to the sum of each lane, to be taken away.
                let ones = i8x16_splat(1);
                let pairs =
                    i16x8_add(i16x8_relaxed_dot_i8x16_i7x16(first, ones), i16x8_relaxed_dot_i8x16_i7x16(last, ones));
                v128_store(vectors.add(2), i32x4_mul(i32x4_extadd_pairwise_i16x8(pairs), i32x4_splat(-OFFSET)));
                *to.add(COUPLE * 48).cast::<i32>().add(i % COUPLE) = (scale + F::EXPONENT) << 23;
            }
        }
        true
    }
}

/// The integers of a block that is cut at the end of a row after `columns` numbers.
#[inline(never)]
unsafe fn cut_integers<F: Integers>(at: *const u8, columns: usize) -> [v128; 2] {
    let mut bytes = [0u8; BLOCK];
    unsafe {
        core::ptr::copy_nonoverlapping(at, bytes.as_mut_ptr(), (columns * F::BYTES).div_ceil(BLOCK));
        F::integers(bytes.as_ptr())
    }
}

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
