//! Prepared rows as integers: what lets a dot product with weights of few bits run on integer instructions and still
//! give the bits of the float32 one (ABI.md, "Fixed rows").
//!
//! A lane of a block is the 8 columns that one lane of the float32 path sums. Its numbers are written as X * unit, unit
//! a power of two, where that is exact. Then every product and every partial sum of the lane is an integer times one
//! unit, on either path, and as long as no such integer needs more than 24 bits, nothing is rounded on either path.

use crate::memory::at;
use core::arch::wasm32::*;

/// A block of 32 columns.
#[repr(C)]
pub struct Block {
    /// Unit of each lane.
    pub unit: v128,
    /// What is to be added to a lane's sum, because stored weights are looked up with `offset` added: -offset * (sum of
    /// X). As float32 times the unit if [`starts_as_float`], else as an integer.
    pub start: v128,
    /// Digits of X to the base 256, -128..=127, the least significant first, zeros after the last: of the columns that
    /// even places of a packed pair hold, of the odd ones. Byte j of 32-bit lane l: column 8j + 2l, or 8j + 2l + 1.
    pub digits: [[v128; 2]; MOST_DIGITS],
    /// `start` as an integer in any case.
    pub integer_start: v128,
}

pub const MOST_DIGITS: usize = 3;
const BLOCK_BYTES: usize = size_of::<Block>();
/// Digits of a block whose numbers do not fit.
pub const UNFIT: u8 = 0;
/// Stands after the last block's digits.
const END: u8 = 255;

/// Whether sums of that many digits, weights with their offset, are exact as float32.
pub const fn starts_as_float(digits: usize, offset: i32) -> bool {
    8 * (1 << (8 * digits - 1)) * 2 * offset as i64 <= 1 << 24
}

/// A row of blocks, and how many digits each of them has, then [`END`]. A last block that is cut is not there.
#[derive(Clone, Copy)]
pub struct Row {
    blocks: *mut Block,
    digits: *mut u8,
}

impl Row {
    /// Row `index` of those at `base`, `stride` bytes apart; a row has `blocks` whole blocks.
    #[inline(always)]
    pub fn from(base: usize, index: usize, stride: usize, blocks: usize) -> Row {
        let row = at(base, index, stride);
        Row { blocks: row as *mut Block, digits: row.wrapping_add(blocks * BLOCK_BYTES) as *mut u8 }
    }

    #[inline(always)]
    pub unsafe fn block(self, b: usize) -> *const Block {
        unsafe { self.blocks.add(b) }
    }

    /// Digits of a block's numbers; 0: they do not fit.
    #[inline(always)]
    pub unsafe fn digits(self, b: usize) -> u8 {
        unsafe { *self.digits.add(b) }
    }

    /// The numbers of digits of all blocks.
    #[inline(always)]
    pub fn all_digits(self) -> *const u8 {
        self.digits
    }

    /// The most digits of a block, as which all of them can be read; 255 if one of them does not fit.
    #[inline(always)]
    pub unsafe fn most_digits(self, blocks: usize) -> u8 {
        unsafe { *self.digits.add(blocks + 1) }
    }

    /// Writes what stands after `blocks` blocks: [`END`], and the most digits.
    pub unsafe fn end(self, blocks: usize) {
        unsafe {
            let most = (0..blocks).map(|b| self.digits(b).wrapping_sub(1)).max();
            *self.digits.add(blocks) = END;
            *self.digits.add(blocks + 1) = most.map_or(1, |most| most.saturating_add(1));
        }
    }

    /// Writes block `b` of a prepared row. `offset` is what weights are looked up with, and their largest magnitude.
    pub unsafe fn fix(self, b: usize, prepared: &[v128; 8], offset: i32) {
        unsafe { *self.digits.add(b) = fix(&mut *self.blocks.add(b), prepared, offset) }
    }
}

