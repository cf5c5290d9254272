//! A panel: some columns of 8 output rows, decoded to float32 in scratch, and those of input rows, four or five
//! together.

use crate::bf16::Bf16;
use crate::dot::{BLOCK, Format, Four, cut_block};
use crate::f16::F16;
use crate::f32::F32;
use crate::gemm::MOST_ROWS;
use crate::groups::{FIVE, FOUR, ROW_BYTES};
use crate::memory::{at, hidden, opaque, turn};
use crate::mx;
use crate::record::{Record, TILE, Weights, by_format, format};
use core::arch::wasm32::*;
use core::cmp::{max, min};

/// Most blocks of columns: 18 KiB of weights, and 11 KiB of each five input rows, stay in an L1 cache.
const BLOCKS: usize = 18;

/// Where a panel lies in scratch.
pub struct Panel {
    /// Weights: [lane][half of the rows][block][vector][row], of as many blocks as were decoded.
    pub weights: *mut v128,
    /// Scales of the blocks: [block][row].
    pub scales: *mut f32,
    /// Sums: [lane][input row][row] of each group in float32, [row][input row][lane] of each four from integers.
    sums: *mut v128,
    /// Blocks at a time; the last panel may have fewer.
    pub blocks: usize,
}

impl Panel {
    const WEIGHT_BYTES: usize = TILE * BLOCK * 4;
    const SCALE_BYTES: usize = TILE * 4;
    const SUM_BYTES: usize = MOST_ROWS * TILE * 16;

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

    /// Sets the sums of the first input rows to zero.
    pub unsafe fn clear(&self, rows: usize) {
        unsafe { core::ptr::write_bytes(self.sums, 0, rows * TILE) };
    }

    /// Sums of the input rows from `row` on.
    pub fn sums(&self, row: usize) -> *mut v128 {
        self.sums.wrapping_add(row * TILE)
    }
}

/// What of a matrix a panel takes.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    pub weights: &'a Weights,
    /// The first row, and how many (1..=8).
    pub row: usize,
    pub rows: usize,
    /// The first block of 32 columns, and how many; columns beyond the matrix are zeros.
    pub block: usize,
    pub count: usize,
}

/// Decodes a part; what fills up eight rows is of no importance. Whether weights are multiplied by the scales of their
/// blocks, or there are none: they are where the caller allows it, and those scales are ordinary ones.
pub unsafe fn decode(part: &Part, allowed: bool, panel: &Panel) -> bool {
    let w = part.weights;
    unsafe {
        match w.format {
            format::BF16 if w.transposed => transpose::<Bf16>(part, panel),
            format::F32 if w.transposed => transpose::<F32>(part, panel),
            format::F16 if w.transposed => transpose::<F16>(part, panel),
            _ if w.transposed => unreachable(),
            _ => return by_format!(w.format, decode_as(part, allowed, panel)),
        }
    }
    true
}

unsafe fn decode_as<F: Format>(part: &Part, allowed: bool, panel: &Panel) -> bool {
    unsafe {
        if !F::SCALED {
            decode_rows::<F, false>(part, panel);
            return true;
        }
        let scaled = put_scales(part, panel) && allowed;
        if scaled {
            decode_rows::<F, true>(part, panel);
        } else {
            decode_rows::<F, false>(part, panel);
        }
        scaled
    }
}

/// Exponents of block scales with which the weights of a block may be multiplied before they meet ordinary inputs, and
/// of the magnitudes of those, but for zeros. A product's lowest bit is then 2^-127 or more without the scale (a weight
/// is a multiple of 2^-4 and below 2^5, an input a float32) and 2^-147 with it, and a sum of 32 below 2^110: no sum
/// underflows or overflows, with or without scales, so that both have the same bits, the exponent apart.
const SCALES: [i32; 2] = [-20, 20];
const INPUTS: [i32; 2] = [-100, 80];

/// The bits of 2^exponent.
const fn bits(exponent: i32) -> u32 {
    ((exponent + 127) as u32) << 23
}

/// Puts the scales of blocks in place; whether all are ordinary.
#[inline(never)]
unsafe fn put_scales(&Part { weights: w, row, rows, block, count }: &Part, panel: &Panel) -> bool {
    let blocks = w.cols.div_ceil(BLOCK);
    let (mut least, mut most) = (i32x4_splat(-1), i32x4_splat(0));
    unsafe {
        for half in 0..2 {
            let from: [*const u8; 4] = core::array::from_fn(|i| w.row_scales(row + min(half * 4 + i, rows - 1)));
            // Four blocks of each row at once.
            for b in (0..count).step_by(4) {
                let scales = from.map(|from| match blocks - block - b {
                    _ if from.is_null() => f32x4_splat(1.0),
                    left @ 1..4 => mx::four_scales([0, 1, 2, 3].map(|i| *from.add(blocks - left + i % left)).as_ptr()),
                    _ => mx::four_scales(from.add(block + b)),
                });
                for v in scales {
                    least = u32x4_min(least, v);
                    most = u32x4_max(most, v);
                }
                let turned = turn(scales);
                for i in 0..min(4, count - b) {
                    v128_store(panel.scales.add((b + i) * TILE + half * 4).cast(), turned[i]);
                }
            }
        }
    }
    let (low, high) = (u32x4_splat(bits(SCALES[0])), u32x4_splat(bits(SCALES[1])));
    i32x4_all_true(v128_and(u32x4_ge(least, low), u32x4_le(most, high)))
}

