//! Ring buffers of keys and values. Position p of a sequence has entry p mod capacity.

use crate::attention_two::{Loop, score_two_bf16, weigh_two_bf16};
use crate::bf16::{self, Bf16, Upper};
use crate::dot::{BLOCK, Format};
use crate::element::{self, Element};
use crate::f32::F32;
use crate::fp8::{self, E4m3fn};
use crate::memory::{self, natural_pair, prepared_pair};
use crate::number;
use core::arch::wasm32::*;

/// Words that name a cache's format.
pub mod format {
    pub const BF16: usize = 0;
    pub const F32: usize = 1;
    pub const FP8: usize = 3;
}

/// Number format of a cache. Besides blocks of 32 numbers it reads and writes shorter pieces, for heads of any size.
pub trait Cached: Format {
    /// Bytes of a number.
    const SIZE: usize = Self::BYTES / BLOCK;
    /// Whether reading a number costs so much that more than two heads are worth a copy as float32.
    const COPIED: bool = false;
    /// Loops for two heads: scores, and sums of values.
    const LOOPS: Option<[Loop; 2]> = None;
    /// Eight numbers in prepared order, without the scale.
    /// The constants are those of [`Format`].
    unsafe fn eight(at: *const u8, constants: &Self::Constants) -> [v128; 2];
    /// `lanes` (1..=4) numbers in their own order, without the scale; the other lanes are 0. Reads nothing after them.
    unsafe fn few(at: *const u8, lanes: usize) -> v128;
    /// Stores the first `lanes` (1..=4) numbers, divided by `scale` if the format has one. Writes nothing after them.
    unsafe fn store(at: *mut u8, lanes: usize, numbers: v128, scale: v128);
}

impl Cached for Bf16 {
    const LOOPS: Option<[Loop; 2]> = Some([score_two_bf16, weigh_two_bf16]);

    #[inline(always)]
    unsafe fn eight(at: *const u8, upper: &Upper) -> [v128; 2] {
        bf16::widen(unsafe { v128_load(at.cast()) }, upper)
    }
    #[inline(always)]
    unsafe fn few(at: *const u8, lanes: usize) -> v128 {
        unsafe { number::load(at as usize, lanes, number::BF16) }
    }
    #[inline(always)]
    unsafe fn store(at: *mut u8, lanes: usize, numbers: v128, _scale: v128) {
        let bits = u32x4_shr(bf16::round(numbers), 16);
        let halves = u16x8_narrow_i32x4(bits, bits);
        unsafe {
            match lanes {
                4 => v128_store64_lane::<0>(halves, at.cast()),
                3 => {
                    v128_store32_lane::<0>(halves, at.cast());
                    v128_store16_lane::<2>(halves, at.add(4).cast());
                }
                2 => v128_store32_lane::<0>(halves, at.cast()),
                _ => v128_store16_lane::<0>(halves, at.cast()),
            }
        }
    }
}

impl Cached for F32 {
    #[inline(always)]
    unsafe fn eight(at: *const u8, (): &()) -> [v128; 2] {
        unsafe { prepared_pair(v128_load(at.cast()), v128_load(at.add(16).cast())) }
    }
    #[inline(always)]
    unsafe fn few(at: *const u8, lanes: usize) -> v128 {
        unsafe { memory::load(at.cast(), lanes) }
    }
    #[inline(always)]
    unsafe fn store(at: *mut u8, lanes: usize, numbers: v128, _scale: v128) {
        unsafe { memory::store(at.cast(), lanes, numbers) };
    }
}

impl Cached for E4m3fn {
    const COPIED: bool = true;

    #[inline(always)]
    unsafe fn eight(at: *const u8, constants: &fp8::Constants) -> [v128; 2] {
        let [even, odd, _, _] = fp8::widen_fn(unsafe { v128_load64_zero(at.cast()) }, constants);
        [even, odd]
    }
    #[inline(always)]
    unsafe fn few(at: *const u8, lanes: usize) -> v128 {
        let codes = unsafe {
            match lanes {
                4 => v128_load32_zero(at.cast()),
                3 => v128_load8_lane::<2>(v128_load16_lane::<0>(i32x4_splat(0), at.cast()), at.add(2)),
                2 => v128_load16_lane::<0>(i32x4_splat(0), at.cast()),
                _ => v128_load8_lane::<0>(i32x4_splat(0), at),
            }
        };
        let [even, odd, _, _] = fp8::widen_fn(codes, &Self::constants(|c| c));
        natural_pair(even, odd)[0]
    }
    #[inline(always)]
    unsafe fn store(at: *mut u8, lanes: usize, numbers: v128, scale: v128) {
        // A true division: a reciprocal's error could turn a tie.
        let codes = element::E4m3fn::encode(f32x4_div(numbers, scale), 0x7f);
        let codes = u16x8_narrow_i32x4(codes, codes);
        let bytes = u8x16_narrow_i16x8(codes, codes);
        unsafe {
            match lanes {
                4 => v128_store32_lane::<0>(bytes, at.cast()),
                3 => {
                    v128_store16_lane::<0>(bytes, at.cast());
                    v128_store8_lane::<2>(bytes, at.add(2));
                }
                2 => v128_store16_lane::<0>(bytes, at.cast()),
                _ => v128_store8_lane::<0>(bytes, at),
            }
        }
    }
}
