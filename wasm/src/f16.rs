//! IEEE half precision.

use crate::dot::Format;
use core::arch::wasm32::*;

/// Half-precision bits in the lower half of each lane (the upper half zero) as float32, exactly.
#[inline(always)]
pub fn widen(half: v128) -> v128 {
    let magnitude = v128_and(half, i32x4_splat(0x7fff));
    let sign = i32x4_shl(v128_xor(half, magnitude), 16);
    // The bits line up but for the exponent bias; the product normalizes subnormals.
    let number = f32x4_mul(i32x4_shl(magnitude, 13), f32x4_splat(f32::from_bits((127 + 112) << 23)));
    let infinite = v128_and(i32x4_gt(magnitude, i32x4_splat(0x7bff)), i32x4_splat(0x7f80_0000));
    v128_or(v128_or(number, infinite), sign)
}

/// Stored half-precision weights.
pub struct F16;

impl Format for F16 {
    const BYTES: usize = 64;
    const SCALED: bool = false;

    type Constants = ();

    #[inline(always)]
    fn constants(_known: impl Fn(v128) -> v128) {}

    #[inline(always)]
    unsafe fn block_with(at: *const u8, (): &()) -> [v128; 8] {
        let mut block = [i32x4_splat(0); 8];
        for i in 0..4 {
            let pairs = unsafe { v128_load(at.add(16 * i).cast()) };
            block[2 * i] = widen(v128_and(pairs, i32x4_splat(0xffff)));
            block[2 * i + 1] = widen(u32x4_shr(pairs, 16));
        }
        block
    }
}
