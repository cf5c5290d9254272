//! Scales of MX blocks as what they add to the exponent of a float32: a product with a power of two is a sum then.

use crate::dot::BLOCK;
use crate::memory::{opaque, turn};
use crate::record::Weights;
use core::arch::wasm32::*;
use core::cmp::min;

/// Rows whose scales are written together.
const ROWS: usize = 4;

/// Where they go: for each block a vector, one lane a row.
pub struct Exponents {
    pub at: *mut u8,
    /// Bytes from one block's to the next one's.
    pub apart: usize,
}

impl Exponents {
    /// Writes the scale bytes of four rows plus `exponent`, in a float32's place of the exponent. False if one of the
    /// scales is not 2^-most to 2^most.
    #[inline(never)]
    pub unsafe fn write(&self, w: &Weights, rows: &[usize; ROWS], exponent: i32, most: i32) -> bool {
        unsafe {
            let blocks = w.cols.div_ceil(BLOCK);
            let rows = rows.map(|row| w.row_scales(row));
            let add = opaque(i32x4_splat(exponent));
            let (mut least, mut largest) = (i32x4_splat(127), i32x4_splat(127));
            let mut to = self.at;
            // Four blocks of each row at once.
            for b in (0..blocks).step_by(4) {
                let bytes = if b + 4 <= blocks {
                    let widen = |v: v128| u32x4_extend_low_u16x8(u16x8_extend_low_u8x16(v));
                    rows.map(|row| widen(v128_load32_zero(row.add(b).cast())))
                } else {
                    let byte = |row: *const u8, i: usize| i32::from(*row.add(min(b + i, blocks - 1)));
                    rows.map(|row| i32x4(byte(row, 0), byte(row, 1), byte(row, 2), byte(row, 3)))
                };
                for v in bytes {
                    least = i32x4_min(least, v);
                    largest = i32x4_max(largest, v);
                }
                let turned = turn(bytes.map(|v| i32x4_shl(i32x4_add(v, add), 23)));
                for i in 0..min(4, blocks - b) {
                    v128_store(to.cast(), turned[i]);
                    to = to.wrapping_add(self.apart);
                }
            }
            let (low, high) = (i32x4_splat(127 - most), i32x4_splat(127 + most));
            !v128_any_true(v128_or(i32x4_lt(least, low), i32x4_gt(largest, high)))
        }
    }
}