/// Whether the input rows of `pairs` pairs from `pair` on are ordinary: their numbers zeros or of magnitudes between
/// two powers of two.
#[inline(never)]
pub unsafe fn is_ordinary(r: &Record, pair: usize, pairs: usize) -> bool {
    let (mut least, mut most) = (i32x4_splat(-1), i32x4_splat(0));
    for i in 0..pairs {
        unsafe {
            let x = r.x(pair + i);
            for v in 0..r.weights.cols.div_ceil(BLOCK) * 8 {
                let magnitude = v128_and(*x.add(v), i32x4_splat(i32::MAX));
                // Less one, so that zeros are the largest ones.
                least = u32x4_min(least, i32x4_sub(magnitude, i32x4_splat(1)));
                most = u32x4_max(most, magnitude);
            }
        }
    }
    let within =
        v128_and(u32x4_ge(least, u32x4_splat(bits(INPUTS[0]) - 1)), u32x4_le(most, u32x4_splat(bits(INPUTS[1]))));
    i32x4_all_true(within)
}

/// Decodes blocks, multiplied by their scales if so wanted.
#[inline(never)]
unsafe fn decode_rows<F: Format, const SCALED: bool>(
    &Part { weights: w, row, rows, block, count }: &Part,
    panel: &Panel,
) {
    unsafe {
        let whole = min(count, (w.cols / BLOCK).saturating_sub(block));
        let constants = F::constants(opaque);
        for half in 0..2 {
            let row = |i: usize| row + min(half * 4 + i, rows - 1);
            let from: [*const u8; 4] = core::array::from_fn(|i| w.row(row(i)).wrapping_add(block * F::BYTES));
            let scale = |b: usize| if SCALED { Some(*panel.scales.add(b * TILE + half * 4).cast()) } else { None };
            for b in 0..whole {
                let at = from.map(|from| hidden(from.wrapping_add(b * F::BYTES).cast_mut()).cast_const());
                F::put_four(at, &constants, place(panel, count, b, half, scale(b)));
            }
            if whole < count {
                let cut = from.map(|from| cut_block::<F>(from.wrapping_add(whole * F::BYTES), w.cols % BLOCK));
                place(panel, count, whole, half, scale(whole)).put_blocks(cut);
            }
        }
    }
}

/// Where a block of four rows goes, which are one half of eight; the panel has `count` blocks.
#[inline(always)]
unsafe fn place(panel: &Panel, count: usize, block: usize, half: usize, scales: Option<v128>) -> Four {
    let lanes =
        core::array::from_fn(|lane| hidden(panel.weights.wrapping_add(((2 * lane + half) * count + block) * 8)));
    Four { lanes, scales }
}

/// Packs the input rows of `pairs` (1..=5) pairs from `pair` on.
pub unsafe fn pack(r: &Record, pair: usize, pairs: usize, to: *mut u8) {
    unsafe { pack_rows(core::array::from_fn(|i| r.x(pair + min(i, pairs - 1))), pairs, r.weights.cols, to) };
}

/// Packs `rows` (1..=5) prepared rows of `cols` columns: for each panel `[lane][block]`, each of them
/// `[vector][input row]` of four rows and, of five, `[vector]` of the fifth one.
#[inline(never)]
pub unsafe fn pack_rows(x: [*const v128; FIVE], rows: usize, cols: usize, to: *mut u8) {
    unsafe {
        let (blocks, most) = (cols.div_ceil(BLOCK), Panel::blocks_of(cols));
        let bytes = max(rows, FOUR) * ROW_BYTES;
        for first in (0..blocks).step_by(most) {
            let count = min(most, blocks - first);
            let to = to.add(first * bytes);
            for b in 0..count {
                let at = x.map(|x| x.add(8 * (first + b)));
                let lanes: [*mut v128; 4] = core::array::from_fn(|lane| to.add((lane * count + b) * bytes / 4).cast());
                for v in 0..8 {
                    let turned = turn([*at[0].add(v), *at[1].add(v), *at[2].add(v), *at[3].add(v)]);
                    for lane in 0..4 {
                        *lanes[lane].add(v) = turned[lane];
                    }
                }
                if rows == FIVE {
                    // Vectors of the fifth row's lanes.
                    for half in 0..2 {
                        let turned = turn(core::array::from_fn(|i| *at[4].add(4 * half + i)));
                        for lane in 0..4 {
                            *lanes[lane].add(8 + half) = turned[lane];
                        }
                    }
                }
            }
        }
    }
}

/// Decodes a matrix that is stored [cols, rows], in a format without scales: brings a block's bytes into the order of
/// rows first.
#[inline(never)]
unsafe fn transpose<F: Format>(&Part { weights: w, row, rows, block, count }: &Part, panel: &Panel) {
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
                place(panel, count, b, half, None).put_blocks([block(0), block(1), block(2), block(3)]);
            }
        }
    }
}
