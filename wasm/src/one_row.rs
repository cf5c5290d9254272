//! One input row by eight output rows of MXFP4, as WebAssembly text (`one_row_text.rs`): whole rows at once, whichever
//! blocks fit integers (`fixed.rs`). Sums in the order of `dot.rs`: the same bits.
//!
//! What eight rows share is loaded once for all of them: a block of the input row, and how it is multiplied. Their
//! scales are brought to float32 before, many at a time. There is one loop for all kinds of blocks: loops of their own,
//! which begin and end every few blocks where only some of them fit, would load all constants and sums each time.

use crate::fixed::{Block, Row};
use crate::fp4::{HIGH, LOW};
use crate::mx::{self, four_scales};
use crate::record::Weights;
use core::arch::wasm32::*;
use core::cmp::min;

/// Output rows of a call.
pub const ROWS: usize = 8;
/// Bytes from the scales of an output row to those of the next one, which the text knows; some more than a power of
/// two, so that they do not all want the same lines of a cache.
const APART: usize = 2112;
/// Most blocks of a row.
pub const MOST_BLOCKS: usize = 512;
/// Blocks whose scales are brought to float32 at once.
const CHUNK: usize = 16;

/// What a loop reads and writes; the text knows its layout.
#[repr(C)]
pub struct OneRow {
    /// Receives the sums.
    pub sums: [v128; ROWS],
    constants: [v128; 9],
    /// The first output row's blocks, and bytes to the next row's.
    weights: *const u8,
    stride: usize,
    /// Scales of its blocks.
    scales: *const f32,
    /// The input row in prepared order, as integers, and digits of each block.
    x: *const v128,
    fixed: *const Block,
    digits: *const u8,
}

// Addresses: only the text looks at what lies there.
#[allow(improper_ctypes)]
unsafe extern "C" {
    fn one_row(n: usize, rows: *mut OneRow);
    /// The same by an instruction that multiplies pairs of bytes, for processors without one that multiplies and adds
    /// four (`byte_dots.rs`).
    fn one_row_pairs(n: usize, rows: *mut OneRow);
}

impl OneRow {
    /// For output rows that lie `stride` bytes apart, and an input row; `scratch` is for their scales.
    #[inline(always)]
    pub unsafe fn new(stride: usize, x: *const v128, fixed: Row, scratch: *mut u8) -> OneRow {
        OneRow {
            sums: [f32x4_splat(0.0); ROWS],
            constants: [
                i8x16_splat(0x0f),
                LOW,
                HIGH,
                i32x4_splat(0),
                i8x16(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0),
                i8x16(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
                f32x4_splat(0.5),
                i16x8_splat(1),
                i16x8_splat(256),
            ],
            weights: core::ptr::null(),
            stride,
            scales: scratch.cast(),
            x,
            fixed: unsafe { fixed.block(0) },
            digits: fixed.all_digits(),
        }
    }

    /// Multiplies output row `row` and every `apart`-th one after it, `n` blocks of each, at least one; by dot products
    /// of bytes, or by pairs.
    #[inline(always)]
    pub unsafe fn multiply(&mut self, w: &Weights, row: usize, apart: usize, n: usize, dots: bool) {
        unsafe {
            for i in 0..ROWS {
                write(w.row_scales(row + i * apart), n, self.scales.cast_mut().byte_add(i * APART));
            }
            self.weights = w.row(row);
            if dots { one_row(n, self) } else { one_row_pairs(n, self) }
        }
    }
}

/// Writes the scales of `n` bytes.
#[inline(always)]
unsafe fn write(bytes: *const u8, n: usize, to: *mut f32) {
    unsafe {
        for b in (0..n).step_by(CHUNK) {
            if n < CHUNK {
                return (0..n).for_each(|b| *to.add(b) = mx::scale(u32::from(*bytes.add(b))));
            }
            // The last ones may be among those before.
            let b = min(b, n - CHUNK);
            let found = v128_load(bytes.add(b).cast());
            let to = to.add(b).cast::<v128>();
            if v128_any_true(u8x16_lt(i8x16_add(found, u8x16_splat(1)), u8x16_splat(2))) {
                // A subnormal number or NaN is among them.
                (0..4).for_each(|i| v128_store(to.add(i), four_scales(bytes.add(b + 4 * i))));
            } else {
                let (low, high) = (u16x8_extend_low_u8x16(found), u16x8_extend_high_u8x16(found));
                v128_store(to, i32x4_shl(u32x4_extend_low_u16x8(low), 23));
                v128_store(to.add(1), i32x4_shl(u32x4_extend_high_u16x8(low), 23));
                v128_store(to.add(2), i32x4_shl(u32x4_extend_low_u16x8(high), 23));
                v128_store(to.add(3), i32x4_shl(u32x4_extend_high_u16x8(high), 23));
            }
        }
    }
}
