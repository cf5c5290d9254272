//! A few input rows at once by weights of few bits, on integers: four output rows are decoded and multiplied with two
//! to eight fixed rows (`fixed.rs`) at a time. Sums in the order of `dot.rs`: the same bits as those of
//! `matvec_fixed.rs` and `gemm.rs`.

use crate::dot::{BLOCK, block_sum};
use crate::exponents::Exponents;
use crate::fixed::{Block, Row, UNFIT};
use crate::integers::{Factors, Integers};
use crate::matvec::finish_four;
use crate::matvec_fixed;
use crate::record::Record;
use crate::splat_lane::splat_lane;
use core::arch::wasm32::*;
use core::cmp::min;

/// Output rows that are multiplied together. They lie as far apart as they can, so that each is the next piece of a
/// long stretch of memory, which processors read ahead.
pub const ROWS: usize = 4;
/// Most input rows that are, where all blocks have one digit or two.
pub const MOST: usize = 8;
/// Most input rows of which some blocks have more digits or do not fit.
const MOST_MIXED: usize = 4;
/// Most pairs of a call.
pub const MOST_PAIRS: usize = 16;
/// Largest magnitude of a block scale's exponent for which it times a unit is a normal float32: those are 2^-100 to
/// 2^74.
pub const MOST_EXPONENT: i32 = 24;

/// Sums of N input rows and four output rows, in the four lanes of `dot.rs`.
pub type Sums<const N: usize> = [[v128; ROWS]; N];

/// Multiplies all input rows, at least two, with output rows `from..to`.
pub unsafe fn few<F: Integers>(r: &Record, from: usize, to: usize, scratch: *mut u8) {
    unsafe {
        let apart = (to - from) / ROWS;
        let exponents = Exponents { at: scratch, apart: 16 };
        let blocks = r.weights.cols / BLOCK;
        let most_digits = (0..r.pairs).map(|pair| r.fixed(pair).most_digits(blocks)).max().unwrap_or(1);
        let count = r.pairs.div_ceil(if most_digits > 2 { MOST_MIXED } else { MOST });
        // Groups of about the same size, so that none is one row alone.
        let first = |group: usize| group * (r.pairs / count) + min(group, r.pairs % count);
        let digits: [u8; MOST_PAIRS.div_ceil(MOST_MIXED)] = core::array::from_fn(|group| {
            let pairs = if group < count { first(group)..first(group + 1) } else { 0..0 };
            pairs.map(|pair| r.fixed(pair).most_digits(blocks)).max().unwrap_or(1)
        });
        for row in from..from + apart {
            let rows = core::array::from_fn(|i| row + i * apart);
            if !exponents.write(&r.weights, &rows, F::UNIT_EXPONENT - 127, MOST_EXPONENT) {
                for row in rows {
                    matvec_fixed::direct::<F>(r, row, row + 1, scratch);
                }
                continue;
            }
            for group in 0..count {
                let pair = first(group);
                match first(group + 1) - pair {
                    2 => multiply::<F, 2>(r, &rows, pair, digits[group], scratch.cast()),
                    3 => multiply::<F, 3>(r, &rows, pair, digits[group], scratch.cast()),
                    4 => multiply::<F, 4>(r, &rows, pair, digits[group], scratch.cast()),
                    5 => multiply::<F, 5>(r, &rows, pair, digits[group], scratch.cast()),
                    6 => multiply::<F, 6>(r, &rows, pair, digits[group], scratch.cast()),
                    7 => multiply::<F, 7>(r, &rows, pair, digits[group], scratch.cast()),
                    _ => multiply::<F, 8>(r, &rows, pair, digits[group], scratch.cast()),
                }
            }
        }
        if from + ROWS * apart < to {
            matvec_fixed::direct::<F>(r, from + ROWS * apart, to, scratch);
        }
    }
}

/// Rows that are multiplied: four output rows, and N input rows both as integers and as floats.
struct Rows<'a, const N: usize> {
    weights: [*const u8; ROWS],
    exponents: *const v128,
    fixed: [Row; N],
    floats: &'a [*const v128; N],
}

/// Multiplies four output rows with the input rows of N pairs from `pair` on, given the most digits of those.
unsafe fn multiply<F: Integers, const N: usize>(
    r: &Record,
    rows: &[usize; ROWS],
    pair: usize,
    digits: u8,
    exponents: *const v128,
) {
    unsafe {
        let mut sums = [[f32x4_splat(0.0); ROWS]; N];
        add_sums::<F, N>(r, rows, pair, digits, exponents, &mut sums);
        for i in 0..ROWS {
            for four in (0..N).step_by(4) {
                let sums = core::array::from_fn(|n| sums[min(four + n, N - 1)][i]);
                finish_four::<F>(r, rows[i], pair + four, min(N - four, 4), &sums);
            }
        }
    }
}

