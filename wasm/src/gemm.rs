//! The many-rows path of `linear`: a tile of 8 output rows is decoded once for up to some 128 pairs, whose input rows
//! are packed together. Where weights and input rows are small integers they multiply as such (`integer.rs`), else as
//! float32 in register tiles, a panel of columns at a time. Sums in the order of `dot.rs`.

use crate::dot::BLOCK;
use crate::finish::Finish;
use crate::groups::{FIVE, FOUR, Groups, ROW_BYTES};
use crate::integer::{self, QUAD, TILE_BYTES};
use crate::integer_tile::multiply_quads;
use crate::panel::{Panel, Part, decode, is_ordinary, pack};
use crate::record::{Record, TILE, Way, Weights, scale};
use crate::register_tile::*;
use core::arch::wasm32::*;
use core::cmp::{max, min};

/// Most pairs whose input rows pass over all tiles before the next ones do: their rows fit an L2 cache.
const MOST: usize = 128;
/// Most groups of input rows that do so where all multiply as float32, and their rows.
const MOST_GROUPS: usize = MOST.div_ceil(FIVE);
pub const MOST_ROWS: usize = MOST_GROUPS * FIVE;

/// Input rows packed four together, either as float32 or as integers.
pub struct Quads<'a> {
    r: &'a Record,
    /// First pair, and their number.
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

    /// Packs every quad as integers where that fits; whether it does for any.
    unsafe fn pack_integers(&mut self) -> bool {
        for quad in 0..self.count() {
            let (pair, pairs) = self.pairs_of(quad);
            if unsafe { integer::pack_quad(self.r, pair, pairs, self.address(quad)) } {
                self.integers |= 1 << quad;
            }
        }
        self.integers != 0
    }

    /// Packs the others as float32; whether all of those rows are ordinary.
    unsafe fn pack_floats(&self) -> bool {
        let mut ordinary = true;
        for quad in (0..self.count()).filter(|quad| self.integers >> quad & 1 == 0) {
            let (pair, pairs) = self.pairs_of(quad);
            unsafe {
                ordinary &= is_ordinary(self.r, pair, pairs);
                pack(self.r, pair, pairs, self.address(quad));
            }
        }
        ordinary
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
        let packed = r.packed();
        if packed.is_some() || !r.integers || !integer::has_integers(&r.weights) {
            return all_floats(r, (0, r.pairs), (first, last), packed, scratch);
        }
        let blocks = r.weights.cols.div_ceil(BLOCK);
        let panel = Panel::new(scratch, r.weights.cols);
        let tile_at = scratch.wrapping_add(panel.bytes());
        let at = tile_at.wrapping_add(blocks * TILE_BYTES);
        let dots = r.dots;
        // Parts of about the same size.
        let part = r.pairs.div_ceil(r.pairs.div_ceil(MOST)).next_multiple_of(QUAD);
        for from in (0..r.pairs).step_by(part) {
            let pairs = min(part, r.pairs - from);
            let mut quads = Quads { r, from, pairs, at, bytes: blocks * QUAD * ROW_BYTES, integers: 0, dots };
            if !quads.pack_integers() {
                all_floats(r, (from, pairs), (first, last), None, scratch);
                continue;
            }
            // Rows that fit are ordinary too, should they be multiplied as float32.
            let ordinary = quads.pack_floats();
            let fits = quads.integers;
            for tile in first..last {
                let row = tile * TILE;
                let rows = min(TILE, r.weights.rows - row);
                let finish = Finish::new(r, row, rows);
                let fits = if integer::pack_tile(&r.weights, row, rows, tile_at) { fits } else { 0 };
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
                    let chosen = (0..quads.count()).filter(|quad| floats >> quad & 1 == 1).map(|quad| {
                        let (pair, pairs) = quads.pairs_of(quad);
                        Packed { pair, pairs, x: quads.address(quad), sums: panel.sums(quad * QUAD) }
                    });
                    multiply_tile(&r.weights, row, rows, chosen, ordinary, &panel, &finish);
                }
            }
        }
    }
}