/// Fills a block with the fewest digits that will do, and returns their number.
#[inline(never)]
fn fix(to: &mut Block, x: &[v128; 8], offset: i32) -> u8 {
    let mut most = i32x4_splat(0);
    for v in x {
        most = i32x4_max(most, v128_and(*v, i32x4_splat(i32::MAX)));
    }
    // 2^e of the largest magnitude of each lane; 1 for a lane of zeros. Far from where float32 ends, so that neither a
    // unit nor a product underflows or overflows; infinities and NaN fall out here too.
    let power = v128_and(most, i32x4_splat(0x7f80_0000));
    let of_block = i32x4_max(power, i32x4_shuffle::<2, 3, 0, 1>(power, power));
    let of_block = i32x4_max(of_block, i32x4_shuffle::<1, 0, 3, 2>(of_block, of_block));
    let power = v128_bitselect(f32x4_splat(1.0), power, i32x4_eq(most, i32x4_splat(0)));
    let far = v128_or(i32x4_lt(power, i32x4_splat((127 - 80) << 23)), i32x4_gt(power, i32x4_splat((127 + 80) << 23)));
    if v128_any_true(far) {
        return UNFIT;
    }
    // Bits that a magnitude has after its leading one: what one digit holds, what two hold, then from what always fits
    // to what float32 can hold at best.
    let mut bits = 6;
    while bits <= 20 {
        let digits = bits / 8 + 1;
        // Lanes of one digit share their unit.
        let power = if digits == 1 && v128_any_true(of_block) { of_block } else { power };
        if let Some(integers) = integers(x, power, bits as i32, offset) {
            to.unit = i32x4_sub(power, i32x4_splat((bits << 23) as i32));
            if store(to, integers, digits, offset) {
                return digits as u8;
            }
        }
        bits += if bits == 6 { 8 } else { 1 + usize::from(bits == 14) };
    }
    UNFIT
}

/// The numbers over units of `power` / 2^bits, where those are integers whose sums fit.
#[inline(always)]
fn integers(x: &[v128; 8], power: v128, bits: i32, offset: i32) -> Option<[v128; 8]> {
    let inverse = i32x4_sub(i32x4_splat((254 + bits) << 23), power);
    let unit = i32x4_sub(power, i32x4_splat(bits << 23));
    let mut broken = i32x4_splat(0);
    let mut sum = f32x4_splat(0.0);
    let scaled = x.map(|v| {
        let y = f32x4_mul(v, inverse);
        // Against the number itself, as y may have underflowed.
        broken = v128_or(broken, f32x4_ne(v, f32x4_mul(f32x4_nearest(y), unit)));
        sum = f32x4_add(sum, f32x4_abs(y));
        y
    });
    let broken = v128_or(broken, f32x4_ge(f32x4_mul(sum, f32x4_splat(offset as f32)), f32x4_splat(16_777_216.0)));
    if v128_any_true(broken) { None } else { Some(scaled.map(|y| i32x4_trunc_sat_f32x4(y))) }
}

/// Writes digits and start; false if the leading digit does not fit a byte.
#[inline(always)]
fn store(to: &mut Block, mut integers: [v128; 8], digits: usize, offset: i32) -> bool {
    let mut sum = i32x4_splat(0);
    for v in integers {
        sum = i32x4_add(sum, v);
    }
    let start = i32x4_mul(sum, i32x4_splat(-offset));
    to.integer_start = start;
    to.start = if starts_as_float(digits, offset) { f32x4_mul(f32x4_convert_i32x4(start), to.unit) } else { start };
    to.digits = [[i32x4_splat(0); 2]; MOST_DIGITS];
    for place in 0..digits {
        let low = integers.map(|v| v128_and(v, i32x4_splat(0xff)));
        let pack = |i: usize| {
            let pair = v128_or(low[i], i32x4_shl(low[i + 2], 8));
            v128_or(pair, v128_or(i32x4_shl(low[i + 4], 16), i32x4_shl(low[i + 6], 24)))
        };
        to.digits[place] = [pack(0), pack(1)];
        // What is left after the digit, which counts as -128..=127.
        integers = integers.map(|v| i32x4_shr(i32x4_add(v, i32x4_splat(128)), 8));
    }
    !integers.iter().any(|v| v128_any_true(*v))
}
