//! Q8_0 of llama.cpp: blocks of 32 numbers with a float16 scale and int8 codes, as ggml's x86 kernels quantize inputs.

use crate::mx::amax_bits;
use core::arch::wasm32::*;

/// A float32 number from 0 to 65519, rounded to float16: to nearest, ties to even.
#[inline(always)]
fn round_to_f16(x: f32) -> f32 {
    let bits = x.to_bits();
    // Below 2^-14 float16 has multiples of 2^-24, as float32 has from 1/2 on.
    if bits < 0x3880_0000 {
        return (x + 0.5) - 0.5;
    }
    f32::from_bits((bits + 0x0fff + (bits >> 13 & 1)) & !0x1fff)
}

/// Quantizes a block and dequantizes it again; not rounded to bf16. A block with a NaN, or whose scale is beyond
/// float16, becomes NaN.
#[inline(always)]
pub fn qdq(block: &mut [v128; 8]) {
    let amax = f32::from_bits(amax_bits(block));
    let exact = amax / 127.0;
    // A NaN is not below either.
    if !(exact < 65520.0) {
        *block = [f32x4_splat(f32::NAN); 8];
        return;
    }
    let quotient = 127.0 / amax;
    // Where 127 / max|x| is beyond float32, the scale is 0 by far.
    let inverse = f32x4_splat(if quotient.is_finite() { quotient } else { 0.0 });
    let scale = f32x4_splat(round_to_f16(exact));
    for v in block {
        // Codes are integers, which have one zero.
        let code = i32x4_trunc_sat_f32x4(f32x4_nearest(f32x4_mul(*v, inverse)));
        *v = f32x4_mul(f32x4_convert_i32x4(code), scale);
    }
}
