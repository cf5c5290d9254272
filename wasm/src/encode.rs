//! `encode`: codes of single numbers.

use crate::element::{Element, by_element};
use crate::memory::{Words, at, load};
use core::arch::wasm32::*;
use core::cmp::min;

#[unsafe(no_mangle)]
unsafe extern "C" fn encode(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (out, x, start, end) = (d.get(0), d.get(1), start as usize, end as usize);
        by_element!(d.get(2), encode_as(out, x, start, end))
    }
}

/// NaN gives 255: not a code of formats below 8 bits, and in the 8-bit formats itself a NaN.
unsafe fn encode_as<E: Element>(out: usize, x: usize, start: usize, end: usize) {
    unsafe {
        for i in (start..end).step_by(4) {
            let lanes = min(4, end - i);
            let codes = E::encode(load(at(x, i, 4) as *const f32, lanes), 255);
            let codes = u16x8_narrow_i32x4(codes, codes);
            let bytes = u32x4_extract_lane::<0>(u8x16_narrow_i16x8(codes, codes));
            for lane in 0..lanes {
                *(at(out, i + lane, 1) as *mut u8) = (bytes >> (8 * lane)) as u8;
            }
        }
    }
}
