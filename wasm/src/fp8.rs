//! FP8 e4m3 codes, in the OCP's encoding (fn) and in MI300's (fnuz).

use crate::bf16::{Upper, widen_bytes};
use crate::dot::Format;
use crate::four_rows::{FourRows, four_rows_fp8, minifloat, with_constants};
use core::arch::wasm32::*;

/// Sixteen codes as float32 in prepared order. All values fit bfloat16, whose bytes are computed: a normal number's
/// exponent and mantissa bits only move by four, and get another bias. The 16 smallest magnitudes, half of them
/// subnormal, differ by what the tables hold.
#[inline(always)]
fn widen(codes: v128, magnitude: v128, nan: v128, c: &Constants) -> [v128; 4] {
    let low = v128_and(i16x8_shl(codes, 4), c.mantissa);
    let high = i8x16_add(v128_and(u16x8_shr(magnitude, 4), c.exponent), c.bias);
    // The swizzle gives 0 for magnitudes from 16 on.
    let low = v128_xor(low, i8x16_swizzle(c.low_fix, magnitude));
    let high = v128_xor(high, i8x16_swizzle(c.high_fix, magnitude));
    let sign = v128_xor(codes, magnitude);
    let high = v128_or(v128_or(high, sign), v128_and(nan, c.magnitude));
    widen_bytes(v128_or(low, v128_and(nan, c.quiet)), high, &c.upper)
}

/// Constants of the formats.
pub struct Constants {
    magnitude: v128,
    mantissa: v128,
    exponent: v128,
    bias: v128,
    low_fix: v128,
    high_fix: v128,
    quiet: v128,
    upper: Upper,
}

impl Constants {
    #[inline(always)]
    fn new(known: impl Fn(v128) -> v128) -> Constants {
        Constants {
            magnitude: known(i8x16_splat(0x7f)),
            mantissa: known(i8x16_splat(0xf0_u8 as i8)),
            exponent: known(i8x16_splat(0x07)),
            bias: known(u8x16_splat(high_bias(7))),
            low_fix: known(const { fix(7, 0) }),
            high_fix: known(const { fix(7, 1) }),
            quiet: known(i8x16_splat(0xc0_u8 as i8)),
            upper: Upper::new(&known),
        }
    }
}

/// For magnitudes 0..16: the correction from byte `byte` of the shifted code to that byte of the bfloat16.
const fn fix(exponent_bias: i32, byte: usize) -> v128 {
    let mut table = [0; 16];
    let mut code = 0u32;
    while code < 16 {
        let significand = if code < 8 { code } else { 8 + (code & 7) };
        // Both subnormals and exponent 1 count in quanta of 2^(1 - bias - 3).
        let value = significand as f32 * f32::from_bits(((127 + 1 - exponent_bias - 3) as u32) << 23);
        let shifted = (code << 4) + (((127 - exponent_bias) as u32) << 7);
        table[code as usize] = ((value.to_bits() >> 16) ^ shifted).to_le_bytes()[byte];
        code += 1;
    }
    // SAFETY: 16 bytes either way, and every bit pattern is a vector.
    unsafe { core::mem::transmute::<[u8; 16], v128>(table) }
}

/// The code's own bias against bfloat16's, in the high byte.
const fn high_bias(exponent_bias: i32) -> u8 {
    ((127 - exponent_bias) >> 1) as u8
}

/// Sixteen e4m3fn codes as float32 in prepared order.
#[inline(always)]
pub fn widen_fn(codes: v128, c: &Constants) -> [v128; 4] {
    let magnitude = v128_and(codes, c.magnitude);
    widen(codes, magnitude, i8x16_eq(magnitude, c.magnitude), c)
}

/// Sixteen e4m3fnuz codes as float32 in prepared order.
#[inline(always)]
fn widen_fnuz(codes: v128, c: &Constants) -> [v128; 4] {
    // The bias of fnuz is one larger: a code is half of what the same bits are in e4m3fn, and halving is exact. The
    // byte arithmetic needs an odd bias, which e4m3fn's is.
    let nan = i8x16_eq(codes, i8x16_splat(i8::MIN));
    widen(codes, v128_and(codes, c.magnitude), nan, c).map(|v| f32x4_mul(v, f32x4_splat(0.5)))
}

/// Stored e4m3fn weights, without their scale.
pub struct E4m3fn;

impl Format for E4m3fn {
    const BYTES: usize = 32;
    const SCALED: bool = false;

    type Constants = Constants;

    #[inline(always)]
    fn constants(known: impl Fn(v128) -> v128) -> Constants {
        Constants::new(known)
    }

    #[inline(always)]
    unsafe fn block_with(at: *const u8, constants: &Constants) -> [v128; 8] {
        let (first, last) = unsafe { (v128_load(at.cast()), v128_load(at.add(16).cast())) };
        let ([a, b, c, d], [e, f, g, h]) = (widen_fn(first, constants), widen_fn(last, constants));
        [a, b, c, d, e, f, g, h]
    }
    #[inline(always)]
    unsafe fn four_rows(n: usize, rows: &mut FourRows) -> bool {
        rows.largest = i32x4_splat(0);
        unsafe { with_constants(const { minifloat(8, 3, 7) }, |c| four_rows_fp8(n, rows, c)) };
        // The largest magnitude of all is NaN.
        !v128_any_true(i8x16_eq(rows.largest, i8x16_splat(i8::MAX)))
    }
}

/// Stored e4m3fnuz weights, without their scale.
pub struct E4m3fnuz;

impl Format for E4m3fnuz {
    const BYTES: usize = 32;
    const SCALED: bool = false;

    type Constants = Constants;

    #[inline(always)]
    fn constants(known: impl Fn(v128) -> v128) -> Constants {
        Constants::new(known)
    }

    #[inline(always)]
    unsafe fn block_with(at: *const u8, constants: &Constants) -> [v128; 8] {
        let (first, last) = unsafe { (v128_load(at.cast()), v128_load(at.add(16).cast())) };
        let ([a, b, c, d], [e, f, g, h]) = (widen_fnuz(first, constants), widen_fnuz(last, constants));
        [a, b, c, d, e, f, g, h]
    }
}
