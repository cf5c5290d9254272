//! `pick`: the likeliest tokens without all of their logits. A logit is computed from bytes first, about four times as
//! fast as in float32 and off by no more than a bound that is computed with it; where that leaves it room to be the
//! largest of its row, it is computed in the order of `dot.rs`, the same bits as `linear` gives.
//!
//! The bound: a row of weights w is brought to digits of eight bits, which stand for w', an input row x to digits of
//! seven bits, of which it may have two and which stand for x'. |w x - w' x'| = |w (x - x') + (w - w') x'| is at most
//! |w| |x - x'| + |w - w'| |x'|, by Cauchy and Schwarz. What a float32 sum is off by comes on top.

use crate::bf16::Bf16;
use crate::byte_dots::by_dots;
use crate::digits::{Facts, MOST};
use crate::dot::{BLOCK, Format, block_sum};
use crate::memory::{Words, at, opaque, row, sum_lanes};
use crate::pick_best::Best;
use crate::pick_panel::{Begun, GROUP, products};
use crate::pick_tile::{ROWS, STEP, STREAMS, TILE, largest, multiply_one, weight_digits};
use core::arch::wasm32::*;
use core::cmp::min;

/// What belongs to the rows of a tile, a lane each.
#[repr(C)]
struct Tile {
    /// Whether the rest is there, and the digits: where tiles are kept, from the first call on.
    known: [u32; 4],
    scales: [v128; TILE / 4],
    /// At least the norms of the weights, and of what they are without their digits.
    norms: [v128; TILE / 4],
    rests: [v128; TILE / 4],
    /// Sums of a row's digits times what is added to an input's digits.
    offsets: [v128; TILE / 4],
}

impl Tile {
    /// Scales, norms, rests and offsets of four rows.
    #[inline(always)]
    fn at(&self, four: usize) -> [v128; 4] {
        [self.scales[four], self.norms[four], self.rests[four], self.offsets[four]]
    }
}

/// At least what products of digits miss, for each unit of the norms of weights, and of what these are without digits.
struct Missed {
    of_weights: v128,
    of_rests: v128,
}

/// Upper bounds of four logits by the sums of both digits; the offsets in place of the second: of first digits alone.
#[inline(always)]
fn upper(
    facts: &Facts,
    missed: &Missed,
    first: v128,
    second: v128,
    [scales, norms, rests, offsets]: [v128; 4],
) -> v128 {
    let product = |sum, unit| f32x4_mul(f32x4_convert_i32x4(i32x4_sub(sum, offsets)), f32x4_splat(unit));
    let logits = f32x4_add(product(first, facts.first.unit), product(second, facts.second.unit));
    let off = f32x4_add(f32x4_mul(norms, missed.of_weights), f32x4_mul(rests, missed.of_rests));
    // Numbers so small that float32 has not all of their bits are off by less than the last.
    f32x4_add(f32x4_mul(logits, scales), f32x4_add(off, f32x4_splat(f32::MIN_POSITIVE * 64.0)))
}

/// Everything but a unit.
struct Call {
    weight: usize,
    row_stride: usize,
    rows: usize,
    cols: usize,
    x: usize,
    x_stride: usize,
    digits: usize,
    facts: usize,
    pairs: usize,
    count: usize,
    floors: usize,
    /// Where tiles are kept, each with its digits after it; 0: nowhere.
    kept: usize,
    dots: bool,
    best: *mut Best,
    /// Place of the digits of a tile that is not kept.
    weights: *mut u8,
    begun: *mut Begun,
    /// Sums of products: [pair][2][row of the tile].
    sums: *mut i32,
    /// What float32 sums are off by, as a part of both norms.
    rounding: f32,
}

