//! `add`: h = h + y.

use crate::bf16::round_if;
use crate::memory::{Words, each_vector, load, row, store};
use core::arch::wasm32::*;

#[unsafe(no_mangle)]
unsafe extern "C" fn add(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (h, y, stride, width, round) = (d.get(0), d.get(1), d.get(2), d.get(3), d.get(4) != 0);
        for unit in start as usize..end as usize {
            let (h, y) = (row(h, unit, stride), row(y, unit, stride));
            each_vector(width, |i, lanes| {
                let sum = f32x4_add(load(h.add(i), lanes), load(y.add(i), lanes));
                store(h.add(i), lanes, round_if(round, sum));
            });
        }
    }
}
