//! `prepare`: quantizes and dequantizes the rows that a linear reads, and stores them in prepared order.

use crate::memory::{Words, load_block, prepared_pair, row};
use crate::quantize::Quantizer;
use core::arch::wasm32::*;

#[unsafe(no_mangle)]
unsafe extern "C" fn prepare(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (out, out_stride, x, x_stride, width) = (d.get(0), d.get(1), d.get(2), d.get(3), d.get(4));
        let quantizer = Quantizer::from(d.from(5));
        let row_scales = d.get(9);
        for unit in start as usize..end as usize {
            let (out, x) = (row(out, unit, out_stride), row(x, unit, x_stride));
            let scale = quantizer.row_scale(x, width);
            if row_scales != 0 {
                *row(row_scales, unit, 1) = scale;
            }
            let unit = if row_scales == 0 { scale } else { 1.0 };
            for column in (0..width).step_by(32) {
                let mut block = load_block(x, column, width);
                quantizer.apply(&mut block, scale, unit);
                store_prepared(out.add(column), &block);
            }
        }
    }
}

/// Stores 32 numbers in prepared order: of every 8, first the even ones, then the odd ones. Nibbles and bf16 pairs
/// unpack in that order.
#[inline(always)]
unsafe fn store_prepared(to: *mut f32, block: &[v128; 8]) {
    for i in (0..8).step_by(2) {
        let [even, odd] = prepared_pair(block[i], block[i + 1]);
        unsafe {
            v128_store(to.add(4 * i).cast(), even);
            v128_store(to.add(4 * i + 4).cast(), odd);
        }
    }
}