/// Unit = 12 output rows. Words: weight (bf16), row_stride, rows, cols (a multiple of 32, at most 65,536), x
/// (prepared), x_stride, digits, facts (both as `digits` writes them), pairs, count, n, floors. `pairs` are the rows of
/// digits that are multiplied together, two u32 each: 2i and 2i + 1 are both digits of row i, other ones are first
/// digits of two rows, or of one row twice.
#[unsafe(no_mangle)]
unsafe extern "C" fn pick(desc: *const u32, start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (cols, n) = (d.get(3), d.get(10));
        let begun = scratch.wrapping_add(n * size_of::<Best>());
        let weights = begun.wrapping_add(size_of::<Begun>());
        let call = Call {
            weight: d.get(0),
            row_stride: d.get(1),
            rows: d.get(2),
            cols,
            x: d.get(4),
            x_stride: d.get(5),
            digits: d.get(6),
            facts: d.get(7),
            pairs: d.get(8),
            count: d.get(9),
            floors: d.get(11),
            kept: d.get(12),
            dots: by_dots(d.get(13)),
            best: scratch.cast(),
            weights,
            begun: begun.cast(),
            sums: weights.wrapping_add(TILE * cols).cast(),
            rounding: (cols / BLOCK + 64) as f32 / (1 << 22) as f32,
        };
        for unit in start as usize..end as usize {
            call.tile(unit * TILE);
        }
    }
}

impl Call {
    #[inline(always)]
    fn row(&self, row: usize) -> *const u8 {
        at(self.weight, row, self.row_stride) as *const u8
    }

    #[inline(always)]
    unsafe fn pair(&self, pair: usize) -> [usize; 2] {
        unsafe { (at(self.pairs, pair, 8) as *const [u32; 2]).read() }.map(|row| row as usize)
    }

    #[inline(always)]
    fn facts(&self, row: usize) -> &Facts {
        unsafe { &*(at(self.facts, row, size_of::<Facts>()) as *const Facts) }
    }

    /// Looks at output rows `first .. first + TILE`.
    unsafe fn tile(&self, first: usize) {
        unsafe {
            let mut unkept = core::mem::MaybeUninit::<Tile>::uninit();
            let kept = at(self.kept, first / TILE, size_of::<Tile>() + TILE * self.cols) as *mut Tile;
            let tile = if self.kept == 0 { unkept.as_mut_ptr() } else { kept };
            let weights = self.digits_of(tile);
            if self.kept == 0 || (*tile).known[0] == 0 {
                self.bring(first, tile, weights);
            }
            let tile = &*tile;
            for from in (0..self.count).step_by(GROUP) {
                let rows = |i: usize| self.pair(from + i).map(|row| at(self.digits, row, self.cols) as *const u8);
                let n = min(self.count - from, GROUP);
                products(weights, self.cols / STEP, rows, (n, self.dots), self.begun, self.sums.add(from * 2 * TILE));
            }
            for pair in 0..self.count {
                let [a, b] = self.pair(pair);
                let sums = self.sums.add(pair * 2 * TILE).cast_const();
                if b == a + 1 && a % 2 == 0 {
                    self.look::<2>(first, a / 2, sums, tile);
                } else {
                    self.look::<1>(first, a / 2, sums, tile);
                    if a != b {
                        self.look::<1>(first, b / 2, sums.add(TILE), tile);
                    }
                }
            }
        }
    }

    /// The place of a tile's digits.
    #[inline(always)]
    fn digits_of(&self, tile: *const Tile) -> *mut u8 {
        if self.kept == 0 { self.weights } else { tile.wrapping_add(1) as *mut u8 }
    }

    /// Brings the rows of a tile to digits at `to`, for each six rows [step][row]; what fills up twelve rows is of no
    /// importance.
    unsafe fn bring(&self, first: usize, tile: *mut Tile, to: *mut u8) {
        unsafe {
            let lane = |at: *mut [v128; TILE / 4], i: usize| at.cast::<f32>().add(i);
            let from = |i: usize| self.row(min(first + i, self.rows - 1));
            let mut magnitudes = [0; STREAMS];
            for i in 0..TILE {
                if i % STREAMS == 0 {
                    magnitudes = largest(core::array::from_fn(|k| from(i + k)), self.cols / STEP);
                }
                let to = to.add(i / ROWS * ROWS * self.cols + i % ROWS * STEP);
                let facts = weight_digits(from(i), self.cols / STEP, magnitudes[i % STREAMS], to);
                *lane(&raw mut (*tile).scales, i) = facts.scale;
                *lane(&raw mut (*tile).norms, i) = facts.norm;
                *lane(&raw mut (*tile).rests, i) = facts.rest;
                *lane(&raw mut (*tile).offsets, i).cast::<i32>() = MOST * facts.sum;
            }
            (*tile).known = [1; 4];
        }
    }

