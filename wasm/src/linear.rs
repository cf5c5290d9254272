//! `linear`: y = x W^T + b for matrices in every format. For a few input rows, weights multiply as they are decoded
//! (`matvec.rs`, on integers `matvec_fixed.rs`). For more, and for transposed matrices, a tile of 8 output rows is
//! decoded into scratch, a panel of columns at a time. All sum in the order of `dot.rs`.

use crate::dot::BLOCK;
use crate::fp4::Fp4;
use crate::matvec::direct;
use crate::matvec_fixed;
use crate::memory::{Words, sum_lanes};
use crate::panel::{Panel, decode};
use crate::record::{Record, TILE, WORDS, by_format, format};
use core::cmp::{max, min};

/// Up to this many pairs, weights are decoded again for every four pairs instead of once into scratch.
const MOST_DIRECT: usize = 8;
/// Pairs that are multiplied with all tiles before the next pairs are: 64 input rows of 2880 columns fit an L2 cache.
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
        match r.weights.format {
            format::MXFP4 if r.has_fixed() => matvec_fixed::direct::<Fp4>(r, from, to, scratch),
            _ => by_format!(r.weights.format, direct(r, from, to, scratch)),
        }
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
