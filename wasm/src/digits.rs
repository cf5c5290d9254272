//! `digits`: input rows brought to bytes of seven bits, by which `pick` looks for logits that may be the largest.

use crate::byte_dots::by_dots;
use crate::memory::{Words, at, row};
use core::arch::wasm32::*;

/// The largest digit; a byte is the digit plus this, 0 to 126.
pub const MOST: i32 = 63;
/// Exponents of a row's largest magnitude, here and in `pick`, between which nothing overflows or gets lost.
pub const EXPONENTS: [i32; 2] = [-50, 50];

/// What belongs to the bytes of a row.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Facts {
    /// 0: the row has no bytes, as it holds numbers that are none, too large or too small.
    pub fits: u32,
    /// At least the row's norm.
    pub norm: f32,
    /// What a first digit stands for, and at least the norm of what the row is without its first digits.
    pub first: Digit,
    /// The same of a second digit, and of what it is without both.
    pub second: Digit,
    /// Whether bytes are multiplied and added by one instruction here, without which few rows are not worth it.
    pub dots: u32,
    pub reserved: u32,
}

/// See [`Facts`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Digit {
    pub unit: f32,
    pub rest: f32,
}

/// What norms are multiplied with, so that no rounding makes them too small.
const MORE: f64 = 1.0 + 1.0 / 1024.0;

/// Unit = row. Words: x (prepared), x_stride, cols (a multiple of 32), out, facts. `out` receives 2 * cols bytes of a
/// row: the first digit of each column in their natural order, then the second one.
#[unsafe(no_mangle)]
unsafe extern "C" fn digits(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (x, x_stride, cols, out, facts) = (d.get(0), d.get(1), d.get(2), d.get(3), d.get(4));
        for unit in start as usize..end as usize {
            *(at(facts, unit, size_of::<Facts>()) as *mut Facts) =
                digits_of(row(x, unit, x_stride), cols, at(out, unit, 2 * cols) as *mut u8);
        }
    }
}

/// Writes the digits of a prepared row.
#[inline(never)]
unsafe fn digits_of(x: *const f32, cols: usize, to: *mut u8) -> Facts {
    unsafe {
        // Of bits, which are in the order of magnitudes; a NaN's are the largest.
        let mut most = 0;
        for i in 0..cols {
            most = core::cmp::max(most, (*x.add(i)).to_bits() & 0x7fff_ffff);
        }
        let nothing = Digit { unit: 0.0, rest: 0.0 };
        if !has_ordinary_size(most) {
            return Facts { fits: 0, norm: 0.0, first: nothing, second: nothing, dots: 0, reserved: 0 };
        }
        let first = f32::from_bits(most) / MOST as f32;
        let second = first / (2 * MOST) as f32;
        let (mut squares, mut rests, mut last) = (0.0, 0.0, 0.0);
        for column in 0..cols {
            // In each eight columns the even ones come first. No digit is above 63, whatever is rounded.
            let x = f64::from(*x.add(column & !7 | (column & 1) << 2 | (column & 7) >> 1));
            let high = digit(x / f64::from(first));
            let rest = x - high * f64::from(first);
            let low = digit(rest / f64::from(second));
            let end = rest - low * f64::from(second);
            *to.add(column) = (high as i32 + MOST) as u8;
            *to.add(cols + column) = (low as i32 + MOST) as u8;
            squares += x * x;
            rests += rest * rest;
            last += end * end;
        }
        let digit = |unit, squares| Digit { unit, rest: norm(squares) };
        Facts {
            fits: 1,
            norm: norm(squares),
            first: digit(first, rests),
            second: digit(second, last),
            dots: u32::from(by_dots(0)),
            reserved: 0,
        }
    }
}

/// Whether the bits of a row's largest magnitude are those of a number within [`EXPONENTS`].
#[inline(always)]
pub fn has_ordinary_size(magnitude: u32) -> bool {
    let bits = |exponent: i32| ((exponent + 127) as u32) << 23;
    magnitude >= bits(EXPONENTS[0]) && magnitude <= bits(EXPONENTS[1])
}

/// The nearest integer.
#[inline(always)]
fn digit(x: f64) -> f64 {
    f64x2_extract_lane::<0>(f64x2_nearest(f64x2_splat(x)))
}

/// A number that is not below the square root of a sum of squares, and above 0.
#[inline(always)]
fn norm(squares: f64) -> f32 {
    let root = f64x2_extract_lane::<0>(f64x2_sqrt(f64x2_splat(squares)));
    (root * MORE) as f32 + f32::MIN_POSITIVE
}
