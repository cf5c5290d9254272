//! Small floating-point formats as grids of float32 values.

use core::arch::wasm32::*;

/// A format with a sign, `MANTISSA` stored bits, and gradual underflow below 2^`MIN_EXPONENT`.
pub trait Element {
    const MANTISSA: u32;
    /// Exponent of the smallest normal number.
    const MIN_EXPONENT: i32;
    /// Exponent of the largest number.
    const MAX_EXPONENT: i32;
    const MAX: f32;
    /// Position of the sign in a code.
    const SIGN_BIT: u32;
    /// Whether there is a code for -0.
    const NEGATIVE_ZERO: bool;

    /// The nearest number of the format, ties to the even mantissa; magnitudes beyond the largest number become it.
    /// Keeps the sign, also of zeros. NaN becomes a number; [`Self::quantize_or_nan`] keeps it.
    #[inline(always)]
    fn quantize(y: v128) -> v128 {
        v128_or(Self::round(Self::clamp(y)), v128_and(y, i32x4_splat(i32::MIN)))
    }

    /// [`Self::quantize`] that keeps NaN.
    #[inline(always)]
    fn quantize_or_nan(y: v128) -> v128 {
        v128_bitselect(y, Self::quantize(y), f32x4_ne(y, y))
    }

    /// Magnitudes, at most [`Self::MAX`]. As integers, because magnitudes are ordered like their bits, and because with
    /// relaxed SIMD allowed LLVM 22 compiles `f32x4_pmin` to `f32x4.relaxed_min`, which may or may not keep a NaN.
    #[inline(always)]
    fn clamp(y: v128) -> v128 {
        i32x4_min(v128_and(y, i32x4_splat(i32::MAX)), f32x4_splat(Self::MAX))
    }

    /// Rounds magnitudes up to [`Self::MAX`]. Adding and subtracting 2^23 quanta leaves a multiple of the quantum,
    /// rounded as float32 addition rounds: to nearest, ties to even. The quantum is 2^-MANTISSA of the number's own
    /// power of two, or of the smallest normal one.
    #[inline(always)]
    fn round(magnitude: v128) -> v128 {
        let power = v128_and(magnitude, i32x4_splat(0x7f80_0000));
        let power = i32x4_max(power, i32x4_splat((Self::MIN_EXPONENT + 127) << 23));
        let quanta = i32x4_add(power, i32x4_splat((23 - Self::MANTISSA as i32) << 23));
        f32x4_sub(f32x4_add(magnitude, quanta), quanta)
    }

    /// The codes of lanes of any size, rounded as by [`Self::quantize`], in 32-bit lanes; `nan` for NaN.
    #[inline(always)]
    fn encode(y: v128, nan: u32) -> v128 {
        let rounded = Self::round(Self::clamp(y));
        // The format's bits are those of a float32 with another exponent bias: scaling lines them up, its subnormals
        // with float32's.
        let unit = f32x4_splat(f32::from_bits(((1 - Self::MIN_EXPONENT) as u32) << 23));
        let magnitude = u32x4_shr(f32x4_mul(rounded, unit), 23 - Self::MANTISSA);
        let sign = v128_and(u32x4_shr(y, 31 - Self::SIGN_BIT), i32x4_splat(1 << Self::SIGN_BIT));
        let sign = if Self::NEGATIVE_ZERO { sign } else { v128_and(sign, i32x4_ne(magnitude, i32x4_splat(0))) };
        v128_bitselect(u32x4_splat(nan), v128_or(magnitude, sign), f32x4_ne(y, y))
    }
}

macro_rules! element {
    (
        $(#[$doc:meta])* $name:ident, $mantissa:literal, $min:literal, $max_exponent:literal, $max:literal,
        $sign:literal, $zero:literal
    ) => {
        $(#[$doc])*
        pub struct $name;
        impl Element for $name {
            const MANTISSA: u32 = $mantissa;
            const MIN_EXPONENT: i32 = $min;
            const MAX_EXPONENT: i32 = $max_exponent;
            const MAX: f32 = $max;
            const SIGN_BIT: u32 = $sign;
            const NEGATIVE_ZERO: bool = $zero;
        }
    };
}

element!(
    /// FP4.
    E2m1, 1, 0, 2, 6.0, 3, true
);
element!(
    /// FP6 with range.
    E3m2, 2, -2, 4, 28.0, 5, true
);
element!(
    /// FP6 with precision.
    E2m3, 3, 0, 2, 7.5, 5, true
);
element!(
    /// FP8 of the OCP: no infinity, one NaN magnitude (127).
    E4m3fn, 3, -6, 8, 448.0, 7, true
);
element!(
    /// FP8 of MI300: no infinity, no negative zero, NaN is 128.
    E4m3fnuz, 3, -7, 7, 240.0, 7, false
);
element!(
    /// FP8 with an IEEE half's exponent.
    E5m2, 2, -14, 15, 57344.0, 7, true
);

/// Calls a function with the element of a number. The only list of the elements, in the order of their numbers.
macro_rules! by_element {
    ($number:expr, $function:ident($($argument:expr),*)) => {
        match $number {
            0 => $function::<$crate::element::E2m1>($($argument),*),
            1 => $function::<$crate::element::E3m2>($($argument),*),
            2 => $function::<$crate::element::E2m3>($($argument),*),
            3 => $function::<$crate::element::E4m3fn>($($argument),*),
            4 => $function::<$crate::element::E4m3fnuz>($($argument),*),
            5 => $function::<$crate::element::E5m2>($($argument),*),
            _ => core::arch::wasm32::unreachable(),
        }
    };
}
pub(crate) use by_element;

/// Numbers of what is done to inputs; 0 is nothing.
pub mod kind {
    pub const E2M1: usize = 1;
    pub const E3M2: usize = 2;
    pub const E2M3: usize = 3;
    pub const FP8_STATIC: usize = 4;
    pub const FP8_ROW: usize = 5;
    /// MXFP8. 6 and 7 are kinds of GPU kernels alone.
    pub const E4M3: usize = 8;
    pub const Q8_0: usize = 9;

    pub const fn is_known(number: usize) -> bool {
        number <= FP8_ROW || number == E4M3 || number == Q8_0
    }
}

/// Calls a function with the element of MX blocks, chosen by the kind of their quantization; other kinds give
/// `$otherwise`. The only list of the MX elements.
macro_rules! by_mx {
    ($kind:expr, $function:ident($($argument:expr),*), $otherwise:expr) => {
        match $kind {
            $crate::element::kind::E2M1 => $function::<$crate::element::E2m1>($($argument),*),
            $crate::element::kind::E3M2 => $function::<$crate::element::E3m2>($($argument),*),
            $crate::element::kind::E2M3 => $function::<$crate::element::E2m3>($($argument),*),
            $crate::element::kind::E4M3 => $function::<$crate::element::E4m3fn>($($argument),*),
            _ => $otherwise,
        }
    };
}
pub(crate) use by_mx;