    /// Looks at the logits of one input row, of which D digits were multiplied.
    #[inline(never)]
    unsafe fn look<const D: usize>(&self, first: usize, input: usize, sums: *const i32, tile: &Tile) {
        unsafe {
            let facts = self.facts(input);
            let floor = (at(self.floors, input, 4) as *mut f32).read_volatile();
            let missed = self.missed(facts, D);
            let mut uppers = [f32x4_splat(0.0); TILE / 4];
            let mut any = 0;
            for i in 0..TILE / 4 {
                let second = if D == 2 { v128_load(sums.add(TILE + 4 * i).cast()) } else { tile.offsets[i] };
                uppers[i] = upper(facts, &missed, v128_load(sums.add(4 * i).cast()), second, tile.at(i));
                // Of vectors together LLVM makes a relaxed instruction.
                any |= i32x4_bitmask(f32x4_ge(uppers[i], f32x4_splat(floor)));
            }
            if any != 0 {
                self.compute::<D>(first, input, sums, &mut uppers, tile, floor);
            }
        }
    }

    /// What is missed of an input row where so many digits are multiplied.
    #[inline(always)]
    fn missed(&self, facts: &Facts, digits: usize) -> Missed {
        let rest = if digits == 2 { facts.second.rest } else { facts.first.rest };
        // The norm of digits is not above that of the row and what it is without them.
        let brought = facts.norm + rest;
        Missed {
            of_weights: f32x4_splat((rest + self.rounding * brought) * (1.0 + 1.0 / 1024.0)),
            of_rests: f32x4_splat(brought * (1.0 + 1.0 / 1024.0)),
        }
    }

    /// Computes the logits that may be the largest, those first that may be larger.
    #[inline(never)]
    unsafe fn compute<const D: usize>(
        &self,
        first: usize,
        input: usize,
        sums: *const i32,
        uppers: &mut [v128; TILE / 4],
        tile: &Tile,
        mut floor: f32,
    ) {
        unsafe {
            let uppers = uppers.as_mut_ptr().cast::<f32>();
            let best = &mut *self.best.add(input);
            let floors = at(self.floors, input, 4) as *mut f32;
            loop {
                let mut most = 0;
                for i in 1..min(TILE, self.rows - first) {
                    most = if *uppers.add(i) > *uppers.add(most) { i } else { most };
                }
                if *uppers.add(most) < floor || *uppers.add(most) == f32::NEG_INFINITY {
                    return;
                }
                *uppers.add(most) = f32::NEG_INFINITY;
                if D == 1 && self.second_upper(input, most, *sums.add(most), tile) < floor {
                    continue;
                }
                let logit = self.logit(first + most, input);
                best.take(logit, (first + most) as u32);
                if logit > floor && logit < f32::INFINITY {
                    floor = logit;
                    // Another thread may have found a larger one meanwhile: any logit of the row will do.
                    floors.write_volatile(logit);
                }
            }
        }
    }

    /// The upper bound of one logit by both digits, given the sum of the first ones.
    #[inline(always)]
    unsafe fn second_upper(&self, input: usize, row: usize, sum: i32, tile: &Tile) -> f32 {
        unsafe {
            let facts = self.facts(input);
            let weights = self.digits_of(tile).add(row / ROWS * ROWS * self.cols + row % ROWS * STEP);
            let digits = at(self.digits, 2 * input + 1, self.cols) as *const u8;
            let second = i32x4_splat(multiply_one(weights, digits, self.cols / STEP));
            let lane = |all: &[v128; TILE / 4]| v128_load32_splat(all.as_ptr().cast::<u32>().add(row));
            let of = [lane(&tile.scales), lane(&tile.norms), lane(&tile.rests), lane(&tile.offsets)];
            f32x4_extract_lane::<0>(upper(facts, &self.missed(facts, 2), i32x4_splat(sum), second, of))
        }
    }

    /// A logit, as `linear` computes it.
    #[inline(never)]
    unsafe fn logit(&self, output: usize, input: usize) -> f32 {
        unsafe {
            let (w, x) = (self.row(output), row(self.x, input, self.x_stride) as *const v128);
            let upper = Bf16::constants(opaque);
            let mut sum = f32x4_splat(0.0);
            for block in 0..self.cols / BLOCK {
                let w = Bf16::block_with(w.add(block * Bf16::BYTES), &upper);
                sum = f32x4_add(sum, block_sum(&w, x.add(8 * block)));
            }
            sum_lanes(sum)
        }
    }
}
