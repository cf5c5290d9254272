//! `qdq`: the same quantization as `prepare`, with the result in natural order.

use crate::memory::{Words, each_vector, load_block, row, store};
use crate::quantize::Quantizer;
use core::cmp::min;

#[unsafe(no_mangle)]
unsafe extern "C" fn qdq(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (out, x, stride, width) = (d.get(0), d.get(1), d.get(2), d.get(3));
        let quantizer = Quantizer::from(d.from(4));
        for unit in start as usize..end as usize {
            let (out, x) = (row(out, unit, stride), row(x, unit, stride));
            let scale = quantizer.row_scale(x, width);
            for column in (0..width).step_by(32) {
                let mut block = load_block(x, column, width);
                quantizer.apply(&mut block, scale, scale);
                each_vector(min(32, width - column), |i, lanes| store(out.add(column + i), lanes, block[i / 4]));
            }
        }
    }
}
