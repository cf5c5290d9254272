//! What `prepare` and `qdq` do to the numbers of a row.

use crate::bf16::round_if;
use crate::element::{E2m1, E2m3, E3m2, E4m3fn, Element};
use crate::memory::{Words, each_vector, load};
use crate::mx::{self, Rule};
use core::arch::wasm32::*;

/// The words `kind, rule, scale, round` of a descriptor.
#[derive(Clone, Copy)]
pub struct Quantizer {
    kind: usize,
    rule: Rule,
    scale: f32,
    round: bool,
}

const NONE: usize = 0;
pub const E2M1: usize = 1;
pub const E3M2: usize = 2;
pub const E2M3: usize = 3;
const FP8_STATIC: usize = 4;
const FP8_ROW: usize = 5;

impl Quantizer {
    #[inline(always)]
    pub unsafe fn from(words: Words) -> Quantizer {
        unsafe {
            Quantizer {
                kind: words.listed(0, FP8_ROW),
                rule: Rule::from(words.listed(1, 1)),
                scale: words.float(2),
                round: words.get(3) != 0,
            }
        }
    }

    /// The FP8 scale of a row; 1 for the other kinds.
    #[inline(always)]
    pub unsafe fn row_scale(self, row: *const f32, width: usize) -> f32 {
        if self.kind < FP8_STATIC {
            1.0
        } else if self.kind == FP8_STATIC {
            self.scale
        } else {
            let mut amax = f32x4_splat(0.0);
            each_vector(width, |i, lanes| {
                amax = f32x4_max(amax, f32x4_abs(unsafe { load(row.add(i), lanes) }));
            });
            let pairs = f32x4_max(amax, i32x4_shuffle::<2, 3, 0, 1>(amax, amax));
            let amax = f32x4_max(pairs, i32x4_shuffle::<1, 0, 3, 2>(pairs, pairs));
            let scale = f32x4_max(f32x4_div(amax, f32x4_splat(448.0)), f32x4_splat(1.0 / (448.0 * 512.0)));
            f32x4_extract_lane::<0>(scale)
        }
    }

    /// Replaces 32 numbers by their values after QDQ. FP8 divides by `quantum`, the row's scale, and multiplies the
    /// result with `unit`: the same scale, or 1 where the scale is applied to the sum instead.
    #[inline(always)]
    pub fn apply(self, block: &mut [v128; 8], quantum: f32, unit: f32) {
        match self.kind {
            NONE => {}
            E2M1 => mx::qdq::<E2m1>(block, self.rule),
            E3M2 => mx::qdq::<E3m2>(block, self.rule),
            E2M3 => mx::qdq::<E2m3>(block, self.rule),
            _ => {
                for v in block.iter_mut() {
                    // A true division: a reciprocal's error could turn a tie.
                    *v = f32x4_mul(E4m3fn::quantize_or_nan(f32x4_div(*v, f32x4_splat(quantum))), f32x4_splat(unit));
                }
            }
        }
        for v in block.iter_mut() {
            *v = round_if(self.round, *v);
        }
    }
}
