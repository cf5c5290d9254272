//! Blocks as 8-bit integers: numbers of few bits that share a power of two multiply and add exactly as integers,
//! several times faster than as float32. A block's sums are the same numbers either way, and are scaled and added in
//! the order of `dot.rs`: the bits of the result are those of the float32 path. See "Blocks of few bits" in ABI.md.

use crate::dot::BLOCK;
use crate::exponents::Exponents;
use crate::fp4::Fp4;
use crate::fp6::{E2m3, Fp6};
use crate::integers::Integers;
use crate::mx;
use crate::record::{Record, TILE, Weights, format};
use core::arch::wasm32::*;
use core::cmp::min;

/// Input rows that are multiplied together.
pub const QUAD: usize = 4;
/// Output rows that are multiplied together.
pub const ROWS: usize = 4;
/// Bytes of a packed block of four input rows: two vectors of integers and one of corrections each, then the bits to
/// add to a scale.
pub const X_BYTES: usize = QUAD * 48 + QUAD * 4;
/// Bytes of a packed block of four output rows: two vectors of integers each, then the bits of their scales.
pub const W_BYTES: usize = ROWS * 32 + ROWS * 4;
/// Bytes of a packed block of a tile.
pub const TILE_BYTES: usize = TILE / ROWS * W_BYTES;

/// Bits of an input integer's magnitude: 63 at most.
const BITS: i32 = 6;
/// Largest magnitude of an exponent (of an input's quantum; of a block's scale) for which all their products, sums and
/// combinations are normal float32s.
const MOST_EXPONENT: i32 = 60;
/// 1.5 * 2^23: a float32 whose lowest bits are an integer's, once that is added to it.
const ROUNDER: f32 = 12_582_912.0;

/// Whether weights can be multiplied as integers.
pub fn has_integers(w: &Weights) -> bool {
    !w.transposed && matches!(w.format, format::MXFP4 | format::MXFP6_E2M3)
}

/// Whether the first input rows can be multiplied as integers, as others can then too in all likelihood.
pub unsafe fn are_integers(r: &Record, scratch: *mut u8) -> bool {
    unsafe { r.integers && has_integers(&r.weights) && pack_quad(r, 0, min(QUAD, r.pairs), scratch) }
}

