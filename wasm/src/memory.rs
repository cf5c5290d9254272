//! Descriptors, addresses, and rows of float32 whose length need not be a multiple of a vector.

use core::arch::wasm32::*;

/// The 32-bit words of a descriptor.
#[derive(Clone, Copy)]
pub struct Words(pub *const u32);

impl Words {
    /// Word `i` as a number or an address.
    #[inline(always)]
    pub unsafe fn get(self, i: usize) -> usize {
        unsafe { *self.0.add(i) as usize }
    }

    /// Word `i` as an enumeration whose largest value is `last`. Traps on a larger one, which a `match` would otherwise
    /// take for one of the known values.
    #[inline(always)]
    pub unsafe fn listed(self, i: usize, last: usize) -> usize {
        let number = unsafe { self.get(i) };
        if number > last { unreachable() } else { number }
    }

    /// Word `i` as the bits of a float32.
    #[inline(always)]
    pub unsafe fn float(self, i: usize) -> f32 {
        unsafe { f32::from_bits(*self.0.add(i)) }
    }

    /// The words from `i` on.
    #[inline(always)]
    pub unsafe fn from(self, i: usize) -> Words {
        unsafe { Words(self.0.add(i)) }
    }
}

/// `base + index * stride` bytes, modulo 4 GiB: a memory may be larger than the 2 GiB that pointer arithmetic may span.
#[inline(always)]
pub fn at(base: usize, index: usize, stride: usize) -> usize {
    base.wrapping_add(index.wrapping_mul(stride))
}

/// Row `index` of float32s that lie `stride` elements apart.
#[inline(always)]
pub fn row(base: usize, index: usize, stride: usize) -> *mut f32 {
    at(base, index, stride.wrapping_mul(4)) as *mut f32
}

/// Calls `f(column, lanes)` for each vector of a row; `lanes` is 4 but for the last vector of a width that is no
/// multiple of 4.
#[inline(always)]
pub fn each_vector(width: usize, mut f: impl FnMut(usize, usize)) {
    let whole = width & !3;
    let mut column = 0;
    while column < whole {
        f(column, 4);
        column += 4;
    }
    if whole < width {
        f(whole, width - whole);
    }
}

/// `lanes` (1..=4) float32s; the other lanes are 0.
#[inline(always)]
pub unsafe fn load(from: *const f32, lanes: usize) -> v128 {
    unsafe {
        match lanes {
            4 => v128_load(from.cast()),
            3 => v128_load32_lane::<2>(v128_load64_zero(from.cast()), from.add(2).cast()),
            2 => v128_load64_zero(from.cast()),
            _ => v128_load32_zero(from.cast()),
        }
    }
}

/// Writes the first `lanes` (1..=4) float32s of a vector.
#[inline(always)]
pub unsafe fn store(to: *mut f32, lanes: usize, value: v128) {
    unsafe {
        match lanes {
            4 => v128_store(to.cast(), value),
            3 => {
                v128_store64_lane::<0>(value, to.cast());
                v128_store32_lane::<2>(value, to.add(2).cast());
            }
            2 => v128_store64_lane::<0>(value, to.cast()),
            _ => v128_store32_lane::<0>(value, to.cast()),
        }
    }
}

/// Columns `column .. column + 32` of a row as eight vectors; columns from `width` on are 0.
#[inline(always)]
pub unsafe fn load_block(row: *const f32, column: usize, width: usize) -> [v128; 8] {
    let mut block = [f32x4_splat(0.0); 8];
    each_vector(core::cmp::min(32, width - column), |i, lanes| {
        block[i / 4] = unsafe { load(row.add(column + i), lanes) };
    });
    block
}

/// `(l0 + l1) + (l2 + l3)`, the order of every sum over lanes.
#[inline(always)]
pub fn sum_lanes(v: v128) -> f32 {
    (f32x4_extract_lane::<0>(v) + f32x4_extract_lane::<1>(v))
        + (f32x4_extract_lane::<2>(v) + f32x4_extract_lane::<3>(v))
}

/// Eight consecutive columns in prepared order: the even ones, the odd ones.
#[inline(always)]
pub fn prepared_pair(first: v128, last: v128) -> [v128; 2] {
    [i32x4_shuffle::<0, 2, 4, 6>(first, last), i32x4_shuffle::<1, 3, 5, 7>(first, last)]
}

/// The inverse of [`prepared_pair`].
#[inline(always)]
pub fn natural_pair(even: v128, odd: v128) -> [v128; 2] {
    [i32x4_shuffle::<0, 4, 1, 5>(even, odd), i32x4_shuffle::<2, 6, 3, 7>(even, odd)]
}

/// Transposes a 4 x 4 matrix of 32-bit lanes.
#[inline(always)]
pub fn turn([a, b, c, d]: [v128; 4]) -> [v128; 4] {
    let (ab, cd) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<0, 4, 1, 5>(c, d));
    let (ef, gh) = (i32x4_shuffle::<2, 6, 3, 7>(a, b), i32x4_shuffle::<2, 6, 3, 7>(c, d));
    [
        i32x4_shuffle::<0, 1, 4, 5>(ab, cd),
        i32x4_shuffle::<2, 3, 6, 7>(ab, cd),
        i32x4_shuffle::<0, 1, 4, 5>(ef, gh),
        i32x4_shuffle::<2, 3, 6, 7>(ef, gh),
    ]
}

/// A value that the compilers take for unknown. V8 makes constant vectors anew wherever they are used, four
/// instructions each, inside of loops too; an unknown one stays in a register.
#[inline(always)]
pub fn opaque<T: Copy>(value: T) -> T {
    let mut slot = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: written, then read.
    unsafe {
        slot.as_mut_ptr().write_volatile(value);
        slot.as_ptr().read_volatile()
    }
}

/// An address that the compilers know nothing of, so that those near it are given as offsets in loads and stores,
/// which costs nothing, and not computed.
#[inline(always)]
pub fn hidden<T>(at: *mut T) -> *mut T {
    let to: *mut T;
    // SAFETY: copies a value.
    unsafe {
        core::arch::asm!("local.get {}", "local.set {}", in(local) at, out(local) to, options(pure, nomem, nostack));
    }
    to
}
