//! Ring buffers of keys and values. Position p of a sequence has entry p mod capacity.

use crate::bf16;
use crate::element::{E4m3fn, Element};
use crate::fp8;
use crate::memory::{natural_pair, prepared_pair};
use core::arch::wasm32::*;

/// Words that name a cache's format; 3 is FP8.
pub mod format {
    pub const BF16: usize = 0;
    pub const F32: usize = 1;
}

/// Number format of a cache.
pub trait Cached {
    const BYTES: usize;
    /// Eight numbers in prepared order, without the scale.
    unsafe fn eight(at: *const u8) -> [v128; 2];
    /// Four numbers in their own order, without the scale.
    unsafe fn four(at: *const u8) -> v128;
    /// Stores four numbers; `scale` is that of the format, where it has one.
    unsafe fn store(at: *mut u8, four: v128, scale: v128);
}

pub struct Bf16;
impl Cached for Bf16 {
    const BYTES: usize = 2;
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

pub struct F32;
impl Cached for F32 {
    const BYTES: usize = 4;
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

pub struct Fp8;
impl Cached for Fp8 {
    const BYTES: usize = 1;
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
        let codes = E4m3fn::encode(f32x4_div(four, scale), 0x7f);
        let codes = u16x8_narrow_i32x4(codes, codes);
        unsafe { v128_store32_lane::<0>(u8x16_narrow_i16x8(codes, codes), at.cast()) };
    }
}
