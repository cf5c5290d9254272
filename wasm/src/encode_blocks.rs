//! `encode_blocks`: MX blocks as they are stored.

use crate::element::{Element, by_mx};
use crate::memory::{Words, at, load_block};
use crate::mx::{self, LAST_RULE, Rule};
use core::arch::wasm32::*;

#[unsafe(no_mangle)]
unsafe extern "C" fn encode_blocks(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (codes, scales, x, element, rule) =
            (d.get(0), d.get(1), d.get(2), d.get(3), Rule::from(d.listed(4, LAST_RULE)));
        for unit in start as usize..end as usize {
            let block = load_block(at(x, unit, 128) as *const f32, 0, 32);
            let scale = at(scales, unit, 1) as *mut u8;
            by_mx!(element, encode_block(&block, rule, codes, scale, unit), unreachable());
        }
    }
}

/// Stores a block's codes after those of the units before it, and its scale byte.
#[inline(always)]
unsafe fn encode_block<E: Element>(block: &[v128; 8], rule: Rule, codes: usize, scale: *mut u8, unit: usize) {
    const { assert!(E::SIGN_BIT == 3 || E::SIGN_BIT == 5 || E::SIGN_BIT == 7, "codes of 4, 6 or 8 bits") };
    let (byte, own) = quantize::<E>(block, rule);
    unsafe {
        *scale = byte;
        if E::SIGN_BIT == 3 {
            let bytes = u8x16_narrow_i16x8(nibbles(own[0]), nibbles(own[1]));
            v128_store(at(codes, unit, 16) as *mut v128, bytes);
        } else if E::SIGN_BIT == 7 {
            *(at(codes, unit, 32) as *mut [v128; 2]) = own;
        } else {
            store_sixes(at(codes, unit, 24) as *mut u8, own);
        }
    }
}

/// The scale byte of a block and its codes, one per byte. A block that holds a NaN gets the NaN scale and codes 0.
#[inline(always)]
fn quantize<E: Element>(block: &[v128; 8], rule: Rule) -> (u8, [v128; 2]) {
    let byte = mx::scale_byte::<E>(mx::amax_bits(block), rule);
    if byte == 255 {
        return (255, [i32x4_splat(0); 2]);
    }
    let inverse = f32x4_splat(mx::inverse_scale(byte));
    let code = |i: usize| E::encode(f32x4_mul(block[i], inverse), 0);
    let half = |i: usize| {
        let (first, last) = (u16x8_narrow_i32x4(code(i), code(i + 1)), u16x8_narrow_i32x4(code(i + 2), code(i + 3)));
        u8x16_narrow_i16x8(first, last)
    };
    (byte as u8, [half(0), half(4)])
}

/// Sixteen 4-bit codes packed into eight bytes, the even code in the low nibble.
#[inline(always)]
fn nibbles(codes: v128) -> v128 {
    v128_or(v128_and(codes, i16x8_splat(0x0f)), u16x8_shr(codes, 4))
}

/// Stores 32 6-bit codes in 24 bytes.
#[inline(always)]
unsafe fn store_sixes(to: *mut u8, codes: [v128; 2]) {
    let packed = codes.map(|codes| {
        let field = |shift: u32, mask: i32| v128_and(u32x4_shr(codes, shift), i32x4_splat(mask));
        let bits = v128_or(v128_or(field(0, 0x3f), field(2, 0xfc0)), v128_or(field(4, 0x3f000), field(6, 0xfc_0000)));
        i8x16_shuffle::<0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15>(bits, bits)
    });
    for i in 0..2 {
        unsafe {
            v128_store64_lane::<0>(packed[i], to.add(12 * i).cast());
            v128_store32_lane::<2>(packed[i], to.add(12 * i + 8).cast());
        }
    }
}
