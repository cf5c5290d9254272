//! A panel: some columns of 8 output rows, decoded to float32 in scratch.

use crate::bf16::Bf16;
use crate::dot::{BLOCK, Format, cut_block};
use crate::f16::F16;
use crate::f32::F32;
use crate::gemm::{GROUP, WIDE};
use crate::memory::{at, opaque};
use crate::record::{TILE, Weights, by_format, format};
use core::arch::wasm32::*;
use core::cmp::{max, min};

/// Blocks of columns: 16 KiB of weights, and as many bytes of eight input rows, stay in an L1 cache.
const BLOCKS: usize = 16;

/// Output rows of a register tile.
pub const COUPLE: usize = 2;

/// Where a panel lies in scratch.
pub struct Panel {
    /// Weights: [couple][block][vector][row], without block scales.
    weights: *mut v128,
    /// Scales of the blocks: [couple][block][row].
    scales: *mut f32,
    /// Sums: [pair][row].
    pub sums: *mut v128,
    /// Addresses of the pairs' input rows.
    pub inputs: *mut u32,
    /// Most blocks at a time.
    pub blocks: usize,
}

impl Panel {
    const WEIGHT_BYTES: usize = TILE * BLOCK * 4;
    const SCALE_BYTES: usize = TILE * 4;
    const SUM_BYTES: usize = (GROUP + WIDE - 1) * TILE * 16;

    /// Lays out a panel for a matrix of `cols` columns.
    pub fn new(scratch: *mut u8, cols: usize) -> Panel {
        let blocks = min(BLOCKS, max(1, cols.div_ceil(BLOCK)));
        let scales = scratch.wrapping_add(blocks * Self::WEIGHT_BYTES);
        let sums = scales.wrapping_add(blocks * Self::SCALE_BYTES);
        Panel {
            weights: scratch.cast(),
            scales: scales.cast(),
            sums: sums.cast(),
            inputs: sums.wrapping_add(Self::SUM_BYTES).cast(),
            blocks,
        }
    }

    /// Bytes of scratch that it takes.
    pub fn bytes(&self) -> usize {
        self.blocks * (Self::WEIGHT_BYTES + Self::SCALE_BYTES)
            + Self::SUM_BYTES
            + (GROUP + WIDE - 1).next_multiple_of(4) * 4
    }

    /// The first weights and the first scales of a couple.
    pub unsafe fn couple(&self, couple: usize) -> (*const v128, *const f32) {
        unsafe { (self.weights.add(couple * self.blocks * 8 * COUPLE), self.scales.add(couple * self.blocks * COUPLE)) }
    }

    /// Stores a block of a row.
    #[inline(always)]
    unsafe fn put(&self, block: usize, row: usize, weights: [v128; 8], scale: f32) {
        unsafe {
            let at = row / COUPLE * self.blocks + block;
            for (v, vector) in weights.into_iter().enumerate() {
                *self.weights.add((at * 8 + v) * COUPLE + row % COUPLE) = vector;
            }
            *self.scales.add(at * COUPLE + row % COUPLE) = scale;
        }
    }
}

/// Decodes `count` blocks from `block` on of `rows` (1..=8) rows from `row` on; what fills up a couple is of no
/// importance. Columns beyond the matrix become zeros.
pub unsafe fn decode(w: &Weights, row: usize, rows: usize, block: usize, count: usize, panel: &Panel) {
    unsafe {
        match w.format {
            format::BF16 if w.transposed => transpose::<Bf16>(w, row, rows, block, count, panel),
            format::F32 if w.transposed => transpose::<F32>(w, row, rows, block, count, panel),
            format::F16 if w.transposed => transpose::<F16>(w, row, rows, block, count, panel),
            _ if w.transposed => unreachable(),
            _ => by_format!(w.format, decode_as(w, row, rows, block, count, panel)),
        }
    }
}