/// Puts the sums of four output rows, scales of whose blocks are `exponents`, and of the input rows of N pairs from
/// `pair` on in the place of zeros, given the most digits of those input rows.
#[inline(always)]
pub unsafe fn add_sums<F: Integers, const N: usize>(
    r: &Record,
    rows: &[usize; ROWS],
    pair: usize,
    digits: u8,
    exponents: *const v128,
    sums: &mut Sums<N>,
) {
    unsafe {
        let blocks = r.weights.cols / BLOCK;
        let from = Rows {
            weights: rows.map(|row| r.weights.row(row)),
            exponents,
            fixed: core::array::from_fn(|n| r.fixed(pair + n)),
            floats: &core::array::from_fn(|n| r.x(pair + n)),
        };
        match r.dots {
            true => add_digits::<F, N, true>(&from, blocks, digits, sums),
            false => add_digits::<F, N, false>(&from, blocks, digits, sums),
        }
    }
}

/// [`add_sums`] by dot products of bytes or by pairs.
#[inline(always)]
unsafe fn add_digits<F: Integers, const N: usize, const DOTS: bool>(
    from: &Rows<N>,
    blocks: usize,
    digits: u8,
    sums: &mut Sums<N>,
) {
    unsafe {
        // Functions of their own: V8 keeps fewer values in registers where one has several loops.
        match digits {
            1 => match one_digit::<F, N, DOTS>(from, blocks) {
                Some(all) => *sums = all,
                None => alike::<F, 1, N, DOTS>(from, blocks, sums),
            },
            2 => alike::<F, 2, N, DOTS>(from, blocks, sums),
            // There are no more together; the condition keeps the compiler from making loops for them.
            _ if N > MOST_MIXED => (),
            _ => mixed::<F, N, DOTS>(from, blocks, sums),
        }
    }
}

/// The sums where all blocks have one digit, if a format has a loop of its own for that.
#[inline(always)]
unsafe fn one_digit<F: Integers, const N: usize, const DOTS: bool>(from: &Rows<N>, blocks: usize) -> Option<Sums<N>> {
    if blocks == 0 {
        return None;
    }
    unsafe { F::one_digit::<N, DOTS>(blocks, from.weights, &from.fixed, from.exponents) }
}

/// Adds the products of blocks all of which can be read as if they had D digits (1 or 2).
#[inline(never)]
unsafe fn alike<F: Integers, const D: usize, const N: usize, const DOTS: bool>(
    from: &Rows<N>,
    blocks: usize,
    to: &mut Sums<N>,
) {
    unsafe {
        let (tables, factors) = (F::tables(), Factors::new());
        let mut weights = from.weights;
        let mut x: [*const Block; N] = from.fixed.map(|row| row.block(0));
        let mut sums = *to;
        for b in 0..blocks {
            let rows = weights.map(|at| F::integers(at, &tables));
            let scales = *from.exponents.add(b);
            macro_rules! output {
                ($n:tt, $i:tt, $x:expr) => {
                    let ((unit, start, digits), [even, odd]) = ($x, rows[$i]);
                    let t = if DOTS && D == 2 {
                        // Beside the low digit's products and not before them: a processor waits for chains that long.
                        let [low, high, _] = digits;
                        let t = i32x4_relaxed_dot_i8x16_i7x16_add(low[0], even, start);
                        let t = i32x4_relaxed_dot_i8x16_i7x16_add(low[1], odd, t);
                        let more = i32x4_relaxed_dot_i8x16_i7x16_add(high[0], even, i32x4_splat(0));
                        let more = i32x4_relaxed_dot_i8x16_i7x16_add(high[1], odd, more);
                        i32x4_add(i32x4_shl(more, 8), t)
                    } else {
                        F::add_products::<D, DOTS>(&digits, rows[$i], &factors, start)
                    };
                    // The product of a unit and a scale: their exponents' sum.
                    let scale = i32x4_add(unit, splat_lane!(scales, $i));
                    sums[$n][$i] = f32x4_relaxed_madd(f32x4_convert_i32x4(t), scale, sums[$n][$i]);
                };
            }
            macro_rules! input {
                ($n:tt) => {
                    if $n < N {
                        let x = ((*x[$n]).unit, (*x[$n]).integer_start, (*x[$n]).digits);
                        output!($n, 0, x);
                        output!($n, 1, x);
                        output!($n, 2, x);
                        output!($n, 3, x);
                    }
                };
            }
            input!(0);
            input!(1);
            input!(2);
            input!(3);
            input!(4);
            input!(5);
            input!(6);
            input!(7);
            weights = weights.map(|at| at.wrapping_add(F::BYTES));
            x = x.map(|x| x.wrapping_add(1));
        }
        *to = sums;
    }
}

