//! The 24 words that describe one matrix of a `linear`.

use crate::byte_dots::by_dots;
use crate::dot::BLOCK;
use crate::fixed::Row;
use crate::memory::{Words, at};
use crate::mx;
use crate::number;
use core::arch::wasm32::*;
use core::cmp::min;

pub const WORDS: usize = 24;
/// Output rows of a unit.
pub const TILE: usize = 8;

/// Values of [`Record::format`].
pub mod format {
    pub const BF16: usize = 0;
    pub const F32: usize = 1;
    pub const F16: usize = 2;
    pub const MXFP4: usize = 3;
    pub const MXFP6_E3M2: usize = 4;
    pub const MXFP6_E2M3: usize = 5;
    pub const FP8_E4M3FN: usize = 6;
    pub const FP8_E4M3FNUZ: usize = 7;
}

/// Calls a function with the type that reads a stored format, chosen by the format's number. The only list of the
/// stored formats.
macro_rules! by_format {
    ($number:expr, $function:ident($($argument:expr),*)) => {
        match $number {
            $crate::record::format::BF16 => $function::<$crate::bf16::Bf16>($($argument),*),
            $crate::record::format::F32 => $function::<$crate::f32::F32>($($argument),*),
            $crate::record::format::F16 => $function::<$crate::f16::F16>($($argument),*),
            $crate::record::format::MXFP4 => $function::<$crate::fp4::Fp4>($($argument),*),
            $crate::record::format::MXFP6_E3M2 => $function::<$crate::fp6::Fp6<$crate::fp6::E3m2>>($($argument),*),
            $crate::record::format::MXFP6_E2M3 => $function::<$crate::fp6::Fp6<$crate::fp6::E2m3>>($($argument),*),
            $crate::record::format::FP8_E4M3FN => $function::<$crate::fp8::E4m3fn>($($argument),*),
            $crate::record::format::FP8_E4M3FNUZ => $function::<$crate::fp8::E4m3fnuz>($($argument),*),
            _ => core::arch::wasm32::unreachable(),
        }
    };
}
pub(crate) use by_format;

/// Values of [`Record::scale_kind`].
pub mod scale {
    pub const E8M0: usize = 1;
    pub const TENSOR: usize = 2;
    pub const ROW: usize = 3;
}

/// Words 0..=8, which `decode` has too.
#[derive(Clone, Copy)]
pub struct Weights {
    pub format: usize,
    pub transposed: bool,
    pub rows: usize,
    pub cols: usize,
    pub weight: usize,
    pub row_stride: usize,
    pub scale: usize,
    pub scale_stride: usize,
    pub scale_kind: usize,
}

impl Weights {
    #[inline(always)]
    pub unsafe fn from(d: Words) -> Weights {
        unsafe {
            Weights {
                format: d.get(0),
                transposed: d.get(1) != 0,
                rows: d.get(2),
                cols: d.get(3),
                weight: d.get(4),
                row_stride: d.get(5),
                scale: d.get(6),
                scale_stride: d.get(7),
                scale_kind: d.listed(8, scale::ROW),
            }
        }
    }

    /// Address of a row (not transposed).
    #[inline(always)]
    pub fn row(&self, row: usize) -> *const u8 {
        at(self.weight, row, self.row_stride) as *const u8
    }

    /// Scale bytes of a row; null if the format has no block scales.
    #[inline(always)]
    pub fn row_scales(&self, row: usize) -> *const u8 {
        if self.scale_kind == scale::E8M0 {
            at(self.scale, row, self.scale_stride) as *const u8
        } else {
            core::ptr::null()
        }
    }

    /// Scale of a block, given [`Self::row_scales`].
    #[inline(always)]
    pub unsafe fn block_scale(scales: *const u8, block: usize) -> f32 {
        if scales.is_null() { 1.0 } else { unsafe { mx::scale(u32::from(*scales.add(block))) } }
    }

    /// The factor that a row's sums are multiplied with (FP8 scales).
    #[inline(always)]
    pub unsafe fn row_factor(&self, row: usize) -> f32 {
        match self.scale_kind {
            scale::TENSOR => f32::from_bits(self.scale as u32),
            scale::ROW => unsafe { number::read(at(self.scale, row, 4), number::F32) },
            _ => 1.0,
        }
    }
}

/// How a tile was multiplied: the word of `ways` that counts it.
#[derive(Clone, Copy)]
pub enum Way {
    Integers = 1,
    Float32 = 2,
}

/// A matrix, its input rows and its output rows.
#[derive(Clone, Copy)]
pub struct Record {
    pub weights: Weights,
    pub bias: usize,
    pub bias_format: usize,
    x: usize,
    x_stride: usize,
    pub out: usize,
    pub out_stride: usize,
    /// Number of pairs of an input row and an output row.
    pub pairs: usize,
    x_rows: usize,
    out_rows: usize,
    /// Scales of the input rows, or 0.
    pub x_scales: usize,
    pub round: bool,
    /// Units of the records before this one.
    pub first_unit: usize,
    fixed: usize,
    fixed_stride: usize,
    /// Where tests ask for a way of multiplying, and count what was taken; 0 elsewhere.
    ways: usize,
    /// Whether blocks may be multiplied as integers.
    pub integers: bool,
    /// Whether those are multiplied by dot products of bytes.
    pub dots: bool,
}

