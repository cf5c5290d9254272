//! The loop of `few.rs` for MXFP4 weights and inputs of one digit: four output rows by two to eight input rows, as
//! WebAssembly text (`few_digit_text.rs`). LLVM puts more of its values on the stack than this order of instructions
//! does: 15.8 instructions for a block, an output row and an input row became 14.1.

use crate::fixed::{Block, Row};
use core::arch::wasm32::*;
use core::cmp::min;

/// Output rows of a call, and most input rows.
const ROWS: usize = 4;
const MOST: usize = 8;

/// What a loop reads and writes; the text knows its layout.
#[repr(C)]
pub struct Tile {
    /// Receives the sums, in the four lanes of `dot.rs`.
    sums: [[v128; ROWS]; MOST],
    /// What MXFP4 is decoded with, and ones of 16 bits.
    constants: [v128; 4],
    /// The output rows' first blocks.
    weights: [*const u8; ROWS],
    /// The input rows; the last one again in places of others.
    x: [*const Block; MOST],
    /// Scales of the output rows' blocks, see `exponents.rs`.
    exponents: *const v128,
}

// Addresses: only the text looks at what lies there.
#[allow(improper_ctypes)]
unsafe extern "C" {
    fn few_digit_2(blocks: usize, tile: *mut Tile);
    fn few_digit_3(blocks: usize, tile: *mut Tile);
    fn few_digit_4(blocks: usize, tile: *mut Tile);
    fn few_digit_5(blocks: usize, tile: *mut Tile);
    fn few_digit_6(blocks: usize, tile: *mut Tile);
    fn few_digit_7(blocks: usize, tile: *mut Tile);
    fn few_digit_8(blocks: usize, tile: *mut Tile);
    // By an instruction that multiplies pairs of bytes, for processors without one that multiplies and adds four.
    fn few_digit_pairs_2(blocks: usize, tile: *mut Tile);
    fn few_digit_pairs_3(blocks: usize, tile: *mut Tile);
    fn few_digit_pairs_4(blocks: usize, tile: *mut Tile);
    fn few_digit_pairs_5(blocks: usize, tile: *mut Tile);
    fn few_digit_pairs_6(blocks: usize, tile: *mut Tile);
    fn few_digit_pairs_7(blocks: usize, tile: *mut Tile);
    fn few_digit_pairs_8(blocks: usize, tile: *mut Tile);
}

/// The sums of N (2 to 8) input rows whose blocks all have one digit, and of four output rows.
///
/// - `values`, `turn`, `low`: what MXFP4 is decoded with.
/// - `blocks`: at least 1.
#[inline(always)]
pub unsafe fn multiply<const N: usize, const DOTS: bool>(
    blocks: usize,
    [values, turn, low]: [v128; 3],
    weights: [*const u8; ROWS],
    fixed: &[Row; N],
    exponents: *const v128,
) -> [[v128; ROWS]; N] {
    unsafe {
        let x = core::array::from_fn(|n| fixed[min(n, N - 1)].block(0));
        let constants = [values, turn, low, i16x8_splat(1)];
        let mut tile = Tile { sums: [[i32x4(0, 0, 0, 0); ROWS]; MOST], constants, weights, x, exponents };
        match N {
            2 if !DOTS => few_digit_pairs_2(blocks, &mut tile),
            3 if !DOTS => few_digit_pairs_3(blocks, &mut tile),
            4 if !DOTS => few_digit_pairs_4(blocks, &mut tile),
            5 if !DOTS => few_digit_pairs_5(blocks, &mut tile),
            6 if !DOTS => few_digit_pairs_6(blocks, &mut tile),
            7 if !DOTS => few_digit_pairs_7(blocks, &mut tile),
            _ if !DOTS => few_digit_pairs_8(blocks, &mut tile),
            2 => few_digit_2(blocks, &mut tile),
            3 => few_digit_3(blocks, &mut tile),
            4 => few_digit_4(blocks, &mut tile),
            5 => few_digit_5(blocks, &mut tile),
            6 => few_digit_6(blocks, &mut tile),
            7 => few_digit_7(blocks, &mut tile),
            _ => few_digit_8(blocks, &mut tile),
        }
        core::array::from_fn(|n| tile.sums[n])
    }
}
