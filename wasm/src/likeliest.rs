//! `likeliest`: the largest of a row of logits, and whether all of them are numbers.

use crate::memory::{Words, at, row};
use core::arch::wasm32::*;

/// Vectors that are looked at together: as many maxima do not wait for each other.
const TOGETHER: usize = 4;

/// Unit = row. Words: logits, stride, count, out. `out[row]` is the place of the largest logit, the first of equal
/// ones; where a logit is NaN or infinite, the bitwise complement of the place of the first such one.
#[unsafe(no_mangle)]
unsafe extern "C" fn likeliest(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (logits, stride, count, out) = (d.get(0), d.get(1), d.get(2), d.get(3));
        for unit in start as usize..end as usize {
            let place = find(row(logits, unit, stride), count);
            *(at(out, unit, 4) as *mut u32) = place;
        }
    }
}

#[inline(always)]
unsafe fn find(logits: *const f32, count: usize) -> u32 {
    let (mut most, mut odd) = ([f32x4_splat(f32::NEG_INFINITY); TOGETHER], [f32x4_splat(0.0); TOGETHER]);
    let mut i = 0;
    while i + 4 * TOGETHER <= count {
        for k in 0..TOGETHER {
            let x = unsafe { v128_load(logits.add(i + 4 * k).cast()) };
            most[k] = larger(most[k], x);
            // 0 for a number, else NaN.
            odd[k] = f32x4_add(odd[k], f32x4_sub(x, x));
        }
        i += 4 * TOGETHER;
    }
    let max = larger(larger(most[0], most[1]), larger(most[2], most[3]));
    let odd = f32x4_add(f32x4_add(odd[0], odd[1]), f32x4_add(odd[2], odd[3]));
    let mut numbers = i32x4_all_true(f32x4_eq(odd, f32x4_splat(0.0)));
    let pair = larger(max, i32x4_shuffle::<2, 3, 0, 1>(max, max));
    let mut largest = f32x4_extract_lane::<0>(larger(pair, i32x4_shuffle::<1, 0, 3, 2>(pair, pair)));
    while i < count {
        let x = unsafe { *logits.add(i) };
        numbers &= x.is_finite();
        largest = if x > largest { x } else { largest };
        i += 1;
    }
    let wanted = f32x4_splat(largest);
    let mut at = 0;
    while numbers && at + 4 <= count && !v128_any_true(f32x4_eq(unsafe { v128_load(logits.add(at).cast()) }, wanted)) {
        at += 4;
    }
    while at < count {
        let x = unsafe { *logits.add(at) };
        if numbers && x == largest || !numbers && !x.is_finite() {
            break;
        }
        at += 1;
    }
    if numbers { at as u32 } else { !(at as u32) }
}

/// The larger numbers. Of `f32x4_pmax` LLVM makes a relaxed instruction, and `f32x4_max` is eight on x86.
#[inline(always)]
fn larger(a: v128, b: v128) -> v128 {
    v128_bitselect(b, a, f32x4_gt(b, a))
}
