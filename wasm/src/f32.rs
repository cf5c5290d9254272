//! Stored float32 weights.

use crate::dot::Format;
use crate::memory::prepared_pair;
use core::arch::wasm32::*;

pub struct F32;

impl Format for F32 {
    const BYTES: usize = 128;
    const SCALED: bool = false;

    type Constants = ();

    #[inline(always)]
    fn constants(_known: impl Fn(v128) -> v128) {}

    #[inline(always)]
    unsafe fn block_with(at: *const u8, (): &()) -> [v128; 8] {
        let eight = |i: usize| unsafe {
            prepared_pair(v128_load(at.add(32 * i).cast()), v128_load(at.add(32 * i + 16).cast()))
        };
        let ([a, b], [c, d], [e, f], [g, h]) = (eight(0), eight(1), eight(2), eight(3));
        [a, b, c, d, e, f, g, h]
    }
}
