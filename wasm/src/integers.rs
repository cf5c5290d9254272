//! Stored formats whose numbers are small integers: how their blocks are looked up, and multiplied with digits of fixed
//! rows (`fixed.rs`).

use crate::dot::{BLOCK, Format};
use crate::few_digit;
use crate::fixed::{MOST_DIGITS, Row};
use crate::fp4::Fp4;
use crate::fp6::{E2m3, Fp6};
use crate::matvec::finish;
use crate::memory::opaque;
use crate::one_row::{self, OneRow};
use crate::record::Record;
use core::arch::wasm32::*;

/// What [`Integers::pairs`] multiplies by, each of them [`opaque`], as V8 would make it anew in every loop: 1, and the
/// base of digits.
pub struct Factors {
    pub one: v128,
    pub base: v128,
}

impl Factors {
    #[inline(always)]
    pub fn new() -> Factors {
        Factors { one: opaque(i16x8_splat(1)), base: opaque(i16x8_splat(256)) }
    }
}

/// A stored format whose numbers are integers of 7 bits, times one unit.
pub trait Integers: Format {
    /// What is added to every integer so that none is negative; their largest magnitude.
    const OFFSET: i32;
    /// The unit, and its exponent.
    const UNIT: f32;
    const UNIT_EXPONENT: i32;
    /// Constants.
    type Tables;
    /// The constants, each of them [`opaque`].
    fn tables() -> Self::Tables;
    /// The integers of a block, `OFFSET` added, in the order of [`crate::fixed::Block::digits`].
    unsafe fn integers(at: *const u8, tables: &Self::Tables) -> [v128; 2];

    /// The products of a digit of a block and integers times the number that each lane of `factor` is, four of them
    /// added: by an instruction that multiplies pairs of bytes. Two sums of pairs are added in 16 bits if they fit.
    #[inline(always)]
    fn pairs([a, b]: [v128; 2], [even, odd]: [v128; 2], factor: v128) -> v128 {
        let (even, odd) = (i16x8_relaxed_dot_i8x16_i7x16(a, even), i16x8_relaxed_dot_i8x16_i7x16(b, odd));
        if 4 * 128 * 2 * Self::OFFSET <= i16::MAX as i32 {
            i32x4_dot_i16x8(i16x8_add(even, odd), factor)
        } else {
            i32x4_add(i32x4_dot_i16x8(even, factor), i32x4_dot_i16x8(odd, factor))
        }
    }

    /// Adds the products of the D lowest digits of a block and integers, the highest first, to `t`: by dot products of
    /// bytes, or by pairs, for processors whose dot products of bytes are several instructions.
    #[inline(always)]
    fn add_products<const D: usize, const DOTS: bool>(
        digits: &[[v128; 2]; MOST_DIGITS],
        integers: [v128; 2],
        factors: &Factors,
        mut t: v128,
    ) -> v128 {
        let [even, odd] = integers;
        if DOTS {
            for d in (0..D).rev() {
                t = if d < D - 1 { i32x4_shl(t, 8) } else { t };
                t = i32x4_relaxed_dot_i8x16_i7x16_add(digits[d][0], even, t);
                t = i32x4_relaxed_dot_i8x16_i7x16_add(digits[d][1], odd, t);
            }
            return t;
        }
        if D == 3 {
            t = i32x4_add(t, Self::pairs(digits[2], integers, factors.base));
        }
        if D > 1 {
            let factor = if D == 3 { factors.one } else { factors.base };
            t = i32x4_add(t, Self::pairs(digits[1], integers, factor));
        }
        t = if D == 3 { i32x4_shl(t, 8) } else { t };
        i32x4_add(t, Self::pairs(digits[0], integers, factors.one))
    }

    /// The sums of N (2 to 8) input rows whose blocks all have one digit, and of four output rows, if the format has a
    /// loop for that, by dot products of bytes or by pairs; `blocks` is at least 1.
    #[inline(always)]
    unsafe fn one_digit<const N: usize, const DOTS: bool>(
        _blocks: usize,
        _weights: [*const u8; 4],
        _fixed: &[Row; N],
        _exponents: *const v128,
    ) -> Option<[[v128; 4]; N]> {
        None
    }

    /// Whether the format has a loop for eight output rows, and it is faster for the input row of this pair.
    #[inline(always)]
    unsafe fn by_eight_rows(_r: &Record, _pair: usize) -> bool {
        false
    }

    /// Multiplies the input row of a pair with eight output rows, `row` and every `apart`-th one after it, if
    /// [`Self::by_eight_rows`]. `scratch` is for the loop.
    #[inline(always)]
    unsafe fn eight_rows(_r: &Record, _row: usize, _apart: usize, _pair: usize, _scratch: *mut u8) {}
}

/// Constants of [`Fp4`].
pub struct Fp4Tables {
    values: v128,
    turn: v128,
    low: v128,
}

impl Integers for Fp4 {
    const OFFSET: i32 = 12;
    const UNIT: f32 = 0.5;
    const UNIT_EXPONENT: i32 = -1;
    type Tables = Fp4Tables;

