//! The many-rows path of `linear`: a tile of 8 output rows is decoded once for up to 128 pairs, whose input rows are
//! packed four together. Where weights and input rows are small integers they multiply as such (`integer.rs`), else as
//! float32 in register tiles, a panel of columns at a time. Sums in the order of `dot.rs`.

use crate::dot::BLOCK;
use crate::finish::Finish;
use crate::integer::{self, QUAD, TILE_BYTES};
use crate::integer_tile::{lacks_dot, multiply_quads};
use crate::panel::{Panel, QUAD_BYTES, decode, pack};
use crate::record::{Record, TILE, Way, scale};
use crate::register_tile::*;
use core::arch::wasm32::*;
use core::cmp::min;

/// Most pairs whose input rows pass over all tiles before the next ones do: their rows fit an L2 cache.
pub const GROUP: usize = 128;

/// Input rows of a group, packed four together, either as float32 or as integers.
pub struct Quads<'a> {
    r: &'a Record,
    /// First pair of the group, and their number.
    from: usize,
    pairs: usize,
    at: *mut u8,
    bytes: usize,
    /// One bit a quad: whether it lies there as integers.
    integers: u32,
    /// Whether bytes are multiplied and added by one instruction.
    pub dots: bool,
}

impl Quads<'_> {
    pub fn count(&self) -> usize {
        self.pairs.div_ceil(QUAD)
    }

    /// Blocks of a row.
    pub fn blocks(&self) -> usize {
        self.r.weights.cols.div_ceil(BLOCK)
    }

    /// First pair of a quad, and their number.
    pub fn pairs_of(&self, quad: usize) -> (usize, usize) {
        (self.from + quad * QUAD, min(QUAD, self.pairs - quad * QUAD))
    }

    pub fn address(&self, quad: usize) -> *mut u8 {
        self.at.wrapping_add(quad * self.bytes)
    }

    /// One bit for each quad.
    fn all(&self) -> u32 {
        u32::MAX >> (32 - self.count())
    }

    /// Packs every quad: as integers where `wanted` and where it fits.
    unsafe fn pack_all(&mut self, wanted: bool) {
        unsafe {
            for quad in 0..self.count() {
                let (pair, pairs) = self.pairs_of(quad);
                if wanted && integer::pack_quad(self.r, pair, pairs, self.address(quad)) {
                    self.integers |= 1 << quad;
                } else {
                    pack(self.r, pair, pairs, self.address(quad));
                }
            }
        }
    }

    /// Packs a quad again if it does not lie there as it is wanted; as integers only where that fitted before.
    unsafe fn want(&mut self, quad: usize, as_integers: bool) {
        unsafe {
            if (self.integers >> quad & 1 == 1) != as_integers {
                let (pair, pairs) = self.pairs_of(quad);
                if as_integers {
                    integer::pack_quad(self.r, pair, pairs, self.address(quad));
                } else {
                    pack(self.r, pair, pairs, self.address(quad));
                }
                self.integers ^= 1 << quad;
            }
        }
    }
}

/// Multiplies all input rows with tiles `first..last`.
pub unsafe fn many(r: &Record, first: usize, last: usize, scratch: *mut u8) {
    unsafe {
        let blocks = r.weights.cols.div_ceil(BLOCK);
        let panel = Panel::new(scratch, r.weights.cols);
        let tile_at = scratch.wrapping_add(panel.bytes());
        let at = tile_at.wrapping_add(blocks * TILE_BYTES);
        let packed = r.packed();
        let integers = packed.is_none() && r.integers() && integer::has_integers(&r.weights);
        let dots = !r.without_dots() && !lacks_dot();
        // Groups of about the same size.
        let group = r.pairs.div_ceil(r.pairs.div_ceil(GROUP)).next_multiple_of(QUAD);
        for from in (0..r.pairs).step_by(group) {
            let pairs = min(group, r.pairs - from);
            let bytes = blocks * QUAD_BYTES;
            let at = packed.map_or(at, |packed| packed.wrapping_add(from / QUAD * bytes));
            let mut quads = Quads { r, from, pairs, at, bytes, integers: 0, dots };
            if packed.is_none() {
                quads.pack_all(integers);
            }
            let fits = quads.integers;
            for tile in first..last {
                let row = tile * TILE;
                let rows = min(TILE, r.weights.rows - row);
                let finish = Finish::new(r, row, rows);
                let fits = if fits != 0 && integer::pack_tile(&r.weights, row, rows, tile_at) { fits } else { 0 };
                for quad in 0..quads.count() {
                    let as_integers = fits >> quad & 1 == 1;
                    quads.want(quad, as_integers);
                    r.count(if as_integers { Way::Integers } else { Way::Float32 }, quads.pairs_of(quad).1);
                }
                if fits != 0 {
                    multiply_quads(rows, &quads, fits, tile_at, &panel, &finish);
                }
                let floats = quads.all() & !fits;
                if floats != 0 {
                    multiply_tile(row, rows, &quads, floats, &panel, &finish);
                }
            }
        }
    }
}

/// Computes output rows `row .. row + rows` (at most 8) in float32, of the quads whose bit is set.
unsafe fn multiply_tile(row: usize, rows: usize, quads: &Quads, which: u32, panel: &Panel, finish: &Finish) {
    unsafe {
        let w = &quads.r.weights;
        let blocks = quads.blocks();
        let chosen = || (0..quads.count()).filter(|quad| which >> quad & 1 == 1);
        panel.clear(quads.count());
        for block in (0..blocks).step_by(panel.blocks) {
            let count = min(panel.blocks, blocks - block);
            decode(w, row, rows, block, count, panel);
            let scaled = w.scale_kind == scale::E8M0;
            for quad in chosen() {
                let x = quads.address(quad).add(block * QUAD_BYTES).cast::<f32>();
                let (weights, scales, sums) = (panel.weights.cast(), panel.scales, panel.sums(quad).cast());
                match (scaled, quads.pairs_of(quad).1) {
                    (true, 1) => tile_scaled_1(count, weights, scales, sums, x),
                    (true, 2) => tile_scaled_2(count, weights, scales, sums, x),
                    (true, 3) => tile_scaled_3(count, weights, scales, sums, x),
                    (true, _) => tile_scaled_4(count, weights, scales, sums, x),
                    (false, 1) => tile_plain_1(count, weights, scales, sums, x),
                    (false, 2) => tile_plain_2(count, weights, scales, sums, x),
                    (false, 3) => tile_plain_3(count, weights, scales, sums, x),
                    (false, _) => tile_plain_4(count, weights, scales, sums, x),
                }
            }
        }
        for quad in chosen() {
            let (pair, pairs) = quads.pairs_of(quad);
            for i in 0..pairs {
                let lane = |lane: usize, half: usize| *panel.sums(quad).add((lane * QUAD + i) * 2 + half);
                let sum =
                    |half| f32x4_add(f32x4_add(lane(0, half), lane(1, half)), f32x4_add(lane(2, half), lane(3, half)));
                finish.store(pair + i, [sum(0), sum(1)]);
            }
        }
    }
}
