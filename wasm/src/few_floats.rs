//! A few input rows at once in float32: the blocks of two output rows are decoded in registers and multiplied with
//! those of two to six input rows. Sums in the order of `dot.rs`: the same bits as those of `matvec.rs` and `gemm.rs`.
//!
//! The loop (`few_floats_text.rs`) is written out for the reasons of `four_rows.rs`. Of the shapes that 15 registers
//! allow this one needs the fewest instructions: a load of an input, two with its comparison, serves two multiply-adds,
//! and what decodes four weights, two and a half, as many as there are input rows.

use crate::bf16::{Bf16, UPPER};
use crate::dot::{BLOCK, Format};
use crate::fp4::{Fp4, HIGH, LOW};
use crate::matvec::{self, finish_four, write_scales};
use crate::memory::opaque;
use crate::record::Record;
use core::arch::wasm32::*;
use core::cmp::min;

/// Output rows that are multiplied together. They lie as far apart as they can, so that each is the next piece of a
/// long stretch of memory, which processors read ahead.
pub const ROWS: usize = 2;
/// Most input rows that are.
const MOST: usize = 6;

/// Times two output rows that one group of input rows passes over before the next one does: what they take stays in an
/// L2 cache, however many groups there are.
const CHUNK: usize = 8;

/// What a loop reads and writes; the text knows its layout.
#[repr(C)]
pub struct Tile {
    /// Receives the sums.
    sums: [[v128; ROWS]; MOST],
    constants: [v128; 4],
    /// The output rows' first blocks.
    weights: [*const u8; ROWS],
    /// The scale bytes of those.
    bytes: [*const u8; ROWS],
    /// The input rows in prepared order; the last one again in places of others.
    x: [*const v128; MOST],
    /// Scales by their byte.
    scales: *const f32,
}

// Addresses: only the text looks at what lies there.
#[allow(improper_ctypes)]
unsafe extern "C" {
    fn few_fp4_2(blocks: usize, tile: *mut Tile);
    fn few_fp4_3(blocks: usize, tile: *mut Tile);
    fn few_fp4_4(blocks: usize, tile: *mut Tile);
    fn few_fp4_5(blocks: usize, tile: *mut Tile);
    fn few_fp4_6(blocks: usize, tile: *mut Tile);
    fn few_bf16_3(blocks: usize, tile: *mut Tile);
    fn few_bf16_4(blocks: usize, tile: *mut Tile);
    fn few_bf16_5(blocks: usize, tile: *mut Tile);
    fn few_bf16_6(blocks: usize, tile: *mut Tile);
}

/// What leaves the low nibble of each byte.
const NIBBLES: v128 = i32x4(0x0f0f_0f0f, 0x0f0f_0f0f, 0x0f0f_0f0f, 0x0f0f_0f0f);

/// A stored format with loops for a few input rows.
pub trait Few: Format {
    /// Constants of the loops.
    const CONSTANTS: [v128; 4];
    /// Adds the products of `blocks` (at least 1) blocks with `inputs` input rows.
    unsafe fn multiply(inputs: usize, blocks: usize, tile: &mut Tile);
}

impl Few for Fp4 {
    const CONSTANTS: [v128; 4] = [NIBBLES, LOW, HIGH, i32x4(0, 0, 0, 0)];

    #[inline(always)]
    unsafe fn multiply(inputs: usize, blocks: usize, tile: &mut Tile) {
        unsafe {
            match inputs {
                2 => few_fp4_2(blocks, tile),
                3 => few_fp4_3(blocks, tile),
                4 => few_fp4_4(blocks, tile),
                5 => few_fp4_5(blocks, tile),
                _ => few_fp4_6(blocks, tile),
            }
        }
    }
}

impl Few for Bf16 {
    const CONSTANTS: [v128; 4] = [i32x4(UPPER, UPPER, UPPER, UPPER); 4];

    #[inline(always)]
    unsafe fn multiply(inputs: usize, blocks: usize, tile: &mut Tile) {
        unsafe {
            match inputs {
                3 => few_bf16_3(blocks, tile),
                4 => few_bf16_4(blocks, tile),
                5 => few_bf16_5(blocks, tile),
                _ => few_bf16_6(blocks, tile),
            }
        }
    }
}

/// Multiplies all input rows, at least two (three by bfloat16s), with output rows `from..to`.
#[inline(never)]
pub unsafe fn few_floats<F: Few>(r: &Record, from: usize, to: usize, scratch: *mut u8) {
    unsafe {
        let scales = scratch.cast::<f32>();
        if F::SCALED {
            write_scales(scales, 1.0);
        }
        let blocks = r.weights.cols / BLOCK;
        let apart = if blocks == 0 { 0 } else { (to - from) / ROWS };
        let count = r.pairs.div_ceil(MOST);
        // Groups of about the same size, so that none has fewer than half of the most.
        let first = |group: usize| group * (r.pairs / count) + min(group, r.pairs % count);
        for chunk in (0..apart).step_by(CHUNK) {
            for group in 0..count {
                let (pair, inputs) = (first(group), first(group + 1) - first(group));
                let mut tile = Tile {
                    sums: [[i32x4(0, 0, 0, 0); ROWS]; MOST],
                    constants: F::CONSTANTS.map(opaque),
                    weights: [core::ptr::null(); ROWS],
                    bytes: [core::ptr::null(); ROWS],
                    x: core::array::from_fn(|i| r.x(pair + min(i, inputs - 1))),
                    scales,
                };
                for row in from + chunk..from + min(chunk + CHUNK, apart) {
                    multiply::<F>(r, core::array::from_fn(|i| row + i * apart), pair, inputs, &mut tile);
                }
            }
        }
        if from + ROWS * apart < to {
            matvec::direct::<F>(r, from + ROWS * apart, to, scratch);
        }
    }
}

/// Multiplies two output rows with the input rows of `inputs` pairs from `pair` on, which a tile has.
///
/// A function of its own: V8 replaces its first, slow code of a function where that is called the next time.
#[inline(never)]
unsafe fn multiply<F: Few>(r: &Record, rows: [usize; ROWS], pair: usize, inputs: usize, tile: &mut Tile) {
    unsafe {
        tile.weights = rows.map(|row| r.weights.row(row));
        tile.bytes = rows.map(|row| r.weights.row_scales(row));
        F::multiply(inputs, r.weights.cols / BLOCK, tile);
        for i in 0..ROWS {
            for from in (0..inputs).step_by(4) {
                let sums = core::array::from_fn(|n| tile.sums[min(from + n, MOST - 1)][i]);
                finish_four::<F>(r, rows[i], pair + from, min(4, inputs - from), &sums);
            }
        }
    }
}
