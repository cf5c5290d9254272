//! `rms_norm`: x / sqrt(mean of squares + eps) * weight.
//!
//! In float64, whose cost does not show beside the GEMMs: the result is often quantized next, and there a difference in
//! the last bit here can change a whole code.

use crate::bf16::round_if;
use crate::memory::{Words, at, each_vector, load, row, store};
use crate::number;
use core::arch::wasm32::*;

#[unsafe(no_mangle)]
unsafe extern "C" fn rms_norm(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (out, x, stride, width) = (d.get(0), d.get(1), d.get(2), d.get(3));
        let (weight, format, eps, round) = (d.get(4), d.listed(5, number::F16), d.float(6), d.get(7) != 0);
        for unit in start as usize..end as usize {
            let (out, x) = (row(out, unit, stride), row(x, unit, stride));
            let mut squares = f64x2_splat(0.0);
            each_vector(width, |i, lanes| {
                let v = load(x.add(i), lanes);
                for v in halves(v) {
                    squares = f64x2_add(squares, f64x2_mul(v, v));
                }
            });
            let mean = (f64x2_extract_lane::<0>(squares) + f64x2_extract_lane::<1>(squares)) / width as f64;
            let factor = f64x2_div(f64x2_splat(1.0), f64x2_sqrt(f64x2_splat(mean + f64::from(eps))));
            each_vector(width, |i, lanes| {
                let w = halves(number::load(at(weight, i, number::size(format)), lanes, format));
                let x = halves(load(x.add(i), lanes));
                let [low, high] = [0, 1].map(|i| f32x4_demote_f64x2_zero(f64x2_mul(f64x2_mul(x[i], factor), w[i])));
                let y = i64x2_shuffle::<0, 2>(low, high);
                store(out.add(i), lanes, round_if(round, y));
            });
        }
    }
}

/// Four float32 as float64.
#[inline(always)]
fn halves(v: v128) -> [v128; 2] {
    [f64x2_promote_low_f32x4(v), f64x2_promote_low_f32x4(i64x2_shuffle::<1, 1>(v, v))]
}
