//! The many-rows path of `linear`: a tile of 8 output rows is decoded once for up to 64 pairs. Where weights and input
//! rows are small integers they multiply as such (`integer.rs`), else as float32 in register tiles, a panel of columns
//! at a time. Sums in the order of `dot.rs`.

use crate::dot::BLOCK;
use crate::integer::{self, QUAD, TILE_BYTES, X_BYTES};
use crate::integer_tile::multiply_quad;
use crate::memory::sum_lanes;
use crate::panel::{COUPLE, Panel, decode};
use crate::record::{Record, TILE, Way, scale};
use crate::register_tile::{register_tile_plain, register_tile_scaled};
use core::arch::wasm32::*;
use core::cmp::min;
use core::hint::black_box;

/// Most pairs whose input rows pass over all tiles before the next ones do: 128 rows of a panel fit an L2 cache.
pub const GROUP: usize = 128;
/// Pairs of a float32 register tile, which is two output rows tall.
const WIDE: usize = 5;

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
                        multiply_tile(r, row, rows, from + pair, min(pairs, quad * QUAD) - pair, &panel);
                    }
                }
            }
        }
    }
}

/// Computes output rows `row .. row + rows` (at most 8) of `pairs` pairs from `from` on in float32.
unsafe fn multiply_tile(r: &Record, row: usize, rows: usize, from: usize, pairs: usize, panel: &Panel) {
    unsafe {
        r.count(Way::Float32, pairs);
        core::ptr::write_bytes(panel.sums, 0, pairs * TILE);
        let blocks = r.weights.cols.div_ceil(BLOCK);
        for block in (0..blocks).step_by(panel.blocks) {
            let count = min(panel.blocks, blocks - block);
            decode(&r.weights, row, rows, block, count, panel);
            if r.weights.scale_kind == scale::E8M0 {
                multiply::<true>(r, rows, from, pairs, block, count, panel);
            } else {
                multiply::<false>(r, rows, from, pairs, block, count, panel);
            }
        }
        for pair in 0..pairs {
            for i in 0..rows {
                r.finish(row + i, from + pair, sum_lanes(*panel.sums.add(pair * TILE + i)));
            }
        }
    }
}

/// Adds the products of a panel of `count` blocks from `block` on to the sums of `pairs` pairs.
unsafe fn multiply<const SCALED: bool>(
    r: &Record,
    rows: usize,
    from: usize,
    pairs: usize,
    block: usize,
    count: usize,
    panel: &Panel,
) {
    unsafe {
        let mut pair = 0;
        while pair < pairs {
            let n = min(WIDE, pairs - pair);
            let x = core::array::from_fn(|i| r.x(from + pair + min(i, n - 1)).wrapping_add(8 * block));
            for couple in 0..rows.div_ceil(COUPLE) {
                match n {
                    5 => {
                        let (w, scales) = panel.couple(couple);
                        let (w, sums) = (w.cast(), panel.sums.add(pair * TILE + couple * COUPLE).cast());
                        let [x0, x1, x2, x3, x4] = x.map(|x| x.cast());
                        if SCALED {
                            register_tile_scaled(count, w, scales, sums, x0, x1, x2, x3, x4);
                        } else {
                            register_tile_plain(count, w, scales, sums, x0, x1, x2, x3, x4);
                        }
                    }
                    4 => register_tile::<SCALED, 4>(&x, pair, couple, count, panel),
                    3 => register_tile::<SCALED, 3>(&x, pair, couple, count, panel),
                    2 => register_tile::<SCALED, 2>(&x, pair, couple, count, panel),
                    _ => register_tile::<SCALED, 1>(&x, pair, couple, count, panel),
                }
            }
            pair += n;
        }
    }
}

/// Adds the products of the first `count` blocks to the sums of 2 rows and N pairs.
#[inline(never)]
unsafe fn register_tile<const SCALED: bool, const N: usize>(
    x: &[*const v128; WIDE],
    pair: usize,
    couple: usize,
    count: usize,
    panel: &Panel,
) {
    unsafe {
        let (mut w, mut scales) = panel.couple(couple);
        let at = panel.sums.add(pair * TILE + couple * COUPLE);
        let x: [*const u8; N] = core::array::from_fn(|n| x[n].cast());
        let mut sums: [[v128; COUPLE]; N] = core::array::from_fn(|n| core::array::from_fn(|i| *at.add(n * TILE + i)));
        let mut offset = 0;
        // A number that the compiler does not know: it would unroll the loop, load all vectors first, and spill them.
        let block = black_box(BLOCK * 4);
        for _ in 0..count {
            let mut t = [[f32x4_splat(0.0); COUPLE]; N];
            let end = offset + block;
            loop {
                let weights: [v128; COUPLE] = core::array::from_fn(|i| v128_load(w.add(i)));
                for n in 0..N {
                    let x = v128_load(x[n].add(offset).cast());
                    for i in 0..COUPLE {
                        t[n][i] = f32x4_relaxed_madd(weights[i], x, t[n][i]);
                    }
                }
                w = w.add(COUPLE);
                offset += 16;
                if offset == end {
                    break;
                }
            }
            for i in 0..COUPLE {
                let scale = v128_load32_splat(scales.add(i).cast());
                for n in 0..N {
                    sums[n][i] = if SCALED {
                        f32x4_relaxed_madd(t[n][i], scale, sums[n][i])
                    } else {
                        f32x4_add(sums[n][i], t[n][i])
                    };
                }
            }
            scales = scales.add(COUPLE);
        }
        for n in 0..N {
            for i in 0..COUPLE {
                *at.add(n * TILE + i) = sums[n][i];
            }
        }
    }
}
