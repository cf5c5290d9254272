//! `rotate`: rotary position embedding of pairs (d, d + head_dim / 2), in place.

use crate::bf16::round_if;
use crate::memory::{Words, each_vector, load, row, store};
use core::arch::wasm32::*;

#[unsafe(no_mangle)]
unsafe extern "C" fn rotate(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (x, stride, heads, head_dim) = (d.get(0), d.get(1), d.get(2), d.get(3));
        let (cos, sin, round) = (d.get(4), d.get(5), d.get(6) != 0);
        let half = head_dim / 2;
        for unit in start as usize..end as usize {
            let (x, cos, sin) = (row(x, unit, stride), row(cos, unit, half), row(sin, unit, half));
            for head in 0..heads {
                let first = x.add(head * head_dim);
                let last = first.add(half);
                each_vector(half, |i, lanes| {
                    let (x1, x2) = (load(first.add(i), lanes), load(last.add(i), lanes));
                    let (c, s) = (load(cos.add(i), lanes), load(sin.add(i), lanes));
                    let y1 = f32x4_sub(f32x4_mul(x1, c), f32x4_mul(x2, s));
                    let y2 = f32x4_add(f32x4_mul(x2, c), f32x4_mul(x1, s));
                    store(first.add(i), lanes, round_if(round, y1));
                    store(last.add(i), lanes, round_if(round, y2));
                });
            }
        }
    }
}
