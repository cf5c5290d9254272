//! The exponential function, in float32 lanes.

use crate::memory::{Words, at, load, store};
use core::arch::wasm32::*;
use core::cmp::min;

/// The kernel `exp`, through which tests reach the function below.
#[unsafe(export_name = "exp")]
unsafe extern "C" fn kernel(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let constants = Constants::new(|c| c);
        for i in (start as usize..end as usize).step_by(4) {
            let lanes = min(4, end as usize - i);
            let x = load(at(d.get(1), i, 4) as *const f32, lanes);
            let y = if d.get(2) != 0 { ordinary(x, &constants) } else { exp_with(x, &constants) };
            store(at(d.get(0), i, 4) as *mut f32, lanes, y);
        }
    }
}

/// Constants of [`exp_with`].
pub struct Constants {
    most: v128,
    least: v128,
    ordinary: v128,
    log2_e: v128,
    magic: v128,
    ln2: [v128; 2],
    /// Of (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2: a weighted minimax fit.
    fit: [v128; 6],
    one: v128,
    bias: v128,
}

impl Constants {
    /// The constants, each of them passed through `known`: the identity, or [`crate::memory::opaque`] ahead of a loop.
    #[inline(always)]
    pub fn new(known: impl Fn(v128) -> v128) -> Constants {
        let splat = |x| known(f32x4_splat(x));
        Constants {
            most: splat(90.0),
            least: splat(-105.0),
            ordinary: splat(-87.0),
            log2_e: splat(core::f32::consts::LOG2_E),
            magic: splat(12_582_912.0),
            // ln 2 in two parts, the first short enough that n times it is exact.
            ln2: [splat(0.693_359_375), splat(2.121_944_4e-4)],
            fit: [
                splat(1.979_037_4e-4),
                splat(1.394_468_6e-3),
                splat(8.333_497e-3),
                splat(4.166_629_5e-2),
                splat(0.166_666_66),
                splat(0.5),
            ],
            one: splat(1.0),
            bias: known(i32x4_splat(127)),
        }
    }
}

/// [`exp_with`], where it is not called in a loop.
#[inline(always)]
pub fn exp(x: v128) -> v128 {
    exp_with(x, &Constants::new(|c| c))
}

/// e^x, within 1 unit in the last place where the result is a normal number; infinity from 88.73 on, 0 below -104; NaN
/// stays NaN.
///
/// Plain multiplications and additions only: the relaxed ones may differ from machine to machine.
#[inline(always)]
pub fn exp_with(x: v128, c: &Constants) -> v128 {
    // Not with the instructions for the smaller and the larger, which are eight instructions of x86 each.
    let x = v128_bitselect(c.most, x, f32x4_gt(x, c.most));
    let x = v128_bitselect(c.least, x, f32x4_lt(x, c.least));
    let [y, shifted] = fraction(x, c);
    // 2^n in two factors, because neither 2^128 nor 2^-150 is a float32.
    let n = i32x4_sub(shifted, c.magic);
    let half = i32x4_shr(n, 1);
    let power = |n| i32x4_shl(i32x4_add(n, c.bias), 23);
    f32x4_mul(f32x4_mul(y, power(half)), power(i32x4_sub(n, half)))
}

/// Lanes whose exponential function is a normal number, of those that are at most 0.
#[inline(always)]
pub fn is_ordinary(x: v128, c: &Constants) -> v128 {
    f32x4_ge(x, c.ordinary)
}

/// [`exp_with`] of lanes that are at most 0 and [`is_ordinary`], in half as many instructions: 2^n is added to the
/// exponent, which is exact, as both of the other's factors are.
#[inline(always)]
pub fn ordinary(x: v128, c: &Constants) -> v128 {
    let [y, shifted] = fraction(x, c);
    i32x4_add(y, i32x4_shl(shifted, 23))
}

/// e^(x - n ln 2), where n = x / ln 2 to the nearest integer, and n in the low bits of a float32 of 1.5 * 2^23.
#[inline(always)]
fn fraction(x: v128, c: &Constants) -> [v128; 2] {
    let shifted = f32x4_add(f32x4_mul(x, c.log2_e), c.magic);
    let n = f32x4_sub(shifted, c.magic);
    let r = f32x4_sub(x, f32x4_mul(n, c.ln2[0]));
    let r = f32x4_add(r, f32x4_mul(n, c.ln2[1]));
    let mut q = c.fit[0];
    for i in 1..6 {
        q = f32x4_add(f32x4_mul(q, r), c.fit[i]);
    }
    let y = f32x4_add(c.one, f32x4_add(r, f32x4_mul(f32x4_mul(r, r), q)));
    [y, shifted]
}
