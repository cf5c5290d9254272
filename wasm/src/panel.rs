//! A panel: some columns of 8 output rows, decoded to float32 in scratch, and those of input rows, four together.

use crate::bf16::Bf16;
use crate::dot::{BLOCK, Format, Four, cut_block};
use crate::f16::F16;
use crate::f32::F32;
use crate::gemm::GROUP;
use crate::integer::QUAD;
use crate::memory::{at, opaque, turn};
use crate::record::{Record, TILE, Weights, by_format, format};
use core::arch::wasm32::*;
use core::cmp::{max, min};

/// Most blocks of columns: 18 KiB of weights, and 9 KiB of each four input rows, stay in an L1 cache.
const BLOCKS: usize = 18;

/// Bytes of a block of columns of four input rows.
pub const QUAD_BYTES: usize = QUAD * BLOCK * 4;

/// Where a panel lies in scratch.
pub struct Panel {
    /// Weights, without block scales: [lane][block][vector][row], of as many blocks as were decoded.
    pub weights: *mut v128,
    /// Scales of the blocks: [block][row].
    pub scales: *mut f32,
    /// Sums: [quad][lane][input row][row] in float32, [quad][row][input row][lane] from integers.
    sums: *mut v128,
    /// Blocks at a time; the last panel may have fewer.
    pub blocks: usize,
}

impl Panel {
    const WEIGHT_BYTES: usize = TILE * BLOCK * 4;
    const SCALE_BYTES: usize = TILE * 4;
    const SUM_BYTES: usize = GROUP * TILE * 16;

    /// Blocks at a time of a matrix of `cols` columns.
    fn blocks_of(cols: usize) -> usize {
        let blocks = max(1, cols.div_ceil(BLOCK));
        blocks.div_ceil(blocks.div_ceil(BLOCKS))
    }

    /// Lays out a panel for a matrix of `cols` columns.
    pub fn new(scratch: *mut u8, cols: usize) -> Panel {
        let blocks = Self::blocks_of(cols);
        let scales = scratch.wrapping_add(blocks * Self::WEIGHT_BYTES);
        let sums = scales.wrapping_add(blocks * Self::SCALE_BYTES);
        Panel { weights: scratch.cast(), scales: scales.cast(), sums: sums.cast(), blocks }
    }

    /// Bytes of scratch that it takes.
    pub fn bytes(&self) -> usize {
        self.blocks * (Self::WEIGHT_BYTES + Self::SCALE_BYTES) + Self::SUM_BYTES
    }

    /// Sets the sums of the first quads to zero.
    pub unsafe fn clear(&self, quads: usize) {
        unsafe { core::ptr::write_bytes(self.sums, 0, quads * QUAD * TILE) };
    }

    /// Sums of four input rows.
    pub fn sums(&self, quad: usize) -> *mut v128 {
        self.sums.wrapping_add(quad * QUAD * TILE)
    }
}

/// Decodes `count` blocks from `block` on of `rows` (1..=8) rows from `row` on; what fills up eight rows is of no
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
        for half in 0..2 {
            let row = |i: usize| row + min(half * 4 + i, rows - 1);
            let from: [*const u8; 4] = core::array::from_fn(|i| w.row(row(i)).wrapping_add(block * F::BYTES));
            for b in 0..whole {
                let at = from.map(|from| from.wrapping_add(b * F::BYTES));
                F::put_four(at, &constants, place(panel, count, b, half));
            }
            if whole < count {
                let cut = from.map(|from| cut_block::<F>(from.wrapping_add(whole * F::BYTES), w.cols % BLOCK));
                place(panel, count, whole, half).put_blocks(cut);
            }
            if F::SCALED {
                for i in 0..4 {
                    let scales = w.row_scales(row(i));
                    for b in 0..count {
                        *panel.scales.add(b * TILE + half * 4 + i) = Weights::block_scale(scales, block + b);
                    }
                }
            }
        }
    }
}

/// Where a block of four rows goes, which are one half of eight; the panel has `count` blocks.
#[inline(always)]
unsafe fn place(panel: &Panel, count: usize, block: usize, half: usize) -> Four {
    Four(core::array::from_fn(|lane| unsafe { panel.weights.add((lane * count + block) * 16 + half) }))
}

/// Packs the input rows of `pairs` (1..=4) pairs from `pair` on.
pub unsafe fn pack(r: &Record, pair: usize, pairs: usize, to: *mut u8) {
    unsafe { pack_rows(core::array::from_fn(|i| r.x(pair + min(i, pairs - 1))), r.weights.cols, to) };
}

/// Packs prepared rows of `cols` columns: for each panel `[lane][block][vector][input row]`.
#[inline(never)]
pub unsafe fn pack_rows(x: [*const v128; QUAD], cols: usize, to: *mut u8) {
    unsafe {
        let (blocks, most) = (cols.div_ceil(BLOCK), Panel::blocks_of(cols));
        for first in (0..blocks).step_by(most) {
            let count = min(most, blocks - first);
            let to = to.add(first * QUAD_BYTES).cast::<v128>();
            for b in 0..count {
                let at = x.map(|x| x.add(8 * (first + b)));
                let lanes: [*mut v128; 4] = core::array::from_fn(|lane| to.add((lane * count + b) * 8));
                for v in 0..8 {
                    let turned = turn(at.map(|at| *at.add(v)));
                    for lane in 0..4 {
                        *lanes[lane].add(v) = turned[lane];
                    }
                }
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
            for half in 0..2 {
                let block = |i: usize| F::block(turned[half * 4 + i].as_ptr().cast());
                place(panel, count, b, half).put_blocks([block(0), block(1), block(2), block(3)]);
            }
        }
    }
}
