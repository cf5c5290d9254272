//! bfloat16: the upper half of a float32.

use core::arch::wasm32::*;

/// Rounds float32 lanes to bfloat16 values, nearest, ties to even. A NaN stays a NaN.
#[inline(always)]
pub fn round(x: v128) -> v128 {
    let odd = v128_and(u32x4_shr(x, 16), i32x4_splat(1));
    let rounded = i32x4_add(i32x4_add(x, i32x4_splat(0x7fff)), odd);
    // Rounding could carry a NaN's payload into the sign, and cutting it could leave an infinity.
    let nan = v128_or(x, i32x4_splat(0x7fc0_0000));
    v128_and(v128_bitselect(nan, rounded, f32x4_ne(x, x)), i32x4_splat(0xffff_0000_u32 as i32))
}

/// [`round`] where the descriptor asks for it.
#[inline(always)]
pub fn round_if(wanted: bool, x: v128) -> v128 {
    if wanted { round(x) } else { x }
}
