//! `linear`: y = x W^T + b for matrices in every format. One input row multiplies weights as they are decoded; for more, a tile of 8 output
//! rows is decoded into scratch a panel of columns at a time, and multiplied with two input rows at once.

use crate::bf16::Bf16;
use crate::dot::{BLOCK, Format, block_sum, cut_block};
use crate::f16::F16;
use crate::f32::F32;
use crate::fp4::Fp4;
use crate::fp6::{E2m3, E3m2, Fp6};
use crate::fp8::{E4m3fn, E4m3fnuz};
use crate::memory::{Words, sum_lanes};
use crate::mx;
use crate::panel::{Panel, decode};
use crate::record::{Record, TILE, WORDS, format};
use core::arch::wasm32::*;
use core::cmp::{max, min};

#[unsafe(no_mangle)]
unsafe extern "C" fn linear(desc: *const u32, start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        for i in 0..d.get(0) {
            let record = Record::from(d.from(1 + i * WORDS));
            let first = max(start as usize, record.first_unit);
            let last = min(end as usize, record.first_unit + record.units());
            if first < last {
                tiles(&record, first - record.first_unit, last - record.first_unit, scratch);
            }
        }
    }
}

/// Computes tiles `first..last` of a matrix.
unsafe fn tiles(r: &Record, first: usize, last: usize, scratch: *mut u8) {
    unsafe {
        if r.pairs != 1 || r.weights.transposed {
            return panels(r, first, last, scratch);
        }
        let (from, to) = (first * TILE, min(last * TILE, r.weights.rows));
        match r.weights.format {
            format::BF16 => rows::<Bf16>(r, from, to),
            format::F32 => rows::<F32>(r, from, to),
            format::F16 => rows::<F16>(r, from, to),
            format::MXFP4 => rows::<Fp4>(r, from, to),
            format::MXFP6_E3M2 => rows::<Fp6<E3m2>>(r, from, to),
            format::MXFP6_E2M3 => rows::<Fp6<E2m3>>(r, from, to),
            format::FP8_E4M3FN => rows::<E4m3fn>(r, from, to),
            _ => rows::<E4m3fnuz>(r, from, to),
        }
    }
}

/// Multiplies one input row with output rows `from..to`.
#[inline(never)]
unsafe fn rows<F: Format>(r: &Record, from: usize, to: usize) {
    unsafe {
        let w = &r.weights;
        let x = r.x(0);
        for row in from..to {
            let scales = w.row_scales(row);
            let sum = if scales.is_null() { dot::<F>(w.row(row), x, w.cols) } else { scaled_dot::<F>(w.row(row), scales, x, w.cols) };
            r.finish(row, 0, sum_lanes(sum));
        }
    }
}

#[inline(always)]
unsafe fn dot<F: Format>(w: *const u8, x: *const v128, cols: usize) -> v128 {
    unsafe {
        let blocks = cols / BLOCK;
        let mut sum = f32x4_splat(0.0);
        for b in 0..blocks {
            sum = f32x4_add(sum, block_sum(&F::block(w.add(b * F::BYTES)), x.add(b * 8)));
        }
        if cols % BLOCK != 0 {
            sum = f32x4_add(sum, block_sum(&cut_block::<F>(w.add(blocks * F::BYTES), cols % BLOCK), x.add(blocks * 8)));
        }
        sum
    }
}

#[inline(always)]
unsafe fn scaled_dot<F: Format>(w: *const u8, scales: *const u8, x: *const v128, cols: usize) -> v128 {
    unsafe {
        let blocks = cols / BLOCK;
        let mut sum = f32x4_splat(0.0);
        let block = |b: usize| block_sum(&F::block(w.add(b * F::BYTES)), x.add(b * 8));
        for b in (0..blocks & !3).step_by(4) {
            let s = mx::four_scales(scales.add(b));
            sum = f32x4_relaxed_madd(block(b), i32x4_shuffle::<0, 0, 0, 0>(s, s), sum);
            sum = f32x4_relaxed_madd(block(b + 1), i32x4_shuffle::<1, 1, 1, 1>(s, s), sum);
            sum = f32x4_relaxed_madd(block(b + 2), i32x4_shuffle::<2, 2, 2, 2>(s, s), sum);
            sum = f32x4_relaxed_madd(block(b + 3), i32x4_shuffle::<3, 3, 3, 3>(s, s), sum);
        }
        for b in blocks & !3..blocks {
            sum = f32x4_relaxed_madd(block(b), f32x4_splat(mx::scale(u32::from(*scales.add(b)))), sum);
        }
        if cols % BLOCK != 0 {
            let cut = block_sum(&cut_block::<F>(w.add(blocks * F::BYTES), cols % BLOCK), x.add(blocks * 8));
            sum = f32x4_relaxed_madd(cut, f32x4_splat(mx::scale(u32::from(*scales.add(blocks)))), sum);
        }
        sum
    }
}

/// Multiplies all input rows with tiles `first..last`. As many input rows as sums fit in scratch, but no more than stay in cache, pass
/// over all tiles before the next ones do.
unsafe fn panels(r: &Record, first: usize, last: usize, scratch: *mut u8) {
    const MOST_PAIRS: usize = 64;
    unsafe {
        let panel = Panel::new(scratch, r.weights.cols);
        let group = min(MOST_PAIRS, panel.pairs);
        let mut from = 0;
        while from < r.pairs {
            let to = min(from + group, r.pairs);
            for tile in first..last {
                multiply_tile(r, tile * TILE, from, to, &panel);
            }
            from = to;
        }
    }
}

/// Computes output rows `row .. row + 8` of pairs `from..to`.
unsafe fn multiply_tile(r: &Record, row: usize, from: usize, to: usize, panel: &Panel) {
    unsafe {
        let pairs = to - from;
        core::ptr::write_bytes(panel.sums, 0, pairs * TILE);
        let blocks = r.weights.cols.div_ceil(BLOCK);
        let mut block = 0;
        while block < blocks {
            let count = min(panel.blocks, blocks - block);
            decode(&r.weights, row, block, count, panel);
            let mut pair = 0;
            while pair + 2 <= pairs {
                let x = [r.x(from + pair).wrapping_add(8 * block), r.x(from + pair + 1).wrapping_add(8 * block)];
                panel.multiply::<2>(x, pair, count);
                pair += 2;
            }
            if pair < pairs {
                panel.multiply::<1>([r.x(from + pair).wrapping_add(8 * block)], pair, count);
            }
            block += count;
        }
        for pair in 0..pairs {
            for i in 0..min(TILE, r.weights.rows - row) {
                r.finish(row + i, from + pair, sum_lanes(*panel.sums.add(pair * TILE + i)));
            }
        }
    }
}
