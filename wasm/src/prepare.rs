//! `prepare`: quantizes and dequantizes the rows that a linear reads, and stores them in prepared order, and as fixed
//! rows where that is asked for.

use crate::fixed::Row;
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
        let (fixed, fixed_stride, offset) = (d.get(10), d.get(11), d.get(12) as i32);
        for unit in start as usize..end as usize {
            let fixed_row = Row::from(fixed, unit, fixed_stride, width / 32);
            let (out, x) = (row(out, unit, out_stride), row(x, unit, x_stride));
            let scale = quantizer.row_scale(x, width);
            if row_scales != 0 {
                *row(row_scales, unit, 1) = scale;
            }
            let unit = if row_scales == 0 { scale } else { 1.0 };
            for column in (0..width).step_by(32) {
                let mut block = load_block(x, column, width);
                quantizer.apply(&mut block, scale, unit);
                for pair in block.chunks_exact_mut(2) {
                    pair.copy_from_slice(&prepared_pair(pair[0], pair[1]));
                }
                *out.add(column).cast::<[v128; 8]>() = block;
                if fixed != 0 && column + 32 <= width {
                    fixed_row.fix(column / 32, &block, offset);
                }
            }
            if fixed != 0 {
                fixed_row.end(width / 32);
            }
        }
    }
}
