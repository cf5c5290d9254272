//! One lane of a vector in all four: `splat_lane!(v, 2)`. Wasm takes lane numbers as constants only.

/// A lane of an i32x4, 0 to 3 as a literal, in all lanes; the user's module has `core::arch::wasm32::*`.
macro_rules! splat_lane {
    ($v:expr, 0) => {
        i32x4_shuffle::<0, 0, 0, 0>($v, $v)
    };
    ($v:expr, 1) => {
        i32x4_shuffle::<1, 1, 1, 1>($v, $v)
    };
    ($v:expr, 2) => {
        i32x4_shuffle::<2, 2, 2, 2>($v, $v)
    };
    ($v:expr, 3) => {
        i32x4_shuffle::<3, 3, 3, 3>($v, $v)
    };
}

pub(crate) use splat_lane;