    #[inline(always)]
    fn tables() -> Fp4Tables {
        Fp4Tables {
            values: opaque(i8x16(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0)),
            // Brings the bytes together whose columns one lane sums.
            turn: opaque(i8x16(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)),
            low: opaque(i8x16_splat(0x0f)),
        }
    }

    #[inline(always)]
    unsafe fn integers(at: *const u8, t: &Fp4Tables) -> [v128; 2] {
        // Relaxed: the indices are below 16, where all machines agree.
        let packed = i8x16_relaxed_swizzle(unsafe { v128_load(at.cast()) }, t.turn);
        let (even, odd) = (v128_and(packed, t.low), v128_and(u16x8_shr(packed, 4), t.low));
        [i8x16_relaxed_swizzle(t.values, even), i8x16_relaxed_swizzle(t.values, odd)]
    }

    #[inline(always)]
    unsafe fn one_digit<const N: usize, const DOTS: bool>(
        blocks: usize,
        weights: [*const u8; 4],
        fixed: &[Row; N],
        exponents: *const v128,
    ) -> Option<[[v128; 4]; N]> {
        let Fp4Tables { values, turn, low } = Self::tables();
        Some(unsafe { few_digit::multiply::<N, DOTS>(blocks, [values, turn, low], weights, fixed, exponents) })
    }

    #[inline(always)]
    unsafe fn by_eight_rows(r: &Record, pair: usize) -> bool {
        let blocks = r.weights.cols / BLOCK;
        // Where all blocks have one digit, loops over four rows have few enough values for registers.
        (1..=one_row::MOST_BLOCKS).contains(&blocks) && unsafe { r.fixed(pair).most_digits(blocks) } != 1
    }

    #[inline(always)]
    unsafe fn eight_rows(r: &Record, row: usize, apart: usize, pair: usize, scratch: *mut u8) {
        unsafe {
            let w = &r.weights;
            let mut rows = OneRow::new(apart.wrapping_mul(w.row_stride), r.x(pair), r.fixed(pair), scratch);
            rows.multiply(w, row, apart, w.cols / BLOCK, r.dots);
            for i in 0..one_row::ROWS {
                finish::<Fp4>(r, row + i * apart, pair, rows.sums[i]);
            }
        }
    }
}

/// Constants of [`Fp6`].
pub struct Fp6Tables {
    /// Which bytes of a vector make pairs of codes: of the first twelve, of the last twelve.
    pairs: [v128; 2],
    /// Brings a pair's codes to bits 4..10 and 10..16.
    align: v128,
    code: v128,
    swap: v128,
    magnitude: v128,
    bends: [v128; 2],
    offset: v128,
}

impl Integers for Fp6<E2m3> {
    const OFFSET: i32 = 60;
    const UNIT: f32 = 0.125;
    const UNIT_EXPONENT: i32 = -3;
    type Tables = Fp6Tables;

    #[inline(always)]
    fn tables() -> Fp6Tables {
        Fp6Tables {
            // Pairs 0 4 1 5 2 6 3 7 of eight.
            pairs: [
                opaque(i8x16(0, 1, 6, 7, 1, 2, 7, 8, 3, 4, 9, 10, 4, 5, 10, 11)),
                opaque(i8x16(4, 5, 10, 11, 5, 6, 11, 12, 7, 8, 13, 14, 8, 9, 14, 15)),
            ],
            align: opaque(i16x8(16, 16, 1, 1, 16, 16, 1, 1)),
            code: opaque(i16x8_splat(0x3f)),
            swap: opaque(i8x16(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15)),
            magnitude: opaque(i8x16_splat(0x1f)),
            bends: [opaque(i8x16_splat(16)), opaque(i8x16_splat(24))],
            offset: opaque(i8x16_splat(60)),
        }
    }

    #[inline(always)]
    unsafe fn integers(at: *const u8, t: &Fp6Tables) -> [v128; 2] {
        // The second load starts 8 bytes in, not 12, so as not to read beyond the block.
        let (first, last) = unsafe { (v128_load(at.cast()), v128_load(at.add(8).cast())) };
        let [first, last] = [i8x16_relaxed_swizzle(first, t.pairs[0]), i8x16_relaxed_swizzle(last, t.pairs[1])]
            .map(|pairs| i16x8_mul(pairs, t.align));
        let even = |v: v128| v128_and(u16x8_shr(v, 4), t.code);
        let odd = |v: v128| u16x8_shr(v, 10);
        [(even(first), even(last)), (odd(first), odd(last))].map(|(first, last)| {
            let codes = i8x16_relaxed_swizzle(v128_or(first, i16x8_shl(last, 8)), t.swap);
            // The magnitudes as integers: steps of 1 up to 16, of 2 up to code 24, then of 4.
            let magnitude = v128_and(codes, t.magnitude);
            let (two, four) = (u8x16_sub_sat(magnitude, t.bends[0]), u8x16_sub_sat(magnitude, t.bends[1]));
            let integer = i8x16_add(i8x16_add(magnitude, two), i8x16_add(four, four));
            let negative = i8x16_gt(codes, t.magnitude);
            i8x16_add(v128_xor(integer, negative), i8x16_sub(t.offset, negative))
        })
    }
}
