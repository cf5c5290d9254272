//! Ring buffers of keys and values. Position p of a sequence has entry p mod capacity.

use crate::bf16::{self, Bf16};
use crate::dot::{BLOCK, Format};
use crate::element::{self, Element};
use crate::f32::F32;
use crate::fp8::{self, E4m3fn};
use crate::memory::{natural_pair, prepared_pair};
use core::arch::wasm32::*;

/// Words that name a cache's format; 3 is FP8.
pub mod format {
    pub const BF16: usize = 0;
    pub const F32: usize = 1;
}

/// Number format of a cache: besides blocks of 32 numbers it has smaller pieces, for heads of any multiple of 4.
pub trait Cached: Format {
    /// Bytes of a number.
    const SIZE: usize = Self::BYTES / BLOCK;
    /// Eight numbers in prepared order, without the scale.
    unsafe fn eight(at: *const u8) -> [v128; 2];
    /// Four numbers in their own order, without the scale.
    unsafe fn four(at: *const u8) -> v128;
    /// Stores four numbers; `scale` is that of the format, where it has one.
    unsafe fn store(at: *mut u8, four: v128, scale: v128);
}

impl Cached for Bf16 {
    #[inline(always)]
    unsafe fn eight(at: *const u8) -> [v128; 2] {
        bf16::widen(unsafe { v128_load(at.cast()) })
    }
    #[inline(always)]
    unsafe fn four(at: *const u8) -> v128 {
        u32x4_shl(u32x4_extend_low_u16x8(unsafe { v128_load64_zero(at.cast()) }), 16)
    }
    #[inline(always)]
    unsafe fn store(at: *mut u8, four: v128, _scale: v128) {
        let bits = u32x4_shr(bf16::round(four), 16);
        unsafe { v128_store64_lane::<0>(u16x8_narrow_i32x4(bits, bits), at.cast()) };
    }
}

impl Cached for F32 {
    #[inline(always)]
    unsafe fn eight(at: *const u8) -> [v128; 2] {
        unsafe { prepared_pair(v128_load(at.cast()), v128_load(at.add(16).cast())) }
    }
    #[inline(always)]
    unsafe fn four(at: *const u8) -> v128 {
        unsafe { v128_load(at.cast()) }
    }
    #[inline(always)]
    unsafe fn store(at: *mut u8, four: v128, _scale: v128) {
        unsafe { v128_store(at.cast(), four) };
    }
}

impl Cached for E4m3fn {
    #[inline(always)]
    unsafe fn eight(at: *const u8) -> [v128; 2] {
        let [even, odd, _, _] = fp8::widen_fn(unsafe { v128_load64_zero(at.cast()) });
        [even, odd]
    }
    #[inline(always)]
    unsafe fn four(at: *const u8) -> v128 {
        let [even, odd, _, _] = fp8::widen_fn(unsafe { v128_load32_zero(at.cast()) });
        natural_pair(even, odd)[0]
    }
    #[inline(always)]
    unsafe fn store(at: *mut u8, four: v128, scale: v128) {
        // A true division: a reciprocal's error could turn a tie.
        let codes = element::E4m3fn::encode(f32x4_div(four, scale), 0x7f);
        let codes = u16x8_narrow_i32x4(codes, codes);
        unsafe { v128_store32_lane::<0>(u8x16_narrow_i16x8(codes, codes), at.cast()) };
    }
}
