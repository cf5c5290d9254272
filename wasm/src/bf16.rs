//! bfloat16: the upper half of a float32.

use crate::dot::{Format, Four};
use crate::memory::turn;
use core::arch::wasm32::*;

/// The mask of the upper half.
pub const UPPER: i32 = 0xffff_0000_u32 as i32;

/// Rounds float32 lanes to bfloat16 values, nearest, ties to even. A NaN stays a NaN.
#[inline(always)]
pub fn round(x: v128) -> v128 {
    let odd = v128_and(u32x4_shr(x, 16), i32x4_splat(1));
    let rounded = i32x4_add(i32x4_add(x, i32x4_splat(0x7fff)), odd);
    // For a NaN, rounding could carry into the sign bit, and truncation could clear the payload and leave an infinity.
    let nan = v128_or(x, i32x4_splat(0x7fc0_0000));
    v128_and(v128_bitselect(nan, rounded, f32x4_ne(x, x)), i32x4_splat(UPPER))
}

/// [`round`] if the descriptor asks for bf16 results.
#[inline(always)]
pub fn round_if(wanted: bool, x: v128) -> v128 {
    if wanted { round(x) } else { x }
}

/// Eight bfloat16s of consecutive columns as float32: the even columns, the odd columns.
#[inline(always)]
pub fn widen(pairs: v128, upper: &Upper) -> [v128; 2] {
    [i32x4_shl(pairs, 16), v128_and(pairs, upper.0)]
}

/// The mask of the upper half of each lane.
pub struct Upper(v128);

impl Upper {
    #[inline(always)]
    pub fn new(known: impl Fn(v128) -> v128) -> Upper {
        Upper(known(i32x4_splat(UPPER)))
    }
}

/// Sixteen bfloat16s, given by their low and high bytes, as float32 in prepared order.
#[inline(always)]
pub fn widen_bytes(low: v128, high: v128, upper: &Upper) -> [v128; 4] {
    let first = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(low, high);
    let last = i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(low, high);
    let ([a, b], [c, d]) = (widen(first, upper), widen(last, upper));
    [a, b, c, d]
}

/// Stored bfloat16 weights.
pub struct Bf16;

impl Format for Bf16 {
    const BYTES: usize = 64;
    const SCALED: bool = false;

    type Constants = Upper;

    #[inline(always)]
    fn constants(known: impl Fn(v128) -> v128) -> Upper {
        Upper::new(known)
    }

    #[inline(always)]
    unsafe fn block_with(at: *const u8, upper: &Upper) -> [v128; 8] {
        let pairs = |i: usize| widen(unsafe { v128_load(at.add(16 * i).cast()) }, upper);
        let ([a, b], [c, d], [e, f], [g, h]) = (pairs(0), pairs(1), pairs(2), pairs(3));
        [a, b, c, d, e, f, g, h]
    }

    #[inline(always)]
    unsafe fn put_four(at: [*const u8; 4], upper: &Upper, to: Four) {
        let put = |i: usize| unsafe {
            // Pairs of columns are turned before they are widened.
            let pairs = turn(at.map(|at| v128_load(at.add(16 * i).cast()))).map(|pairs| widen(pairs, upper));
            to.put(2 * i, pairs.map(|[even, _]| even));
            to.put(2 * i + 1, pairs.map(|[_, odd]| odd));
        };
        put(0);
        put(1);
        put(2);
        put(3);
    }
}