/// The same where most have two digits, some three, and some do not fit.
#[inline(never)]
unsafe fn mixed<F: Integers, const N: usize, const DOTS: bool>(from: &Rows<N>, blocks: usize, to: &mut Sums<N>) {
    unsafe {
        let (tables, factors) = (F::tables(), Factors::new());
        let mut weights = from.weights;
        let mut x: [*const Block; N] = from.fixed.map(|row| row.block(0));
        let digits = from.fixed.map(|row| row.all_digits());
        let mut sums = *to;
        for b in 0..blocks {
            let rows = weights.map(|at| F::integers(at, &tables));
            let scales = *from.exponents.add(b);
            macro_rules! output {
                ($n:tt, $i:tt, $x:expr, $t:expr) => {
                    let ((unit, start, [low, middle, _]), [even, odd]) = ($x, rows[$i]);
                    let t = if DOTS {
                        let t = i32x4_relaxed_dot_i8x16_i7x16_add(middle[0], even, $t[$i]);
                        let t = i32x4_shl(i32x4_relaxed_dot_i8x16_i7x16_add(middle[1], odd, t), 8);
                        let t = i32x4_relaxed_dot_i8x16_i7x16_add(low[0], even, i32x4_add(t, start));
                        i32x4_relaxed_dot_i8x16_i7x16_add(low[1], odd, t)
                    } else {
                        let t = i32x4_add(i32x4_shl($t[$i], 8), start);
                        let t = i32x4_add(t, F::pairs(middle, rows[$i], factors.base));
                        i32x4_add(t, F::pairs(low, rows[$i], factors.one))
                    };
                    let scale = i32x4_add(unit, splat_lane!(scales, $i));
                    sums[$n][$i] = f32x4_relaxed_madd(f32x4_convert_i32x4(t), scale, sums[$n][$i]);
                };
            }
            macro_rules! input {
                ($n:tt) => {
                    if $n < N {
                        let count = *digits[$n].add(b);
                        if count == UNFIT {
                            // A copy, so that the sums themselves need not lie in memory.
                            let mut some = sums[$n];
                            floats::<F>(&weights, scales, from.floats[$n].add(8 * b), &mut some);
                            sums[$n] = some;
                        } else {
                            let Block { unit, integer_start, digits, .. } = *x[$n];
                            let mut t = [i32x4_splat(0); ROWS];
                            if count == 3 {
                                let high = digits[2];
                                t = rows.map(|[even, odd]| {
                                    let t = i32x4_relaxed_dot_i8x16_i7x16_add(high[0], even, i32x4_splat(0));
                                    let t = i32x4_shl(i32x4_relaxed_dot_i8x16_i7x16_add(high[1], odd, t), 8);
                                    if DOTS { t } else { F::pairs(high, [even, odd], factors.base) }
                                });
                            }
                            let x = (unit, integer_start, digits);
                            output!($n, 0, x, t);
                            output!($n, 1, x, t);
                            output!($n, 2, x, t);
                            output!($n, 3, x, t);
                        }
                    }
                };
            }
            input!(0);
            input!(1);
            input!(2);
            input!(3);
            weights = weights.map(|at| at.wrapping_add(F::BYTES));
            x = x.map(|x| x.wrapping_add(1));
        }
        *to = sums;
    }
}

/// Adds the products of a block with an input row that does not fit, in float32.
#[inline(never)]
unsafe fn floats<F: Integers>(weights: &[*const u8; ROWS], exponents: v128, x: *const v128, sums: &mut [v128; ROWS]) {
    unsafe {
        let scales = i32x4_add(exponents, i32x4_splat((127 - F::UNIT_EXPONENT) << 23));
        let scales = [splat_lane!(scales, 0), splat_lane!(scales, 1), splat_lane!(scales, 2), splat_lane!(scales, 3)];
        for i in 0..ROWS {
            sums[i] = f32x4_relaxed_madd(block_sum(&F::block(weights[i]), x), scales[i], sums[i]);
        }
    }
}
