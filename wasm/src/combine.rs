//! `combine`: the weighted sum of the experts' outputs of a token.

use crate::bf16::round_if;
use crate::memory::{Words, each_vector, load, row, store};
use core::arch::wasm32::*;

#[unsafe(no_mangle)]
unsafe extern "C" fn combine(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (out, out_stride, y, y_stride, width) = (d.get(0), d.get(1), d.get(2), d.get(3), d.get(4));
        let (top_k, weights, round) = (d.get(5), d.get(6), d.get(7) != 0);
        for token in start as usize..end as usize {
            let out = row(out, token, out_stride);
            let weights = row(weights, token, top_k);
            let product = |k: usize, i: usize, lanes: usize| {
                let y = row(y, token * top_k + k, y_stride);
                f32x4_mul(f32x4_splat(*weights.add(k)), load(y.add(i), lanes))
            };
            each_vector(width, |i, lanes| {
                let mut sum = product(0, i, lanes);
                for k in 1..top_k {
                    sum = f32x4_add(sum, product(k, i, lanes));
                }
                store(out.add(i), lanes, round_if(round, sum));
            });
        }
    }
}