impl Record {
    #[inline(always)]
    pub unsafe fn from(d: Words) -> Record {
        unsafe {
            let ways = d.get(23);
            let way = if ways == 0 { 0 } else { *(ways as *const u32) as usize };
            Record {
                weights: Weights::from(d),
                bias: d.get(9),
                bias_format: d.listed(10, number::F16),
                x: d.get(11),
                x_stride: d.get(12),
                out: d.get(13),
                out_stride: d.get(14),
                pairs: d.get(15),
                x_rows: d.get(16),
                out_rows: d.get(17),
                x_scales: d.get(18),
                round: d.get(19) != 0,
                first_unit: d.get(20),
                fixed: d.get(21),
                fixed_stride: d.get(22),
                ways,
                integers: way != 1,
                dots: by_dots(way),
            }
        }
    }

    /// Tiles of output rows.
    #[inline(always)]
    pub fn units(&self) -> usize {
        self.weights.rows.div_ceil(TILE)
    }

    /// Counts a tile's pairs, where a test asks for it.
    #[inline(always)]
    pub unsafe fn count(&self, way: Way, pairs: usize) {
        if self.ways != 0 {
            unsafe { *(self.ways as *mut u32).add(way as usize) += pairs as u32 };
        }
    }

    #[inline(always)]
    unsafe fn x_row(&self, pair: usize) -> usize {
        if self.x_rows == 0 { pair } else { unsafe { *(self.x_rows as *const u32).add(pair) as usize } }
    }

    /// The prepared row that a pair reads.
    #[inline(always)]
    pub unsafe fn x(&self, pair: usize) -> *const v128 {
        unsafe { crate::memory::row(self.x, self.x_row(pair), self.x_stride) as *const v128 }
    }

    /// Where all input rows lie packed as float32; none if they are prepared rows.
    #[inline(always)]
    pub fn packed(&self) -> Option<*mut u8> {
        if self.x_stride == 0 { Some(self.x as *mut u8) } else { None }
    }

    /// Whether there are fixed rows beside the prepared ones.
    #[inline(always)]
    pub fn has_fixed(&self) -> bool {
        self.fixed != 0
    }

    /// The fixed row that a pair reads.
    #[inline(always)]
    pub unsafe fn fixed(&self, pair: usize) -> Row {
        Row::from(self.fixed, unsafe { self.x_row(pair) }, self.fixed_stride, self.weights.cols / BLOCK)
    }

    /// The row that a pair writes.
    #[inline(always)]
    pub unsafe fn out_row(&self, pair: usize) -> usize {
        if self.out_rows == 0 { pair } else { unsafe { *(self.out_rows as *const u32).add(pair) as usize } }
    }

    /// The scale of a pair's input row, if there are any.
    #[inline(always)]
    pub unsafe fn x_scale(&self, pair: usize) -> f32 {
        unsafe { *(self.x_scales as *const f32).add(self.x_row(pair)) }
    }

    /// Makes an output of a dot product, and stores it. A sum of nothing but zeros is a positive one: where products of
    /// a block vanish by its scale, their zero is negative, and then loops differ in those that they add to it.
    #[inline(always)]
    pub unsafe fn finish(&self, row: usize, pair: usize, sum: f32) {
        unsafe {
            let (w, sum) = (&self.weights, sum + 0.0);
            let mut y = if w.scale_kind > scale::E8M0 { sum * w.row_factor(row) } else { sum };
            if self.x_scales != 0 {
                y *= self.x_scale(pair);
            }
            if self.bias != 0 {
                y += number::read(at(self.bias, row, number::size(self.bias_format)), self.bias_format);
            }
            if self.round {
                y = f32x4_extract_lane::<0>(crate::bf16::round(f32x4_splat(y)));
            }
            *crate::memory::row(self.out, self.out_row(pair), self.out_stride).wrapping_add(row) = y;
        }
    }

    /// [`Self::finish`] of the dot products of one output row with those of `pairs` (1 to 4) pairs from `pair` on.
    #[inline(always)]
    pub unsafe fn finish_four(&self, row: usize, pair: usize, pairs: usize, sums: v128) {
        unsafe {
            let (w, sums) = (&self.weights, f32x4_add(sums, f32x4_splat(0.0)));
            let mut y = if w.scale_kind > scale::E8M0 { f32x4_mul(sums, f32x4_splat(w.row_factor(row))) } else { sums };
            if self.x_scales != 0 {
                let scale = |i: usize| self.x_scale(pair + min(i, pairs - 1));
                y = f32x4_mul(y, f32x4(scale(0), scale(1), scale(2), scale(3)));
            }
            if self.bias != 0 {
                let bias = number::read(at(self.bias, row, number::size(self.bias_format)), self.bias_format);
                y = f32x4_add(y, f32x4_splat(bias));
            }
            let y = crate::bf16::round_if(self.round, y);
            let to = |i: usize| {
                crate::memory::row(self.out, self.out_row(pair + i), self.out_stride).wrapping_add(row).cast()
            };
            v128_store32_lane::<0>(y, to(0));
            if pairs > 1 {
                v128_store32_lane::<1>(y, to(1));
            }
            if pairs > 2 {
                v128_store32_lane::<2>(y, to(2));
            }
            if pairs > 3 {
                v128_store32_lane::<3>(y, to(3));
            }
        }
    }
}
