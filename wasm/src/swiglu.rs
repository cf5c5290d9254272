//! `swiglu`: (u + 1) * g * sigmoid(alpha * g) of clamped pairs (g, u).

use crate::bf16::round_if;
use crate::exp::{Constants, exp_with};
use crate::memory::{Words, each_vector, load, opaque, row, store};
use core::arch::wasm32::*;
use core::cmp::min;

#[unsafe(no_mangle)]
unsafe extern "C" fn swiglu(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (out, out_stride, z, z_stride, width) = (d.get(0), d.get(1), d.get(2), d.get(3), d.get(4));
        let (alpha, limit, round) = (f32x4_splat(d.float(5)), f32x4_splat(d.float(6)), d.get(7) != 0);
        let (one, constants) = (f32x4_splat(1.0), Constants::new(opaque));
        for unit in start as usize..end as usize {
            let (out, z) = (row(out, unit, out_stride), row(z, unit, z_stride));
            each_vector(width, |i, lanes| {
                let pairs = z.add(2 * i);
                let first = load(pairs, min(4, 2 * lanes));
                let last = if lanes > 2 { load(pairs.add(4), 2 * lanes - 4) } else { f32x4_splat(0.0) };
                let g = f32x4_min(i32x4_shuffle::<0, 2, 4, 6>(first, last), limit);
                let u = i32x4_shuffle::<1, 3, 5, 7>(first, last);
                let u = f32x4_max(f32x4_min(u, limit), f32x4_neg(limit));
                let sigmoid = f32x4_div(one, f32x4_add(one, exp_with(f32x4_neg(f32x4_mul(alpha, g)), &constants)));
                let y = f32x4_mul(f32x4_mul(f32x4_add(u, one), g), sigmoid);
                store(out.add(i), lanes, round_if(round, y));
            });
        }
    }
}
