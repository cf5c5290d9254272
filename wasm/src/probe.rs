//! Plain loops that measure what the machine can do at most: how fast memory is read, and how many multiply-adds run.
//!
//! A unit of `probe_read` is a stretch of memory, one of the others so many rounds of `CHAINS` independent chains. All
//! leave a sum in `scratch`, so that no compiler can leave the work out.

use crate::byte_dots::by_dots;
use crate::memory::{Words, at};
use core::arch::wasm32::*;

/// Chains that do not wait for each other: latency times throughput of the cores we know is 8 to 10, and with the two
/// factors they fit the 16 registers of x86.
const CHAINS: usize = 12;

/// Words: address of unit 0, bytes of a unit (a multiple of 64 for each stream), streams (1, 2, 4, 8 or 16): so many
/// parts of a unit are read side by side, as kernels read several rows. Processors read each of them ahead.
#[unsafe(no_mangle)]
unsafe extern "C" fn probe_read(desc: *const u32, start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (address, bytes) = (d.get(0), d.get(1));
        let sum = match d.get(2) {
            1 => read::<1>(address, bytes, start, end),
            2 => read::<2>(address, bytes, start, end),
            4 => read::<4>(address, bytes, start, end),
            8 => read::<8>(address, bytes, start, end),
            16 => read::<16>(address, bytes, start, end),
            _ => unreachable(),
        };
        v128_store(scratch as *mut v128, sum);
    }
}

/// Reads units in S streams, a cache line of each in turn.
#[inline(never)]
unsafe fn read<const S: usize>(address: usize, bytes: usize, start: u32, end: u32) -> v128 {
    let mut sums = [i32x4_splat(0); LINE];
    let (part, lines) = (bytes / S, bytes / S / (16 * LINE));
    for unit in start as usize..end as usize {
        let mut from = at(address, unit, bytes);
        for _ in 0..lines {
            for stream in 0..S {
                let line = from.wrapping_add(stream * part) as *const v128;
                for (k, sum) in sums.iter_mut().enumerate() {
                    *sum = v128_xor(*sum, unsafe { v128_load(line.wrapping_add(k)) });
                }
            }
            from = from.wrapping_add(16 * LINE);
        }
    }
    sums.into_iter().fold(i32x4_splat(0), |a, b| v128_xor(a, b))
}

/// Vectors of a cache line.
const LINE: usize = 4;

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

/// Words: rounds of a unit; each makes 12 vectors of 16 multiply-adds of bytes, as `linear` makes them here: by a dot
/// product of bytes, or by pairs of them.
#[unsafe(no_mangle)]
unsafe extern "C" fn probe_integer(desc: *const u32, start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        let (a, b) = (v128_load(scratch as *const v128), v128_load(scratch.add(16) as *const v128));
        if by_dots(0) {
            return rounds(Words(desc), start, end, scratch, |sum| i32x4_relaxed_dot_i8x16_i7x16_add(a, b, sum));
        }
        // Of the sum itself, as products of what does not change would be made once for all rounds.
        rounds(Words(desc), start, end, scratch, |sum| {
            i32x4_add(i32x4_dot_i16x8(i16x8_relaxed_dot_i8x16_i7x16(sum, b), a), sum)
        });
    }
}
