//! The exponential function, in float32 lanes.

use crate::memory::{Words, at, load, store};
use core::arch::wasm32::*;
use core::cmp::min;

/// The kernel `exp`, through which tests reach the function below.
#[unsafe(export_name = "exp")]
unsafe extern "C" fn kernel(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        for i in (start as usize..end as usize).step_by(4) {
            let lanes = min(4, end as usize - i);
            store(at(d.get(0), i, 4) as *mut f32, lanes, exp(load(at(d.get(1), i, 4) as *const f32, lanes)));
        }
    }
}

/// e^x, within 1 unit in the last place where the result is a normal number; infinity from 88.73 on, 0 below -104; NaN
/// stays NaN.
///
/// Plain multiplications and additions only: the relaxed ones may differ from machine to machine.
#[inline(always)]
pub fn exp(x: v128) -> v128 {
    let x = f32x4_max(f32x4_min(x, f32x4_splat(90.0)), f32x4_splat(-105.0));
    // n = x / ln 2 to the nearest integer, in the low bits of a float32 of 1.5 * 2^23.
    let magic = f32x4_splat(12_582_912.0);
    let shifted = f32x4_add(f32x4_mul(x, f32x4_splat(core::f32::consts::LOG2_E)), magic);
    let n = f32x4_sub(shifted, magic);
    // ln 2 in two parts, the first short enough that n times it is exact.
    let r = f32x4_sub(x, f32x4_mul(n, f32x4_splat(0.693_359_375)));
    let r = f32x4_add(r, f32x4_mul(n, f32x4_splat(2.121_944_4e-4)));
    // (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2: a weighted minimax fit.
    let mut q = f32x4_splat(1.979_037_4e-4);
    for c in [1.394_468_6e-3, 8.333_497e-3, 4.166_629_5e-2, 0.166_666_66, 0.5] {
        q = f32x4_add(f32x4_mul(q, r), f32x4_splat(c));
    }
    let y = f32x4_add(f32x4_splat(1.0), f32x4_add(r, f32x4_mul(f32x4_mul(r, r), q)));
    // 2^n in two factors, because neither 2^128 nor 2^-150 is a float32.
    let n = i32x4_sub(shifted, magic);
    let half = i32x4_shr(n, 1);
    let power = |n| i32x4_shl(i32x4_add(n, i32x4_splat(127)), 23);
    f32x4_mul(f32x4_mul(y, power(half)), power(i32x4_sub(n, half)))
}