#[inline(never)]
unsafe fn decode_as<F: Format>(w: &Weights, row: usize, rows: usize, block: usize, count: usize, panel: &Panel) {
    unsafe {
        let whole = min(count, (w.cols / BLOCK).saturating_sub(block));
        let constants = F::constants(opaque);
        for i in 0..rows.next_multiple_of(COUPLE) {
            let row = row + min(i, rows - 1);
            let from = w.row(row).wrapping_add(block * F::BYTES);
            let scales = w.row_scales(row);
            for b in 0..whole {
                let weights = F::block_with(from.add(b * F::BYTES), &constants);
                panel.put(b, i, weights, Weights::block_scale(scales, block + b));
            }
            if whole < count {
                let cut = cut_block::<F>(from.add(whole * F::BYTES), w.cols % BLOCK);
                panel.put(whole, i, cut, Weights::block_scale(scales, block + whole));
            }
        }
    }
}

/// Decodes a matrix that is stored [cols, rows], in a format without scales: brings a block's bytes into the order of
/// rows first.
#[inline(never)]
unsafe fn transpose<F: Format>(w: &Weights, row: usize, rows: usize, block: usize, count: usize, panel: &Panel) {
    unsafe {
        let size = F::BYTES / BLOCK;
        let mut turned = [[f32x4_splat(0.0); 8]; TILE];
        for b in 0..count {
            let first = (block + b) * BLOCK;
            let cols = min(BLOCK, w.cols - first);
            let from = at(w.weight, first, w.row_stride).wrapping_add(row * size);
            if rows < TILE || cols < BLOCK {
                turned = [[f32x4_splat(0.0); 8]; TILE];
                for col in 0..cols {
                    let from = at(from, col, w.row_stride) as *const u8;
                    for i in 0..rows {
                        let to = turned[i].as_mut_ptr().cast::<u8>().add(col * size);
                        core::ptr::copy_nonoverlapping(from.add(i * size), to, size);
                    }
                }
            } else if size == 2 {
                for eight in 0..4 {
                    let col = |i: usize| v128_load(at(from, eight * 8 + i, w.row_stride) as *const v128);
                    // Pairs of columns as 32-bit lanes: of rows 0..4, of rows 4..8.
                    let pairs: [[v128; 2]; 4] = core::array::from_fn(|i| {
                        let (a, b) = (col(2 * i), col(2 * i + 1));
                        [
                            i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(a, b),
                            i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(a, b),
                        ]
                    });
                    for half in 0..2 {
                        let lanes = turn(pairs.map(|pair| pair[half]));
                        for i in 0..4 {
                            turned[half * 4 + i][eight] = lanes[i];
                        }
                    }
                }
            } else {
                for four in 0..8 {
                    for half in 0..2 {
                        let lanes = turn(core::array::from_fn(|i| {
                            v128_load(at(from, four * 4 + i, w.row_stride).wrapping_add(16 * half) as *const v128)
                        }));
                        for i in 0..4 {
                            turned[half * 4 + i][four] = lanes[i];
                        }
                    }
                }
            }
            for i in 0..rows.next_multiple_of(COUPLE) {
                panel.put(b, i, F::block(turned[i].as_ptr().cast()), 1.0);
            }
        }
    }
}

/// Transposes a 4 x 4 matrix of 32-bit lanes.
#[inline(always)]
fn turn([a, b, c, d]: [v128; 4]) -> [v128; 4] {
    let (ab, cd) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<0, 4, 1, 5>(c, d));
    let (ef, gh) = (i32x4_shuffle::<2, 6, 3, 7>(a, b), i32x4_shuffle::<2, 6, 3, 7>(c, d));
    [
        i32x4_shuffle::<0, 1, 4, 5>(ab, cd),
        i32x4_shuffle::<2, 3, 6, 7>(ab, cd),
        i32x4_shuffle::<0, 1, 4, 5>(ef, gh),
        i32x4_shuffle::<2, 3, 6, 7>(ef, gh),
    ]
}
