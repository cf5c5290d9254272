//! The few-rows path of `linear` on integers, for weights of few bits and rows that `prepare` wrote as fixed ones too.
//! Sums in the order of `dot.rs`: the same bits, see `fixed.rs`.

use crate::dot::BLOCK;
use crate::fixed::{Block, UNFIT, starts_as_float};
use crate::four_rows::{FourRows, ROWS};
use crate::integers::{Factors, Integers};
use crate::matvec::{finish, write_scales};
use crate::one_row;
use crate::record::Record;
use core::arch::wasm32::*;

/// Block scales for floats lie this far after those for integers.
const PLAIN: usize = 256;
/// Output rows whose sums are made together: they share what is loaded of the input row. They lie as far apart as they
/// can, so that each is the next piece of a long stretch of memory, which processors read ahead.
const TOGETHER: usize = ROWS;

/// Multiplies all input rows with output rows `from..to`.
pub unsafe fn direct<F: Integers>(r: &Record, from: usize, to: usize, scratch: *mut u8) {
    unsafe { some::<F>(r, from, to, 0, r.pairs, scratch) }
}

/// Multiplies the input rows of `pairs` pairs from `first` on with output rows `from..to`.
pub unsafe fn some<F: Integers>(r: &Record, from: usize, to: usize, first: usize, pairs: usize, scratch: *mut u8) {
    unsafe {
        let scales = scratch.cast::<f32>();
        write_scales(scales, F::UNIT);
        write_scales(scales.add(PLAIN), 1.0);
        // Other input rows are like the first one, in all likelihood, and have the same bits either way.
        let apart = if F::by_eight_rows(r, first) { (to - from) / one_row::ROWS } else { 0 };
        for row in from..from + apart {
            for pair in first..first + pairs {
                F::eight_rows(r, row, apart, pair, scales.add(2 * PLAIN).cast());
            }
        }
        let from = from + one_row::ROWS * apart;
        let apart = (to - from) / TOGETHER;
        let dots = r.dots;
        for row in from..from + apart {
            for pair in first..first + pairs {
                if dots {
                    rows::<F, TOGETHER, true>(r, row, apart, pair, scales);
                } else {
                    rows::<F, TOGETHER, false>(r, row, apart, pair, scales);
                }
            }
        }
        for row in from + TOGETHER * apart..to {
            for pair in first..first + pairs {
                // Too few rows for two of them.
                rows::<F, 1, false>(r, row, 0, pair, scales);
            }
        }
    }
}

/// Multiplies the input row of a pair with R output rows: `row` and every `apart`-th one after it.
#[inline(never)]
unsafe fn rows<F: Integers, const R: usize, const DOTS: bool>(
    r: &Record,
    row: usize,
    apart: usize,
    pair: usize,
    scales: *const f32,
) {
    unsafe {
        let w = &r.weights;
        let tables = (F::tables(), Factors::new());
        let (x, blocks) = (r.x(pair), w.cols / BLOCK);
        let fixed = r.fixed(pair);
        let weights: [*const u8; R] = core::array::from_fn(|i| w.row(row + i * apart));
        let bytes: [*const u8; R] = core::array::from_fn(|i| w.row_scales(row + i * apart));
        let mut sums = [f32x4_splat(0.0); R];
        // Blocks of equal digits in loops of their own: one loop of all would have more values than registers.
        let mut b = 0;
        macro_rules! while_digits {
            ($digits:literal, $add:expr) => {
                while fixed.digits(b) == $digits {
                    for i in 0..R {
                        sums[i] = $add(sums[i], weights[i].wrapping_add(b * F::BYTES), bytes[i].wrapping_add(b));
                    }
                    b += 1;
                }
            };
        }
        while b < blocks {
            while_digits!(1, |sum, w, s| add::<F, 1, DOTS>(sum, &*fixed.block(b), w, &tables, scales, s));
            while_digits!(2, |sum, w, s| add::<F, 2, DOTS>(sum, &*fixed.block(b), w, &tables, scales, s));
            while_digits!(3, |sum, w, s| add::<F, 3, DOTS>(sum, &*fixed.block(b), w, &tables, scales, s));
            let from = b;
            while fixed.digits(b) == UNFIT {
                b += 1;
            }
            if b > from {
                let mut floats = FourRows {
                    sums: [f32x4_splat(0.0); ROWS],
                    largest: i32x4_splat(0),
                    weights: core::array::from_fn(|i| weights[i % R].wrapping_add(from * F::BYTES)),
                    bytes: core::array::from_fn(|i| bytes[i % R].wrapping_add(from)),
                    scales: scales.add(PLAIN),
                    x: x.add(from * 8),
                };
                floats.sums[..R].copy_from_slice(&sums);
                F::four_rows(b - from, &mut floats);
                sums.copy_from_slice(&floats.sums[..R]);
            }
        }
        // A copy: what is indexed in a loop that is not unrolled lies in memory.
        let sums = sums;
        for (i, sum) in sums.into_iter().enumerate() {
            finish::<F>(r, row + i * apart, pair, sum);
        }
    }
}

/// Adds the products of a block whose numbers have D digits.
#[inline(always)]
unsafe fn add<F: Integers, const D: usize, const DOTS: bool>(
    sum: v128,
    x: &Block,
    weights: *const u8,
    (tables, factors): &(F::Tables, Factors),
    scales: *const f32,
    byte: *const u8,
) -> v128 {
    unsafe {
        let t = F::add_products::<D, DOTS>(&x.digits, F::integers(weights, tables), factors, i32x4_splat(0));
        // Exact either way.
        let t = if starts_as_float(D, F::OFFSET) {
            f32x4_relaxed_madd(f32x4_convert_i32x4(t), x.unit, x.start)
        } else {
            f32x4_mul(f32x4_convert_i32x4(i32x4_add(t, x.start)), x.unit)
        };
        f32x4_relaxed_madd(t, v128_load32_splat(scales.add(*byte as usize).cast()), sum)
    }
}
