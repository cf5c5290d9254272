//! A few input rows at once in float32: the blocks of two to four output rows are decoded in registers and multiplied
//! with those of two to six input rows. Sums in the order of `dot.rs`: the same bits as those of `matvec.rs` and
//! `gemm.rs`.
//!
//! The loop (`few_floats_text.rs`) is written out for the reasons of `four_rows.rs`. Of the shapes that 15 registers
//! allow these need the fewest instructions: a load of an input, two with its comparison, serves as many multiply-adds
//! as there are output rows, and what decodes four weights, two and a half, as many as there are input rows.

use crate::bf16::{Bf16, UPPER};
use crate::dot::{BLOCK, Format};
use crate::fp4::{Fp4, HIGH, LOW};
use crate::matvec::{self, finish_four, write_scales};
use crate::memory::opaque;
use crate::record::Record;
use core::arch::wasm32::*;
use core::cmp::min;

/// Output rows that are multiplied together, but for fewest input rows. They lie as far apart as they can, so that each
/// is the next piece of a long stretch of memory, which processors read ahead.
pub const ROWS: usize = 2;
/// Most output rows that are: two stretches alone are read more slowly than two input rows multiply.
const MOST_ROWS: usize = 4;
/// Most input rows that are.
const MOST: usize = 6;
/// Most sums.
const SUMS: usize = 12;

/// Times some output rows that one group of input rows passes over before the next one does: what they take stays in an
/// L2 cache, however many groups there are.
const CHUNK: usize = 8;

/// What a loop reads and writes; the text knows its layout.
#[repr(C)]
pub struct Tile {
    /// Receives the sums, of each input row one of each output row.
    sums: [v128; SUMS],
    constants: [v128; 4],
    /// The output rows' first blocks.
    weights: [*const u8; MOST_ROWS],
    /// The scale bytes of those.
    bytes: [*const u8; MOST_ROWS],
    /// The input rows in prepared order; the last one again in places of others.
    x: [*const v128; MOST],
    /// Scales by their byte.
    scales: *const f32,
}

// Addresses: only the text looks at what lies there.
#[allow(improper_ctypes)]
unsafe extern "C" {
    /// Four output rows.
    fn few_fp4_2(blocks: usize, tile: *mut Tile);
    /// Three.
    fn few_fp4_3(blocks: usize, tile: *mut Tile);
    // Two.
    fn few_fp4_2_by_2(blocks: usize, tile: *mut Tile);
    fn few_fp4_2_by_3(blocks: usize, tile: *mut Tile);
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
    /// How many output rows are multiplied together with so many input rows.
    fn together(_inputs: usize) -> usize {
        ROWS
    }
    /// Adds the products of `blocks` (at least 1) blocks of `rows` output rows, those together or two, with `inputs`
    /// input rows.
    unsafe fn multiply(rows: usize, inputs: usize, blocks: usize, tile: &mut Tile);
}

impl Few for Fp4 {
    const CONSTANTS: [v128; 4] = [NIBBLES, LOW, HIGH, i32x4(0, 0, 0, 0)];

    #[inline(always)]
    fn together(inputs: usize) -> usize {
        if inputs == 2 {
            4
        } else if inputs == 3 {
            3
        } else {
            ROWS
        }
    }

    #[inline(always)]
    unsafe fn multiply(rows: usize, inputs: usize, blocks: usize, tile: &mut Tile) {
        unsafe {
            match inputs {
                2 if rows > ROWS => few_fp4_2(blocks, tile),
                2 => few_fp4_2_by_2(blocks, tile),
                3 if rows > ROWS => few_fp4_3(blocks, tile),
                3 => few_fp4_2_by_3(blocks, tile),
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
    unsafe fn multiply(_: usize, inputs: usize, blocks: usize, tile: &mut Tile) {
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
        let (rows, together) = (if r.weights.cols < BLOCK { 0 } else { to - from }, F::together(r.pairs));
        let times = rows / together;
        // An even number is left, where one is at all.
        let odd = together % ROWS * ((rows - times * together) % ROWS);
        let times = times.saturating_sub(odd);
        rows_by::<F>(r, together, (from, times), scales);
        let left = from + times * together;
        let times = (from + rows).saturating_sub(left) / ROWS;
        rows_by::<F>(r, ROWS, (left, times), scales);
        if left + times * ROWS < to {
            matvec::direct::<F>(r, left + times * ROWS, to, scratch);
        }
    }
}

/// Multiplies all input rows with `times` times `together` output rows from `from` on.
unsafe fn rows_by<F: Few>(r: &Record, together: usize, (from, times): (usize, usize), scales: *const f32) {
    unsafe {
        let count = r.pairs.div_ceil(MOST);
        // Groups of about the same size, so that none has fewer than half of the most.
        let first = |group: usize| group * (r.pairs / count) + min(group, r.pairs % count);
        for chunk in (0..times).step_by(CHUNK) {
            for group in 0..count {
                let (pair, inputs) = (first(group), first(group + 1) - first(group));
                let mut tile = Tile {
                    sums: [i32x4(0, 0, 0, 0); SUMS],
                    constants: F::CONSTANTS.map(opaque),
                    weights: [core::ptr::null(); MOST_ROWS],
                    bytes: [core::ptr::null(); MOST_ROWS],
                    x: core::array::from_fn(|i| r.x(pair + min(i, inputs - 1))),
                    scales,
                };
                for row in from + chunk..from + min(chunk + CHUNK, times) {
                    multiply::<F>(r, (row, times, together), (pair, inputs), &mut tile);
                }
            }
        }
    }
}

/// Multiplies `rows` output rows, `row` and every `apart`-th one after it, with the input rows of `inputs` pairs from
/// `pair` on, which a tile has.
///
/// A function of its own: V8 replaces its first, slow code of a function where that is called the next time.
#[inline(never)]
unsafe fn multiply<F: Few>(
    r: &Record,
    (row, apart, rows): (usize, usize, usize),
    (pair, inputs): (usize, usize),
    tile: &mut Tile,
) {
    unsafe {
        for i in 0..rows {
            tile.weights[i] = r.weights.row(row + i * apart);
            tile.bytes[i] = r.weights.row_scales(row + i * apart);
        }
        F::multiply(rows, inputs, r.weights.cols / BLOCK, tile);
        for i in 0..rows {
            for from in (0..inputs).step_by(4) {
                let sums = core::array::from_fn(|n| tile.sums[min(from + n, inputs - 1) * rows + i]);
                finish_four::<F>(r, row + i * apart, pair + from, min(4, inputs - from), &sums);
            }
        }
    }
}
