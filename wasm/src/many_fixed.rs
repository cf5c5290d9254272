//! Many input rows of one digit or two (`fixed.rs`) by MXFP4 weights, on integers: the loops of `few.rs`, for eight
//! output rows after the other, so that what a tile makes of a pair is stored together. Sums in the order of `dot.rs`.

use crate::dot::BLOCK;
use crate::exponents::Exponents;
use crate::few::{MOST, MOST_EXPONENT, ROWS, Sums, add_sums};
use crate::finish::Finish;
use crate::fp4::Fp4;
use crate::integers::Integers;
use crate::matvec_fixed;
use crate::memory::turn;
use crate::record::{Record, TILE, Way, format};
use core::arch::wasm32::*;
use core::cmp::min;

/// Most pairs whose input rows pass over all output rows before the next ones do: those rows fit an L2 cache.
const MOST_PAIRS: usize = 64;
/// Fewest pairs: parts and groups of about the same size have five input rows at least then.
const FEWEST_PAIRS: usize = 17;
/// Most pairs of two digits where there is no dot product of bytes: more are multiplied as fast in float32, and those
/// of one digit faster by tiles (docs/measurements/matvec.md).
const MOST_BY_PAIRS: usize = 24;
/// Most digits of an input row's blocks.
const MOST_DIGITS: u8 = 2;

/// Whether a matrix multiplies many input rows that can all be read as fixed rows of one digit or two.
pub unsafe fn are_fixed(r: &Record) -> bool {
    let blocks = r.weights.cols / BLOCK;
    r.pairs >= FEWEST_PAIRS
        && r.weights.format == format::MXFP4
        && r.weights.cols % BLOCK == 0
        && r.has_fixed()
        && r.integers
        && match (0..r.pairs).map(|pair| unsafe { r.fixed(pair).most_digits(blocks) }).max() {
            Some(1) => r.dots,
            Some(MOST_DIGITS) => r.pairs <= MOST_BY_PAIRS || r.dots,
            _ => false,
        }
}

/// Multiplies all input rows, which [`are_fixed`], with tiles `first..last`.
pub unsafe fn many_fixed(r: &Record, first: usize, last: usize, scratch: *mut u8) {
    unsafe {
        let parts = Parts { all: r.pairs, count: r.pairs.div_ceil(MOST_PAIRS) };
        for part in 0..parts.count {
            let pairs = parts.first(part)..parts.first(part + 1);
            let groups = Parts { all: pairs.len(), count: pairs.len().div_ceil(MOST) };
            for tile in first..last {
                multiply_tile(r, tile * TILE, pairs.start, &groups, scratch);
            }
        }
    }
}

/// Some things cut into parts of about the same size.
struct Parts {
    all: usize,
    count: usize,
}

impl Parts {
    /// Where a part begins.
    fn first(&self, part: usize) -> usize {
        part * (self.all / self.count) + min(part, self.all % self.count)
    }
}

/// Multiplies the input rows of pairs from `first` on, in groups, with the tile of output rows from `row` on.
unsafe fn multiply_tile(r: &Record, row: usize, first: usize, groups: &Parts, scratch: *mut u8) {
    unsafe {
        let blocks = r.weights.cols / BLOCK;
        let rows = min(TILE, r.weights.rows - row);
        // The last row again in places of others.
        let fours: [[usize; ROWS]; TILE / ROWS] =
            core::array::from_fn(|four| core::array::from_fn(|i| row + min(four * ROWS + i, rows - 1)));
        let at = [scratch, scratch.wrapping_add(16 * blocks)];
        for (at, rows_of_four) in at.into_iter().zip(&fours) {
            let room = Exponents { at, apart: 16 };
            if !room.write(&r.weights, rows_of_four, Fp4::UNIT_EXPONENT - 127, MOST_EXPONENT) {
                return matvec_fixed::some::<Fp4>(r, row, row + rows, first, groups.all, scratch);
            }
        }
        r.count(Way::Integers, groups.all);
        let (finish, exponents) = (Finish::new(r, row, rows), at.map(|at| at.cast_const().cast()));
        for group in 0..groups.count {
            let pair = first + groups.first(group);
            match groups.first(group + 1) - groups.first(group) {
                5 => multiply::<5>(r, &fours, pair, exponents, &finish),
                6 => multiply::<6>(r, &fours, pair, exponents, &finish),
                7 => multiply::<7>(r, &fours, pair, exponents, &finish),
                _ => multiply::<MOST>(r, &fours, pair, exponents, &finish),
            }
        }
    }
}

/// Multiplies the input rows of N pairs from `pair` on with eight output rows.
unsafe fn multiply<const N: usize>(
    r: &Record,
    fours: &[[usize; ROWS]; TILE / ROWS],
    pair: usize,
    exponents: [*const v128; TILE / ROWS],
    finish: &Finish,
) {
    unsafe {
        let blocks = r.weights.cols / BLOCK;
        let digits = (pair..pair + N).map(|pair| r.fixed(pair).most_digits(blocks)).max().unwrap_or(MOST_DIGITS);
        let mut sums: [Sums<N>; TILE / ROWS] = [[[f32x4_splat(0.0); ROWS]; N]; TILE / ROWS];
        for (four, sums) in sums.iter_mut().enumerate() {
            add_sums::<Fp4, N>(r, &fours[four], pair, digits, exponents[four], sums);
        }
        for n in 0..N {
            let all = sums.each_ref().map(|four| {
                let [a, b, c, d] = turn(four[n]);
                f32x4_add(f32x4_add(a, b), f32x4_add(c, d))
            });
            finish.store(pair + n, all);
        }
    }
}
