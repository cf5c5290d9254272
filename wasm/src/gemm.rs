//! The many-rows path of `linear`: a tile of 8 output rows is decoded once for up to 64 pairs. Where weights and input
//! rows are small integers they multiply as such (`integer.rs`), else as float32 in register tiles, a panel of columns
//! at a time. Sums in the order of `dot.rs`.

use crate::dot::BLOCK;
use crate::integer::{self, QUAD, TILE_BYTES, X_BYTES};
use crate::integer_tile::multiply_quad;
use crate::memory::sum_lanes;
use crate::panel::{COUPLE, Panel, decode};
use crate::record::{Record, TILE, Way, scale};
use crate::register_tile::*;
use core::cmp::min;

/// Most pairs whose input rows pass over all tiles before the next ones do: 128 rows of a panel fit an L2 cache.
pub const GROUP: usize = 128;
/// Most pairs of a float32 register tile, which is two output rows tall.
pub const WIDE: usize = 5;

/// Multiplies all input rows with tiles `first..last`.
pub unsafe fn many(r: &Record, first: usize, last: usize, scratch: *mut u8) {
    unsafe {
        let blocks = r.weights.cols.div_ceil(BLOCK);
        let panel = Panel::new(scratch, r.weights.cols);
        let tile_at = scratch.wrapping_add(panel.bytes());
        let quads_at = tile_at.wrapping_add(blocks * TILE_BYTES);
        let quad_at = |quad: usize| quads_at.wrapping_add(quad * blocks * X_BYTES);
        for from in (0..r.pairs).step_by(GROUP) {
            let pairs = min(GROUP, r.pairs - from);
            let quads = pairs.div_ceil(QUAD);
            for pair in 0..pairs + WIDE - 1 {
                *panel.inputs.add(pair) = r.x(from + min(pair, pairs - 1)) as u32;
            }
            // One bit a quad.
            let mut fits = 0u32;
            if r.integers() && integer::has_integers(&r.weights) {
                for quad in 0..quads {
                    let count = min(QUAD, pairs - quad * QUAD);
                    fits |= u32::from(integer::pack_quad(r, from + quad * QUAD, count, quad_at(quad))) << quad;
                }
            }
            for tile in first..last {
                let row = tile * TILE;
                let rows = min(TILE, r.weights.rows - row);
                let fits = if fits != 0 && integer::pack_tile(&r.weights, row, rows, tile_at) { fits } else { 0 };
                let mut quad = 0;
                while quad < quads {
                    let pair = quad * QUAD;
                    if fits >> quad & 1 == 1 {
                        let count = min(QUAD, pairs - pair);
                        r.count(Way::Integers, count);
                        multiply_quad(r, row, rows, from + pair, count, tile_at, quad_at(quad));
                        quad += 1;
                    } else {
                        // Up to the next quad that fits.
                        quad = min(quads, quad + (fits >> quad).trailing_zeros() as usize);
                        multiply_tile(r, row, rows, from, pair, min(pairs, quad * QUAD), &panel);
                    }
                }
            }
        }
    }
}

/// Computes output rows `row .. row + rows` (at most 8) of pairs `first..last` in float32; they count from the start of
/// the group, which is pair `from`.
unsafe fn multiply_tile(r: &Record, row: usize, rows: usize, from: usize, first: usize, last: usize, panel: &Panel) {
    unsafe {
        r.count(Way::Float32, last - first);
        core::ptr::write_bytes(panel.sums.add(first * TILE), 0, (last - first) * TILE);
        let blocks = r.weights.cols.div_ceil(BLOCK);
        for block in (0..blocks).step_by(panel.blocks) {
            let count = min(panel.blocks, blocks - block);
            decode(&r.weights, row, rows, block, count, panel);
            if r.weights.scale_kind == scale::E8M0 {
                multiply::<true>(rows, first, last, block, count, panel);
            } else {
                multiply::<false>(rows, first, last, block, count, panel);
            }
        }
        for pair in first..last {
            for i in 0..rows {
                r.finish(row + i, from + pair, sum_lanes(*panel.sums.add(pair * TILE + i)));
            }
        }
    }
}

/// Adds the products of a panel of `count` blocks from `block` on to the sums of pairs `first..last`. What the last
/// register tile computes beyond those nobody reads.
unsafe fn multiply<const SCALED: bool>(
    rows: usize,
    first: usize,
    last: usize,
    block: usize,
    count: usize,
    panel: &Panel,
) {
    unsafe {
        let offset = block * BLOCK * 4;
        // As many tiles of four as leave a multiple of five, if there are enough pairs.
        let fours = min((5 - (last - first) % 5) % 5, (last - first).div_ceil(4));
        let mut pair = first;
        for tile in 0.. {
            if pair >= last {
                break;
            }
            let five = tile >= fours;
            let x = panel.inputs.add(pair);
            for couple in 0..rows.div_ceil(COUPLE) {
                let (w, scales) = panel.couple(couple);
                let (w, sums) = (w.cast(), panel.sums.add(pair * TILE + couple * COUPLE).cast());
                match (SCALED, five) {
                    (true, true) => tile_scaled_5(count, w, scales, sums, x, offset),
                    (true, false) => tile_scaled_4(count, w, scales, sums, x, offset),
                    (false, true) => tile_plain_5(count, w, scales, sums, x, offset),
                    (false, false) => tile_plain_4(count, w, scales, sums, x, offset),
                }
            }
            pair += if five { 5 } else { 4 };
        }
    }
}
