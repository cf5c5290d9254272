//! What makes outputs of the sums of eight output rows.

use crate::bf16;
use crate::memory::{at, row, store};
use crate::number;
use crate::record::{Record, TILE, scale};
use core::arch::wasm32::*;
use core::cmp::min;

/// A tile of output rows; each is finished as [`Record::finish`] does it.
pub struct Finish<'a> {
    r: &'a Record,
    row: usize,
    rows: usize,
    factors: [v128; 2],
    biases: [v128; 2],
}

impl<'a> Finish<'a> {
    /// Reads what belongs to rows `row .. row + rows` (1..=8).
    pub unsafe fn new(r: &'a Record, row: usize, rows: usize) -> Self {
        let (mut factors, mut biases) = ([1.0; TILE], [0.0; TILE]);
        for i in 0..rows {
            unsafe {
                factors[i] = r.weights.row_factor(row + i);
                if r.bias != 0 {
                    biases[i] = number::read(at(r.bias, row + i, number::size(r.bias_format)), r.bias_format);
                }
            }
        }
        let vectors = |[a, b, c, d, e, f, g, h]: [f32; TILE]| [f32x4(a, b, c, d), f32x4(e, f, g, h)];
        Finish { r, row, rows, factors: vectors(factors), biases: vectors(biases) }
    }

    /// Stores the outputs of a pair, given the sums of all rows.
    #[inline(always)]
    pub unsafe fn store(&self, pair: usize, sums: [v128; 2]) {
        let Finish { r, rows, .. } = *self;
        unsafe {
            let to = row(r.out, r.out_row(pair), r.out_stride).wrapping_add(self.row);
            for half in 0..rows.div_ceil(4) {
                let mut y = f32x4_add(sums[half], f32x4_splat(0.0));
                if r.weights.scale_kind > scale::E8M0 {
                    y = f32x4_mul(y, self.factors[half]);
                }
                if r.x_scales != 0 {
                    y = f32x4_mul(y, f32x4_splat(r.x_scale(pair)));
                }
                if r.bias != 0 {
                    y = f32x4_add(y, self.biases[half]);
                }
                store(to.wrapping_add(4 * half), min(4, rows - 4 * half), bf16::round_if(r.round, y));
            }
        }
    }
}