/// Multiplies `pairs` pairs from `from` on, of which none is multiplied as integers, with tiles `first..last`; all
/// input rows may lie packed already.
unsafe fn all_floats(
    r: &Record,
    (from, pairs): (usize, usize),
    (first, last): (usize, usize),
    packed: Option<*mut u8>,
    scratch: *mut u8,
) {
    unsafe {
        let panel = Panel::new(scratch, r.weights.cols);
        let row_bytes = r.weights.cols.div_ceil(BLOCK) * ROW_BYTES;
        let groups = Groups::of(pairs);
        // Parts of about the same size.
        let part = groups.count().div_ceil(groups.count().div_ceil(MOST_GROUPS));
        for start in (0..groups.count()).step_by(part) {
            let end = min(start + part, groups.count());
            let row_of = |group: usize| groups.first(group) - groups.first(start);
            let at = match packed {
                Some(all) => all.wrapping_add(groups.first(start) * row_bytes),
                None => scratch.wrapping_add(panel.bytes()),
            };
            let scaled = r.weights.scale_kind == scale::E8M0;
            let mut ordinary = packed.is_none();
            if packed.is_none() {
                for group in start..end {
                    let (pair, pairs) = (from + groups.first(group), groups.rows(group));
                    ordinary = ordinary && scaled && is_ordinary(r, pair, pairs);
                    pack(r, pair, pairs, at.wrapping_add(row_of(group) * row_bytes));
                }
            }
            for tile in first..last {
                let row = tile * TILE;
                let rows = min(TILE, r.weights.rows - row);
                let finish = Finish::new(r, row, rows);
                r.count(Way::Float32, row_of(end));
                let all = (start..end).map(|group| Packed {
                    pair: from + groups.first(group),
                    pairs: groups.rows(group),
                    x: at.wrapping_add(row_of(group) * row_bytes),
                    sums: panel.sums(row_of(group)),
                });
                multiply_tile(&r.weights, row, rows, all, ordinary, &panel, &finish);
            }
        }
    }
}

/// Input rows that are packed together as float32.
struct Packed {
    /// The first pair, and their number: 1 to 5.
    pair: usize,
    pairs: usize,
    x: *const u8,
    /// Where their sums go.
    sums: *mut v128,
}

impl Packed {
    /// Rows for which there is room.
    fn room(&self) -> usize {
        max(self.pairs, FOUR)
    }
}

/// Computes output rows `row .. row + rows` (at most 8) in float32. Where all input rows are ordinary, so that it
/// changes no bit, weights are multiplied by the scales of their blocks before and not the sums of each block after.
unsafe fn multiply_tile(
    w: &Weights,
    row: usize,
    rows: usize,
    groups: impl Iterator<Item = Packed> + Clone,
    ordinary: bool,
    panel: &Panel,
    finish: &Finish,
) {
    unsafe {
        let blocks = w.cols.div_ceil(BLOCK);
        for group in groups.clone() {
            core::ptr::write_bytes(group.sums, 0, group.room() * TILE);
        }
        for block in (0..blocks).step_by(panel.blocks) {
            let count = min(panel.blocks, blocks - block);
            let scaled = !decode(&Part { weights: w, row, rows, block, count }, ordinary, panel);
            for group in groups.clone() {
                let x = group.x.add(block * group.room() * ROW_BYTES).cast::<f32>();
                let (weights, scales, sums) = (panel.weights.cast(), panel.scales, group.sums.cast());
                match (scaled, group.pairs) {
                    (true, 1) => tile_scaled_1(count, weights, scales, sums, x),
                    (true, 2) => tile_scaled_2(count, weights, scales, sums, x),
                    (true, 3) => tile_scaled_3(count, weights, scales, sums, x),
                    (true, 4) => tile_scaled_4(count, weights, scales, sums, x),
                    (true, _) => tile_scaled_5(count, weights, scales, sums, x),
                    (false, 1) => tile_plain_1(count, weights, scales, sums, x),
                    (false, 2) => tile_plain_2(count, weights, scales, sums, x),
                    (false, 3) => tile_plain_3(count, weights, scales, sums, x),
                    (false, 4) => tile_plain_4(count, weights, scales, sums, x),
                    (false, _) => tile_plain_5(count, weights, scales, sums, x),
                }
            }
        }
        for group in groups {
            for i in 0..group.pairs {
                let lane = |lane: usize, half: usize| *group.sums.add((lane * group.room() + i) * 2 + half);
                let sum =
                    |half| f32x4_add(f32x4_add(lane(0, half), lane(1, half)), f32x4_add(lane(2, half), lane(3, half)));
                finish.store(group.pair + i, [sum(0), sum(1)]);
            }
        }
    }
}
