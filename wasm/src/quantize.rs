//! What `prepare` and `qdq` do to the numbers of a row.

use crate::bf16::round_if;
use crate::element::{E4m3fn, Element, by_mx, kind};
use crate::memory::{Words, each_vector, load};
use crate::mx::{LAST_RULE, Rule, qdq};
use crate::q8_0;
use core::arch::wasm32::*;

/// The words `kind, rule, scale, round` of a descriptor.
#[derive(Clone, Copy)]
pub struct Quantizer {
    kind: usize,
    rule: Rule,
    scale: f32,
    round: bool,
}

impl Quantizer {
    #[inline(always)]
    pub unsafe fn from(words: Words) -> Quantizer {
        unsafe {
            let kind = words.get(0);
            if !kind::is_known(kind) {
                unreachable()
            }
            Quantizer {
                kind,
                rule: Rule::from(words.listed(1, LAST_RULE)),
                scale: words.float(2),
                // What is left of Q8_0 stays float32.
                round: words.get(3) != 0 && kind != kind::Q8_0,
            }
        }
    }

    /// The FP8 scale of a row; 1 for the other kinds.
    #[inline(always)]
    pub unsafe fn row_scale(self, row: *const f32, width: usize) -> f32 {
        if self.kind == kind::FP8_STATIC {
            self.scale
        } else if self.kind != kind::FP8_ROW {
            1.0
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
        if self.kind == kind::FP8_STATIC || self.kind == kind::FP8_ROW {
            for v in block.iter_mut() {
                // A true division: a reciprocal's error could turn a tie.
                *v = f32x4_mul(E4m3fn::quantize_or_nan(f32x4_div(*v, f32x4_splat(quantum))), f32x4_splat(unit));
            }
        } else if self.kind == kind::Q8_0 {
            q8_0::qdq(block);
        } else if self.kind != 0 {
            by_mx!(self.kind, qdq(block, self.rule), unreachable());
        }
        for v in block.iter_mut() {
            *v = round_if(self.round, *v);
        }
    }
}
