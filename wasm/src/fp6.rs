//! MXFP6 elements: four 6-bit codes in three bytes, little-endian.

use crate::bf16::widen_bytes;
use crate::dot::Format;
use core::arch::wasm32::*;

/// The 32 magnitudes of a format as bfloat16: a table of their low bytes and one of their high bytes.
pub trait Table {
    const LOW: [v128; 2];
    const HIGH: [v128; 2];
}

/// Byte 0 or 1 of the bfloat16s of all magnitudes.
const fn table(mantissa: u32, bias: i32, byte: usize) -> [v128; 2] {
    // SAFETY: 32 bytes either way, and every bit pattern is a vector.
    unsafe { core::mem::transmute(magnitudes(mantissa, bias, byte)) }
}

/// Byte 0 or 1 of the bfloat16 of each magnitude of a format with `mantissa` stored bits and that exponent bias.
const fn magnitudes(mantissa: u32, bias: i32, byte: usize) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut code = 0;
    while code < 32 {
        let (exponent, fraction) = ((code >> mantissa) as i32, code & ((1 << mantissa) - 1));
        // A subnormal lacks the leading one, and counts as exponent 1.
        let (significand, exponent) = if exponent == 0 { (fraction, 1) } else { (fraction | 1 << mantissa, exponent) };
        let mut value = significand as f32;
        let mut power = exponent - bias - mantissa as i32;
        while power > 0 {
            value *= 2.0;
            power -= 1;
        }
        while power < 0 {
            value *= 0.5;
            power += 1;
        }
        bytes[code as usize] = (value.to_bits() >> 16).to_le_bytes()[byte];
        code += 1;
    }
    bytes
}

/// Element e3m2.
pub struct E3m2;
impl Table for E3m2 {
    const LOW: [v128; 2] = table(2, 3, 0);
    const HIGH: [v128; 2] = table(2, 3, 1);
}

/// Element e2m3.
pub struct E2m3;
impl Table for E2m3 {
    const LOW: [v128; 2] = table(3, 1, 0);
    const HIGH: [v128; 2] = table(3, 1, 1);
}

/// Entries of a table of 32; the swizzle gives 0 where an index is not below 16.
#[inline(always)]
fn look_up([first, last]: [v128; 2], index: v128) -> v128 {
    v128_or(i8x16_swizzle(first, index), i8x16_swizzle(last, i8x16_sub(index, i8x16_splat(16))))
}

/// Sixteen codes, one a byte, from twelve bytes at the start of a vector.
#[inline(always)]
fn unpack(packed: v128) -> v128 {
    // Bytes b0 b1 b2 hold four codes: the halves b0 b1 and b1 b2 hold two each, at bits 0 and 6, and at bits 4 and 10.
    let halves = i8x16_shuffle::<0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11>(packed, packed);
    let low_codes =
        v128_or(v128_and(halves, i32x4_splat(0x0000_003f)), v128_and(u32x4_shr(halves, 4), i32x4_splat(0x003f_0000)));
    let high_codes = v128_or(
        v128_and(i32x4_shl(halves, 2), i32x4_splat(0x0000_3f00)),
        v128_and(u32x4_shr(halves, 2), i32x4_splat(0x3f00_0000)),
    );
    v128_or(low_codes, high_codes)
}

/// Stored MXFP6 weights, without their scales.
pub struct Fp6<T>(T);

impl<T: Table> Format for Fp6<T> {
    const BYTES: usize = 24;
    const SCALED: bool = true;

    #[inline(always)]
    unsafe fn block(at: *const u8) -> [v128; 8] {
        // The second load starts 8 bytes in, not 12, so as not to read beyond the block.
        let (first, last) = unsafe { (v128_load(at.cast()), v128_load(at.add(8).cast())) };
        let last = i8x16_shuffle::<4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 0>(last, last);
        let ([a, b, c, d], [e, f, g, h]) = (widen::<T>(unpack(first)), widen::<T>(unpack(last)));
        [a, b, c, d, e, f, g, h]
    }
}

/// Sixteen codes as float32 in prepared order.
#[inline(always)]
fn widen<T: Table>(codes: v128) -> [v128; 4] {
    let magnitude = v128_and(codes, i8x16_splat(0x1f));
    let sign = v128_and(i16x8_shl(codes, 2), i8x16_splat(0x80_u8 as i8));
    widen_bytes(look_up(T::LOW, magnitude), v128_or(look_up(T::HIGH, magnitude), sign))
}
