//! MXFP4 elements: two e2m1 codes a byte, the even column in the low nibble.

use crate::dot::{Format, Four};
use crate::four_rows::{FourRows, four_rows_fp4, nibbles, with_constants};
use core::arch::wasm32::*;

/// High bytes of the bfloat16s 0 .5 1 1.5 2 3 4 6 and their negatives.
pub const HIGH: v128 =
    u8x16(0x00, 0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40, 0x80, 0xbf, 0xbf, 0xbf, 0xc0, 0xc0, 0xc0, 0xc0);
/// Their low bytes.
pub const LOW: v128 =
    u8x16(0x00, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0, 0x00, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0);

/// Sixteen codes as float32, four vectors in code order.
#[inline(always)]
fn widen(codes: v128, t: &Tables) -> [v128; 4] {
    // The relaxed swizzle is safe: machines differ only for indices of 16 and above.
    let (low, high) = (i8x16_relaxed_swizzle(t.low, codes), i8x16_relaxed_swizzle(t.high, codes));
    let (first, last) = (low_bytes(low, high), high_bytes(low, high));
    let zero = i32x4_splat(0);
    [low_pairs(zero, first), high_pairs(zero, first), low_pairs(zero, last), high_pairs(zero, last)]
}

/// Constants of the format.
pub struct Tables {
    low: v128,
    high: v128,
    nibble: v128,
}

/// Stored MXFP4 weights, without their scales.
pub struct Fp4;

impl Format for Fp4 {
    const BYTES: usize = 16;
    const SCALED: bool = true;

    type Constants = Tables;

    #[inline(always)]
    fn constants(known: impl Fn(v128) -> v128) -> Tables {
        Tables { low: known(LOW), high: known(HIGH), nibble: known(i8x16_splat(0x0f)) }
    }

    #[inline(always)]
    unsafe fn block_with(at: *const u8, t: &Tables) -> [v128; 8] {
        let packed = unsafe { v128_load(at.cast()) };
        let [a, c, e, g] = widen(v128_and(packed, t.nibble), t);
        let [b, d, f, h] = widen(v128_and(u16x8_shr(packed, 4), t.nibble), t);
        [a, b, c, d, e, f, g, h]
    }

    #[inline(always)]
    unsafe fn put_four(at: [*const u8; 4], t: &Tables, to: Four) {
        // Bytes of one place in four rows are brought together before they are looked up.
        let [a, b, c, d] = at.map(|at| unsafe { v128_load(at.cast()) });
        let put = |i: usize, packed: v128| unsafe {
            to.put(2 * i, widen(v128_and(packed, t.nibble), t));
            to.put(2 * i + 1, widen(v128_and(u16x8_shr(packed, 4), t.nibble), t));
        };
        let (ab, cd) = (low_bytes(a, b), low_bytes(c, d));
        put(0, low_pairs(ab, cd));
        put(1, high_pairs(ab, cd));
        let (ab, cd) = (high_bytes(a, b), high_bytes(c, d));
        put(2, low_pairs(ab, cd));
        put(3, high_pairs(ab, cd));
    }

    #[inline(always)]
    unsafe fn four_rows(n: usize, rows: &mut FourRows) -> bool {
        unsafe { with_constants(const { nibbles(LOW, HIGH) }, |c| four_rows_fp4(n, rows, c)) };
        true
    }
}

/// The first eight bytes of two vectors in turns.
#[inline(always)]
fn low_bytes(a: v128, b: v128) -> v128 {
    i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b)
}

/// The last eight bytes.
#[inline(always)]
fn high_bytes(a: v128, b: v128) -> v128 {
    i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(a, b)
}

/// The first four pairs of bytes of two vectors in turns.
#[inline(always)]
fn low_pairs(a: v128, b: v128) -> v128 {
    i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(a, b)
}

/// The last four pairs of bytes.
#[inline(always)]
fn high_pairs(a: v128, b: v128) -> v128 {
    i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(a, b)
}
