//! A panel: some columns of 8 output rows, decoded to float32 in scratch.

use crate::bf16::Bf16;
use crate::dot::{BLOCK, Format, cut_block};
use crate::f16::F16;
use crate::f32::F32;
use crate::fp4::Fp4;
use crate::fp6::{E2m3, E3m2, Fp6};
use crate::fp8::{E4m3fn, E4m3fnuz};
use crate::memory::{at, prepared_pair};
use crate::number;
use crate::record::{TILE, Weights, format};
use core::arch::wasm32::*;
use core::cmp::{max, min};

/// Blocks of columns: 16 KiB of weights, which leaves the L1 cache room for two input rows.
const BLOCKS: usize = 16;
/// Vectors of a block of the tile.
const BLOCK_VECTORS: usize = TILE * 8;
/// Rows multiplied at once. Eight sums (4 rows x 2 input rows) hide the latency of the multiplier and fit 16 registers.
const ROWS: usize = 4;

/// Where a panel lies in scratch.
pub struct Panel {
    /// Weights: [block][row][8], without block scales.
    weights: *mut v128,
    /// Scales of the blocks: [block][row].
    scales: *mut f32,
    /// Sums: [pair][row].
    pub sums: *mut v128,
    /// Most blocks at a time.
    pub blocks: usize,
    /// Pairs for whose sums there is room.
    pub pairs: usize,
}

impl Panel {
    /// Lays out a panel in the scratch that ABI.md promises for a matrix of `cols` columns.
    pub fn new(scratch: *mut u8, cols: usize) -> Panel {
        let all = max(1, cols.div_ceil(BLOCK));
        let blocks = min(BLOCKS, all);
        let weight_bytes = blocks * BLOCK_VECTORS * 16;
        let used = weight_bytes + blocks * TILE * 4;
        Panel {
            weights: scratch.cast(),
            scales: scratch.wrapping_add(weight_bytes).cast(),
            sums: scratch.wrapping_add(used).cast(),
            blocks,
            pairs: (all * BLOCK_VECTORS * 16 + 4096 - used) / (TILE * 16),
        }
    }

    /// Adds the products of `count` blocks to the sums of N pairs from `pair` on.
    #[inline(always)]
    pub unsafe fn multiply<const N: usize>(&self, x: [*const v128; N], pair: usize, count: usize) {
        unsafe {
            for rows in (0..TILE).step_by(ROWS) {
                let sums = self.sums.add(pair * TILE + rows);
                for b in 0..count {
                    let w = self.weights.add(b * BLOCK_VECTORS + rows * 8);
                    let mut t = [[f32x4_splat(0.0); N]; ROWS];
                    for v in 0..8 {
                        let x = x.map(|x| v128_load(x.add(b * 8 + v)));
                        for i in 0..ROWS {
                            let w = v128_load(w.add(i * 8 + v));
                            for n in 0..N {
                                t[i][n] = f32x4_relaxed_madd(w, x[n], t[i][n]);
                            }
                        }
                    }
                    for i in 0..ROWS {
                        let scale = v128_load32_splat(self.scales.add(b * TILE + rows + i).cast());
                        for n in 0..N {
                            let sum = sums.add(n * TILE + i);
                            *sum = f32x4_relaxed_madd(t[i][n], scale, *sum);
                        }
                    }
                }
            }
        }
    }
}

/// Decodes `count` blocks from `block` on of the 8 rows from `row` on. Rows and columns beyond the matrix become zeros.
pub unsafe fn decode(w: &Weights, row: usize, block: usize, count: usize, panel: &Panel) {
    unsafe {
        if w.transposed {
            return match w.format {
                format::BF16 => transpose::<{ number::BF16 }>(w, row, block, count, panel),
                format::F32 => transpose::<{ number::F32 }>(w, row, block, count, panel),
                _ => transpose::<{ number::F16 }>(w, row, block, count, panel),
            };
        }
        match w.format {
            format::BF16 => decode_as::<Bf16>(w, row, block, count, panel),
            format::F32 => decode_as::<F32>(w, row, block, count, panel),
            format::F16 => decode_as::<F16>(w, row, block, count, panel),
            format::MXFP4 => decode_as::<Fp4>(w, row, block, count, panel),
            format::MXFP6_E3M2 => decode_as::<Fp6<E3m2>>(w, row, block, count, panel),
            format::MXFP6_E2M3 => decode_as::<Fp6<E2m3>>(w, row, block, count, panel),
            format::FP8_E4M3FN => decode_as::<E4m3fn>(w, row, block, count, panel),
            _ => decode_as::<E4m3fnuz>(w, row, block, count, panel),
        }
    }
}

#[inline(never)]
unsafe fn decode_as<F: Format>(w: &Weights, row: usize, block: usize, count: usize, panel: &Panel) {
    unsafe {
        let whole = min(count, w.cols / BLOCK - min(block, w.cols / BLOCK));
        for i in 0..TILE {
            let to = panel.weights.add(i * 8);
            let scale = panel.scales.add(i);
            if row + i >= w.rows {
                for b in 0..count {
                    to.add(b * BLOCK_VECTORS).cast::<[v128; 8]>().write([f32x4_splat(0.0); 8]);
                    *scale.add(b * TILE) = 1.0;
                }
                continue;
            }
            let from = w.row(row + i).wrapping_add(block * F::BYTES);
            for b in 0..whole {
                to.add(b * BLOCK_VECTORS).cast::<[v128; 8]>().write(F::block(from.add(b * F::BYTES)));
            }
            if whole < count {
                let cut = cut_block::<F>(from.add(whole * F::BYTES), w.cols % BLOCK);
                to.add(whole * BLOCK_VECTORS).cast::<[v128; 8]>().write(cut);
            }
            let scales = w.row_scales(row + i);
            for b in 0..count {
                *scale.add(b * TILE) = Weights::block_scale(scales, block + b);
            }
        }
    }
}

/// Decodes a matrix that is stored [cols, rows].
#[inline(never)]
unsafe fn transpose<const FORMAT: usize>(w: &Weights, row: usize, block: usize, count: usize, panel: &Panel) {
    unsafe {
        let rows = min(TILE, w.rows - row);
        // Rows `row + r ..` of a stored column; 0 beyond the matrix.
        let four = |col: usize, r: usize| {
            if col >= w.cols || r >= rows {
                return f32x4_splat(0.0);
            }
            let size = number::size(FORMAT);
            number::load(at(w.weight, col, w.row_stride).wrapping_add((row + r) * size), min(4, rows - r), FORMAT)
        };
        for b in 0..count {
            for r in (0..TILE).step_by(4) {
                for eight in 0..4 {
                    let col = (block + b) * BLOCK + eight * 8;
                    let to = panel.weights.add(b * BLOCK_VECTORS + r * 8 + eight * 2);
                    let first = turn([four(col, r), four(col + 1, r), four(col + 2, r), four(col + 3, r)]);
                    let last = turn([four(col + 4, r), four(col + 5, r), four(col + 6, r), four(col + 7, r)]);
                    for i in 0..4 {
                        let [even, odd] = prepared_pair(first[i], last[i]);
                        *to.add(i * 8) = even;
                        *to.add(i * 8 + 1) = odd;
                    }
                }
            }
            for i in 0..TILE {
                *panel.scales.add(b * TILE + i) = 1.0;
            }
        }
    }
}

/// Transposes a 4 x 4 matrix.
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
