//! Plain loops that measure what the machine can do at most: how fast memory is read, and how many multiply-adds run.
//!
//! A unit of `probe_read` is a stretch of memory, one of the others so many rounds of `CHAINS` independent chains. All
//! leave a sum in `scratch`, so that no compiler can leave the work out.

use crate::memory::{Words, at};
use core::arch::wasm32::*;

/// Chains that do not wait for each other: latency times throughput of the cores we know is 8 to 10, and with the two
/// factors they fit the 16 registers of x86.
const CHAINS: usize = 12;

/// Words: address of unit 0, bytes of a unit (a multiple of 128).
#[unsafe(no_mangle)]
unsafe extern "C" fn probe_read(desc: *const u32, start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (address, bytes) = (d.get(0), d.get(1));
        let mut sums = [i32x4_splat(0); 8];
        for unit in start as usize..end as usize {
            let from = at(address, unit, bytes) as *const v128;
            let mut i = 0;
            while i < bytes / 16 {
                for (k, sum) in sums.iter_mut().enumerate() {
                    *sum = v128_xor(*sum, v128_load(from.wrapping_add(i + k)));
                }
                i += 8;
            }
        }
        v128_store(scratch as *mut v128, sums.into_iter().fold(i32x4_splat(0), |a, b| v128_xor(a, b)));
    }
}

/// The chains' loop: `step(sum)` once for each chain and round.
#[inline(always)]
unsafe fn rounds(d: Words, start: u32, end: u32, scratch: *mut u8, step: impl Fn(v128) -> v128) {
    let mut sums = [i32x4_splat(0); CHAINS];
    for _ in start as usize..end as usize {
        for _ in 0..unsafe { d.get(0) } {
            for sum in sums.iter_mut() {
                *sum = step(*sum);
            }
        }
    }
    let sum = sums.into_iter().fold(i32x4_splat(0), |a, b| i32x4_add(a, b));
    unsafe { v128_store(scratch as *mut v128, sum) };
}

/// Words: rounds of a unit; each makes 12 vectors of 4 multiply-adds in float32.
#[unsafe(no_mangle)]
unsafe extern "C" fn probe_float(desc: *const u32, start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        // Of memory, so that nothing is known about them.
        let (a, b) = (v128_load(scratch as *const v128), v128_load(scratch.add(16) as *const v128));
        rounds(Words(desc), start, end, scratch, |sum| f32x4_relaxed_madd(a, b, sum));
    }
}

/// Words: rounds of a unit; each makes 12 vectors of 16 multiply-adds of bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn probe_integer(desc: *const u32, start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        let (a, b) = (v128_load(scratch as *const v128), v128_load(scratch.add(16) as *const v128));
        rounds(Words(desc), start, end, scratch, |sum| i32x4_relaxed_dot_i8x16_i7x16_add(a, b, sum));
    }
}
