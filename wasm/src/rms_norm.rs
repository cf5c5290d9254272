//! `rms_norm`: x / sqrt(mean of squares + eps) * weight.

use crate::bf16::round_if;
use crate::memory::{Words, at, each_vector, load, row, store, sum_lanes};
use crate::number;
use core::arch::wasm32::*;

#[unsafe(no_mangle)]
unsafe extern "C" fn rms_norm(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (out, x, stride, width) = (d.get(0), d.get(1), d.get(2), d.get(3));
        let (weight, format, eps, round) = (d.get(4), d.get(5), d.float(6), d.get(7) != 0);
        for unit in start as usize..end as usize {
            let (out, x) = (row(out, unit, stride), row(x, unit, stride));
            let mut squares = f32x4_splat(0.0);
            each_vector(width, |i, lanes| {
                let v = load(x.add(i), lanes);
                squares = f32x4_add(squares, f32x4_mul(v, v));
            });
            let mean = sum_lanes(squares) / width as f32;
            let factor = f32x4_div(f32x4_splat(1.0), f32x4_sqrt(f32x4_splat(mean + eps)));
            each_vector(width, |i, lanes| {
                let w = number::load(at(weight, i, number::size(format)), lanes, format);
                let y = f32x4_mul(f32x4_mul(load(x.add(i), lanes), factor), w);
                store(out.add(i), lanes, round_if(round, y));
            });
        }
    }
}
