//! MXFP6 elements: four 6-bit codes in three bytes, little-endian.

use crate::bf16::{Upper, widen_bytes};
use crate::dot::Format;
use crate::four_rows::{FourRows, four_rows_e2m3, four_rows_e3m2, minifloat, with_constants};
use core::arch::wasm32::*;

/// The 32 magnitudes of a format as bfloat16: a table of their low bytes and one of their high bytes.
pub trait Table {
    const LOW: [v128; 2];
    const HIGH: [v128; 2];
    /// See [`Format::four_rows`].
    unsafe fn four_rows(n: usize, rows: &mut FourRows);
}

/// Byte 0 or 1 of the bfloat16s of all magnitudes.
const fn table(mantissa: u32, bias: i32, byte: usize) -> [v128; 2] {
    // SAFETY: 32 bytes either way, and every bit pattern is a vector.
    unsafe { core::mem::transmute(magnitudes(mantissa, bias, byte)) }
}

/// Byte 0 or 1 of the bfloat16 of each magnitude of a format with `mantissa` stored bits and that exponent bias.
pub const fn magnitudes(mantissa: u32, bias: i32, byte: usize) -> [u8; 32] {
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

    #[inline(always)]
    unsafe fn four_rows(n: usize, rows: &mut FourRows) {
        unsafe { with_constants(const { minifloat(6, 2, 3) }, |c| four_rows_e3m2(n, rows, c)) }
    }
}

/// Element e2m3.
pub struct E2m3;
impl Table for E2m3 {
    const LOW: [v128; 2] = table(3, 1, 0);
    const HIGH: [v128; 2] = table(3, 1, 1);

    #[inline(always)]
    unsafe fn four_rows(n: usize, rows: &mut FourRows) {
        unsafe { with_constants(const { minifloat(6, 3, 1) }, |c| four_rows_e2m3(n, rows, c)) }
    }
}

/// Entries of a table of 32; the swizzle gives 0 where an index is not below 16.
#[inline(always)]
fn look_up([first, last]: [v128; 2], index: [v128; 2]) -> v128 {
    v128_or(i8x16_swizzle(first, index[0]), i8x16_swizzle(last, index[1]))
}

/// Constants of a format.
pub struct Constants {
    low: [v128; 2],
    high: [v128; 2],
    /// Which bytes make the halves of [`unpack`]: of the first twelve of a vector, of its last twelve.
    halves: [v128; 2],
    /// Where codes lie in halves.
    codes: [v128; 4],
    magnitude: v128,
    sign: v128,
    sixteen: v128,
    upper: Upper,
}

/// Sixteen codes, one a byte, from twelve bytes of a vector; `bytes` and the masks are those of [`Constants`].
#[inline(always)]
fn unpack(packed: v128, bytes: v128, [a, b, c, d]: [v128; 4]) -> v128 {
    // Bytes b0 b1 b2 hold four codes: the halves b0 b1 and b1 b2 hold two each, at bits 0 and 6, and at bits 4 and 10.
    // The relaxed swizzle is safe: machines differ only for indices of 16 and above.
    let halves = i8x16_relaxed_swizzle(packed, bytes);
    let low_codes = v128_or(v128_and(halves, a), v128_and(u32x4_shr(halves, 4), b));
    let high_codes = v128_or(v128_and(i32x4_shl(halves, 2), c), v128_and(u32x4_shr(halves, 2), d));
    v128_or(low_codes, high_codes)
}

/// Stored MXFP6 weights, without their scales.
pub struct Fp6<T>(T);

impl<T: Table> Format for Fp6<T> {
    const BYTES: usize = 24;
    const SCALED: bool = true;

    type Constants = Constants;

    #[inline(always)]
    fn constants(known: impl Fn(v128) -> v128) -> Constants {
        Constants {
            low: [known(T::LOW[0]), known(T::LOW[1])],
            high: [known(T::HIGH[0]), known(T::HIGH[1])],
            halves: [
                known(i8x16(0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11)),
                known(i8x16(4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11, 12, 13, 14, 14, 15)),
            ],
            codes: [
                known(i32x4_splat(0x0000_003f)),
                known(i32x4_splat(0x003f_0000)),
                known(i32x4_splat(0x0000_3f00)),
                known(i32x4_splat(0x3f00_0000)),
            ],
            magnitude: known(i8x16_splat(0x1f)),
            sign: known(i8x16_splat(i8::MIN)),
            sixteen: known(i8x16_splat(16)),
            upper: Upper::new(&known),
        }
    }

    #[inline(always)]
    unsafe fn block_with(at: *const u8, c: &Constants) -> [v128; 8] {
        // The second load starts 8 bytes in, not 12, so as not to read beyond the block.
        let (first, last) = unsafe { (v128_load(at.cast()), v128_load(at.add(8).cast())) };
        let (first, last) = (unpack(first, c.halves[0], c.codes), unpack(last, c.halves[1], c.codes));
        let ([a, b, d, e], [f, g, h, i]) = (widen(first, c), widen(last, c));
        [a, b, d, e, f, g, h, i]
    }

    #[inline(always)]
    unsafe fn four_rows(n: usize, rows: &mut FourRows) -> bool {
        unsafe { T::four_rows(n, rows) };
        true
    }
}

/// Sixteen codes as float32 in prepared order.
#[inline(always)]
fn widen(codes: v128, c: &Constants) -> [v128; 4] {
    let magnitude = v128_and(codes, c.magnitude);
    let index = [magnitude, i8x16_sub(magnitude, c.sixteen)];
    let sign = v128_and(i16x8_shl(codes, 2), c.sign);
    widen_bytes(look_up(c.low, index), v128_or(look_up(c.high, index), sign), &c.upper)
}
