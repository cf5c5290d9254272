//! `linear`: y = x W^T + b for matrices in every format. For a few input rows, weights multiply as they are decoded, up
//! to four input rows at a time. For more, and for transposed matrices, a tile of 8 output rows is decoded into
//! scratch, a panel of columns at a time. Both sum in the order of `dot.rs`.

use crate::dot::{BLOCK, Format, block_sum, cut_block};
use crate::memory::{Words, sum_lanes};
use crate::mx;
use crate::panel::{Panel, decode};
use crate::record::{Record, TILE, WORDS, Weights, by_format};
use core::arch::wasm32::*;
use core::cmp::{max, min};

/// Most pairs for which weights are decoded anew for every four.
const MOST_DIRECT: usize = 8;
/// Most pairs whose input rows pass over all tiles before the next ones do: 64 rows of 2880 columns fit an L2 cache.
const MOST_TOGETHER: usize = 64;

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
        if r.weights.transposed || r.pairs > MOST_DIRECT {
            return panels(r, first, last, scratch);
        }
        let (from, to) = (first * TILE, min(last * TILE, r.weights.rows));
        by_format!(r.weights.format, direct(r, from, to))
    }
}

unsafe fn direct<F: Format>(r: &Record, from: usize, to: usize) {
    unsafe {
        let mut pair = 0;
        while pair + 4 <= r.pairs {
            rows::<F, 4>(r, from, to, pair);
            pair += 4;
        }
        while pair + 2 <= r.pairs {
            rows::<F, 2>(r, from, to, pair);
            pair += 2;
        }
        if pair < r.pairs {
            rows::<F, 1>(r, from, to, pair);
        }
    }
}

/// Multiplies N input rows, of pairs from `pair` on, with output rows `from..to`.
#[inline(never)]
unsafe fn rows<F: Format, const N: usize>(r: &Record, from: usize, to: usize, pair: usize) {
    unsafe {
        let w = &r.weights;
        let x: [*const v128; N] = core::array::from_fn(|n| r.x(pair + n));
        for row in from..to {
            let sums = dots::<F, N>(w.row(row), w.row_scales(row), x, w.cols);
            for n in 0..N {
                r.finish(row, pair + n, sum_lanes(sums[n]));
            }
        }
    }
}

/// Products of a stored row and N prepared rows, in four lanes each.
#[inline(always)]
unsafe fn dots<F: Format, const N: usize>(
    w: *const u8,
    scales: *const u8,
    x: [*const v128; N],
    cols: usize,
) -> [v128; N] {
    unsafe {
        let blocks = cols / BLOCK;
        let mut sums = [f32x4_splat(0.0); N];
        let add = |sums: &mut [v128; N], b: usize, w: [v128; 8], scale: v128| {
            for n in 0..N {
                let t = block_sum(&w, x[n].add(b * 8));
                sums[n] = if F::SCALED { f32x4_relaxed_madd(t, scale, sums[n]) } else { f32x4_add(sums[n], t) };
            }
        };
        let mut b = 0;
        if F::SCALED {
            while b + 4 <= blocks {
                let s = mx::four_scales(scales.add(b));
                let block = |i: usize| F::block(w.add((b + i) * F::BYTES));
                add(&mut sums, b, block(0), i32x4_shuffle::<0, 0, 0, 0>(s, s));
                add(&mut sums, b + 1, block(1), i32x4_shuffle::<1, 1, 1, 1>(s, s));
                add(&mut sums, b + 2, block(2), i32x4_shuffle::<2, 2, 2, 2>(s, s));
                add(&mut sums, b + 3, block(3), i32x4_shuffle::<3, 3, 3, 3>(s, s));
                b += 4;
            }
        }
        while b < blocks {
            add(&mut sums, b, F::block(w.add(b * F::BYTES)), f32x4_splat(Weights::block_scale(scales, b)));
            b += 1;
        }
        if cols % BLOCK != 0 {
            let cut = cut_block::<F>(w.add(b * F::BYTES), cols % BLOCK);
            add(&mut sums, b, cut, f32x4_splat(Weights::block_scale(scales, b)));
        }
        sums
    }
}

/// Multiplies all input rows with tiles `first..last`, as many at a time as sums fit in scratch.
unsafe fn panels(r: &Record, first: usize, last: usize, scratch: *mut u8) {
    unsafe {
        let panel = Panel::new(scratch, r.weights.cols);
        let group = min(MOST_TOGETHER, panel.pairs);
        for from in (0..r.pairs).step_by(group) {
            for tile in first..last {
                multiply_tile(r, tile * TILE, from, min(group, r.pairs - from), &panel);
            }
        }
    }
}

/// Computes output rows `row .. row + 8` of `pairs` pairs from `from` on.
unsafe fn multiply_tile(r: &Record, row: usize, from: usize, pairs: usize, panel: &Panel) {
    unsafe {
        let rows = min(TILE, r.weights.rows - row);
        core::ptr::write_bytes(panel.sums, 0, pairs * TILE);
        let blocks = r.weights.cols.div_ceil(BLOCK);
        for block in (0..blocks).step_by(panel.blocks) {
            let count = min(panel.blocks, blocks - block);
            decode(&r.weights, row, rows, block, count, panel);
            let mut pair = 0;
            while pair + 8 <= pairs {
                multiply::<8>(r, from, pair, rows, block, count, panel);
                pair += 8;
            }
            while pair + 4 <= pairs {
                multiply::<4>(r, from, pair, rows, block, count, panel);
                pair += 4;
            }
            while pair + 2 <= pairs {
                multiply::<2>(r, from, pair, rows, block, count, panel);
                pair += 2;
            }
            if pair < pairs {
                multiply::<1>(r, from, pair, rows, block, count, panel);
            }
        }
        for pair in 0..pairs {
            for i in 0..rows {
                r.finish(row + i, from + pair, sum_lanes(*panel.sums.add(pair * TILE + i)));
            }
        }
    }
}

/// Adds the products of a panel of `count` blocks from `block` on to the sums of N pairs.
#[inline(always)]
unsafe fn multiply<const N: usize>(
    r: &Record,
    from: usize,
    pair: usize,
    rows: usize,
    block: usize,
    count: usize,
    panel: &Panel,
) {
    unsafe {
        let x = core::array::from_fn(|n| r.x(from + pair + n).wrapping_add(8 * block));
        panel.multiply::<N>(x, pair, rows, count);
    }
}