/// 2^exponent, which must be normal.
#[inline(always)]
fn power(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

/// Float32s that are integers of less than 22 bits, plus an offset, as 32-bit integers.
#[inline(always)]
fn integer(y: v128, offset: i32) -> v128 {
    i32x4_sub(f32x4_add(y, f32x4_splat(ROUNDER)), i32x4_splat(ROUNDER.to_bits() as i32 - offset))
}

/// The lowest bytes of lanes l of vectors 0 2 4 6, and 1 3 5 7, as lanes l of two vectors.
#[inline(always)]
fn pack(v: [v128; 8]) -> [v128; 2] {
    let byte = |v: v128| v128_and(v, i32x4_splat(0xff));
    [0, 1].map(|i| {
        let low = v128_or(byte(v[i]), i32x4_shl(byte(v[i + 2]), 8));
        v128_or(low, v128_or(i32x4_shl(byte(v[i + 4]), 16), i32x4_shl(v[i + 6], 24)))
    })
}

/// Packs `pairs` (1..=4) input rows, of pairs from `pair` on. False if some block does not fit.
#[inline(never)]
pub unsafe fn pack_quad(r: &Record, pair: usize, pairs: usize, to: *mut u8) -> bool {
    unsafe {
        let offset = if r.weights.format == format::MXFP4 { Fp4::OFFSET } else { <Fp6<E2m3>>::OFFSET };
        for i in 0..QUAD {
            let x = r.x(pair + min(i, pairs - 1));
            for b in 0..r.weights.cols.div_ceil(BLOCK) {
                let block: [v128; 8] = core::array::from_fn(|v| v128_load(x.add(8 * b + v)));
                let to = to.add(b * X_BYTES);
                let Some(exponent) = pack_input(&block, offset, to.add(48 * i).cast()) else { return false };
                *to.add(48 * QUAD).cast::<i32>().add(i) = exponent << 23;
            }
        }
        true
    }
}

/// Packs a block of an input row as integers; returns the exponent of their quantum, or None where they do not fit: the
/// largest number has at most 6 bits, and all others are multiples of its lowest one.
#[inline(always)]
unsafe fn pack_input(block: &[v128; 8], offset: i32, to: *mut v128) -> Option<i32> {
    let amax = mx::amax_bits(block);
    let exponent = if amax == 0 { 0 } else { (amax >> 23) as i32 - 127 - (BITS - 1) };
    if exponent.abs() > MOST_EXPONENT {
        return None;
    }
    let (inverse, quantum) = (f32x4_splat(power(-exponent)), f32x4_splat(power(exponent)));
    let mut same = i32x4_splat(-1);
    let integers: [v128; 8] = core::array::from_fn(|i| {
        let y = f32x4_mul(block[i], inverse);
        let rounded = f32x4_sub(f32x4_add(y, f32x4_splat(ROUNDER)), f32x4_splat(ROUNDER));
        // Against the number itself, as y may have underflowed.
        same = v128_and(same, f32x4_eq(f32x4_mul(rounded, quantum), block[i]));
        integer(rounded, 0)
    });
    if !i32x4_all_true(same) {
        return None;
    }
    let [even, odd] = pack(integers);
    let s = |i: usize, j: usize| i32x4_add(integers[i], integers[j]);
    let sum = i32x4_add(i32x4_add(s(0, 1), s(2, 3)), i32x4_add(s(4, 5), s(6, 7)));
    unsafe {
        v128_store(to, even);
        v128_store(to.add(1), odd);
        // What the weights' offset adds to the sum of each lane, to be taken away.
        v128_store(to.add(2), i32x4_mul(sum, i32x4_splat(-offset)));
    }
    Some(exponent)
}

/// Packs `rows` (1..=8) output rows from `row` on. False if some block's scale is too large or too small.
pub unsafe fn pack_tile(w: &Weights, row: usize, rows: usize, to: *mut u8) -> bool {
    unsafe {
        match w.format {
            format::MXFP4 => pack_rows::<Fp4>(w, row, rows, to),
            format::MXFP6_E2M3 => pack_rows::<Fp6<E2m3>>(w, row, rows, to),
            _ => unreachable(),
        }
    }
}

#[inline(never)]
unsafe fn pack_rows<F: Integers>(w: &Weights, row: usize, rows: usize, to: *mut u8) -> bool {
    unsafe {
        let blocks = w.cols.div_ceil(BLOCK);
        for four in 0..rows.div_ceil(ROWS) {
            let rows = core::array::from_fn(|i| row + min(four * ROWS + i, rows - 1));
            let to = to.add(four * blocks * W_BYTES);
            let room = Exponents { at: to.add(32 * ROWS), apart: W_BYTES };
            if !room.write(w, &rows, F::UNIT_EXPONENT, MOST_EXPONENT) {
                return false;
            }
            // Rows in turns, each a stretch of memory: processors read several ahead.
            let tables = F::tables();
            let mut from = rows.map(|row| w.row(row));
            let mut to = to.cast::<v128>();
            for _ in 0..w.cols / BLOCK {
                for i in 0..ROWS {
                    let [even, odd] = F::integers(from[i], &tables);
                    v128_store(to.add(2 * i), even);
                    v128_store(to.add(2 * i + 1), odd);
                }
                from = from.map(|from| from.add(F::BYTES));
                to = to.add(W_BYTES / 16);
            }
            if w.cols % BLOCK != 0 {
                for i in 0..ROWS {
                    let [even, odd] = cut_integers::<F>(from[i], w.cols % BLOCK);
                    v128_store(to.add(2 * i), even);
                    v128_store(to.add(2 * i + 1), odd);
                }
            }
        }
        true
    }
}

/// The integers of a block that is cut at the end of a row after `columns` numbers.
#[inline(never)]
unsafe fn cut_integers<F: Integers>(at: *const u8, columns: usize) -> [v128; 2] {
    let mut bytes = [0u8; BLOCK];
    unsafe {
        core::ptr::copy_nonoverlapping(at, bytes.as_mut_ptr(), (columns * F::BYTES).div_ceil(BLOCK));
        F::integers(bytes.as_ptr(), &F::tables())
    }
}
