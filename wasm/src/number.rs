//! Numbers of vectors and tables, in the formats that ABI.md numbers.

use crate::f16;
use core::arch::wasm32::*;

pub const BF16: usize = 0;
pub const F32: usize = 1;
pub const F16: usize = 2;

/// Bytes of a number.
#[inline(always)]
pub fn size(format: usize) -> usize {
    if format == F32 { 4 } else { 2 }
}

/// The number at an address of any alignment, as float32.
#[inline(always)]
pub unsafe fn read(address: usize, format: usize) -> f32 {
    unsafe {
        if format == F32 {
            (address as *const f32).read_unaligned()
        } else {
            let bits = u32::from((address as *const u16).read_unaligned());
            if format == BF16 {
                f32::from_bits(bits << 16)
            } else {
                f32x4_extract_lane::<0>(f16::widen(u32x4_splat(bits)))
            }
        }
    }
}

/// `lanes` (1..=4) consecutive numbers at an address of any alignment; the other lanes are 0.
#[inline(always)]
pub unsafe fn load(address: usize, lanes: usize, format: usize) -> v128 {
    unsafe {
        if format == F32 {
            return crate::memory::load(address as *const f32, lanes);
        }
        let halves = if lanes == 4 {
            u32x4_extend_low_u16x8(v128_load64_zero(address as *const u64))
        } else {
            let half =
                |i: usize| if i < lanes { u32::from((address as *const u16).add(i).read_unaligned()) } else { 0 };
            u32x4(half(0), half(1), half(2), 0)
        };
        if format == BF16 { u32x4_shl(halves, 16) } else { f16::widen(halves) }
    }
}
