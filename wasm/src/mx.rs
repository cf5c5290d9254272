//! OCP-MX blocks: 32 elements that share a power of two, stored as a byte `exponent + 127` (255: NaN).

use crate::bf16::round_if;
use crate::element::Element;
use crate::memory::opaque;
use core::arch::wasm32::*;
use core::marker::PhantomData;

/// How the shared exponent follows from the largest magnitude of the block.
#[derive(Clone, Copy, PartialEq)]
pub enum Rule {
    /// The magnitude is rounded up to the next power of two where its significand would round up to it in the element
    /// format.
    Even,
    /// The magnitude's own power of two.
    Floor,
    /// The least power of two by which the element format's largest number is no smaller than the magnitude.
    Rceil,
}

/// The last of their numbers.
pub const LAST_RULE: usize = 2;

impl Rule {
    #[inline(always)]
    pub fn from(word: usize) -> Rule {
        match word {
            0 => Rule::Even,
            1 => Rule::Floor,
            _ => Rule::Rceil,
        }
    }
}

/// Bits of the largest magnitude in a block; above an infinity's (0x7f800000) if the block holds a NaN.
#[inline(always)]
pub fn amax_bits(block: &[v128; 8]) -> u32 {
    let bits = |i: usize| v128_and(block[i], i32x4_splat(i32::MAX));
    let m = |a, b| i32x4_max(a, b);
    let all = m(m(m(bits(0), bits(1)), m(bits(2), bits(3))), m(m(bits(4), bits(5)), m(bits(6), bits(7))));
    let halves = m(all, i32x4_shuffle::<2, 3, 0, 1>(all, all));
    i32x4_extract_lane::<0>(m(halves, i32x4_shuffle::<1, 0, 3, 2>(halves, halves))) as u32
}

/// The scale byte of a block. A NaN in the block gives 255; a magnitude that is infinite, or that [`Rule::Even`] rounds
/// to infinity, 254.
#[inline(always)]
pub fn scale_byte<E: Element>(amax_bits: u32, rule: Rule) -> u32 {
    if amax_bits > 0x7f80_0000 {
        return 255;
    }
    let added = match rule {
        Rule::Even => 1 << (22 - E::MANTISSA),
        Rule::Floor => 0,
        // What is above the largest number's fraction carries into the exponent.
        Rule::Rceil => 0x007f_ffff - (E::MAX.to_bits() & 0x007f_ffff),
    };
    let field = (amax_bits + added) >> 23;
    let beyond = field == 255 && (rule != Rule::Rceil || amax_bits == 0x7f80_0000);
    if beyond { 254 } else { field.saturating_sub(E::MAX_EXPONENT as u32) }
}

/// 2^(byte - 127), exactly; NaN for 255.
#[inline(always)]
pub fn scale(byte: u32) -> f32 {
    // 0 is the subnormal 2^-127, whose one mantissa bit is also the quiet bit of the NaN that 255 needs.
    let half = if (byte + 1) & 0xff < 2 { 0x0040_0000 } else { 0 };
    f32::from_bits(byte << 23 | half)
}

/// 2^(127 - byte), for bytes 0..=254.
#[inline(always)]
pub fn inverse_scale(byte: u32) -> f32 {
    scale(254 - byte)
}

/// Quantizes a block and dequantizes it again.
#[inline(always)]
pub fn qdq<E: Element>(block: &mut [v128; 8], rule: Rule) {
    let byte = scale_byte::<E>(amax_bits(block), rule);
    if byte == 255 {
        *block = [f32x4_splat(f32::NAN); 8];
        return;
    }
    let (inverse, scale) = (f32x4_splat(inverse_scale(byte)), f32x4_splat(scale(byte)));
    for v in block {
        *v = f32x4_mul(E::quantize(f32x4_mul(*v, inverse)), scale);
    }
}

/// Quantizes and dequantizes blocks as [`qdq`] does, with constants that stay in registers.
pub struct Qdq<E> {
    rule: Rule,
    round: bool,
    magnitude: v128,
    most: v128,
    power: v128,
    least: v128,
    quanta: v128,
    element: PhantomData<E>,
}

impl<E: Element> Qdq<E> {
    /// `round`: whether results are rounded to bf16.
    pub fn new(rule: Rule, round: bool) -> Self {
        Qdq {
            rule,
            round,
            magnitude: opaque(i32x4_splat(i32::MAX)),
            most: opaque(f32x4_splat(E::MAX)),
            power: opaque(i32x4_splat(0x7f80_0000)),
            least: opaque(i32x4_splat((E::MIN_EXPONENT + 127) << 23)),
            quanta: opaque(i32x4_splat((23 - E::MANTISSA as i32) << 23)),
            element: PhantomData,
        }
    }

    /// Scale bytes from which on all results are numbers of bf16, whose smallest is 2^-133, so that rounding to it
    /// would change nothing; below 1 for all but FP8.
    const BF16_FROM: i32 = 127 - 133 - (E::MIN_EXPONENT - E::MANTISSA as i32);

    /// Replaces 32 numbers by what [`qdq`] leaves of them, rounded to bf16 where that is asked for.
    #[inline(always)]
    pub fn apply(&self, block: &mut [v128; 8]) {
        let m = |i: usize, j: usize| i32x4_max(v128_and(block[i], self.magnitude), v128_and(block[j], self.magnitude));
        let all = i32x4_max(i32x4_max(m(0, 1), m(2, 3)), i32x4_max(m(4, 5), m(6, 7)));
        let halves = i32x4_max(all, i32x4_shuffle::<2, 3, 0, 1>(all, all));
        let amax = i32x4_extract_lane::<0>(i32x4_max(halves, i32x4_shuffle::<1, 0, 3, 2>(halves, halves))) as u32;
        let byte = scale_byte::<E>(amax, self.rule);
        if byte == 255 {
            *block = [f32x4_splat(f32::NAN); 8];
            return;
        }
        let (inverse, scale) = (f32x4_splat(inverse_scale(byte)), f32x4_splat(scale(byte)));
        for v in &mut *block {
            // As in `Element::quantize`.
            let y = f32x4_mul(*v, inverse);
            let magnitude = i32x4_min(v128_and(y, self.magnitude), self.most);
            let quanta = i32x4_add(i32x4_max(v128_and(magnitude, self.power), self.least), self.quanta);
            let rounded = f32x4_sub(f32x4_add(magnitude, quanta), quanta);
            *v = f32x4_mul(v128_or(rounded, v128_andnot(y, self.magnitude)), scale);
        }
        if Self::BF16_FROM > 0 && (byte as i32) < Self::BF16_FROM {
            for v in block {
                *v = round_if(self.round, *v);
            }
        }
    }
}

/// The scales of four bytes, as [`scale`] has them.
#[inline(always)]
pub unsafe fn four_scales(bytes: *const u8) -> v128 {
    let bytes = unsafe { v128_load32_zero(bytes.cast()) };
    let bytes = u32x4_extend_low_u16x8(u16x8_extend_low_u8x16(bytes));
    let wrapped = v128_and(i32x4_add(bytes, i32x4_splat(1)), i32x4_splat(0xff));
    let half = v128_and(i32x4_lt(wrapped, i32x4_splat(2)), i32x4_splat(0x0040_0000));
    v128_or(i32x4_shl(bytes, 23), half)
}
