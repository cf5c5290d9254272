//! `prepare`: quantizes and dequantizes the rows that a linear reads, and stores them in prepared order, and as fixed
//! rows where that is asked for.

use crate::element::{Element, by_mx};
use crate::fixed::Row;
use crate::memory::{Words, load_block, prepared_pair, row};
use crate::mx::{Qdq, Rule};
use crate::quantize::Quantizer;
use core::arch::wasm32::*;

/// What is done to each block.
trait Block {
    fn apply(&self, block: &mut [v128; 8], quantum: f32, unit: f32);
}

impl Block for Quantizer {
    #[inline(always)]
    fn apply(&self, block: &mut [v128; 8], quantum: f32, unit: f32) {
        Quantizer::apply(*self, block, quantum, unit);
    }
}

impl<E: Element> Block for Qdq<E> {
    #[inline(always)]
    fn apply(&self, block: &mut [v128; 8], _: f32, _: f32) {
        Qdq::apply(self, block);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn prepare(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let quantizer = Quantizer::from(d.from(5));
        by_mx!(d.get(5), mx_rows(d, start, end, quantizer), rows(d, start, end, quantizer, &quantizer))
    }
}

/// The rows of MX blocks, whose constants are made once.
#[inline(always)]
unsafe fn mx_rows<E: Element>(d: Words, start: u32, end: u32, quantizer: Quantizer) {
    unsafe { rows(d, start, end, quantizer, &Qdq::<E>::new(Rule::from(d.get(6)))) }
}

#[inline(never)]
unsafe fn rows(d: Words, start: u32, end: u32, quantizer: Quantizer, blocks: &impl Block) {
    unsafe {
        let (out, out_stride, x, x_stride, width) = (d.get(0), d.get(1), d.get(2), d.get(3), d.get(4));
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
                let mut block = if column + 32 <= width {
                    *x.add(column).cast::<[v128; 8]>()
                } else {
                    load_block(x, column, width)
                };
                blocks.apply(&mut block, scale, unit);
                let [a, b, c, d, e, f, g, h] = block;
                let to = out.add(column).cast::<[v128; 8]>();
                let ([a, b], [c, d]) = (prepared_pair(a, b), prepared_pair(c, d));
                let ([e, f], [g, h]) = (prepared_pair(e, f), prepared_pair(g, h));
                *to = [a, b, c, d, e, f, g, h];
                if fixed != 0 && column + 32 <= width {
                    fixed_row.fix(column / 32, &*to, offset);
                }
            }
            if fixed != 0 {
                fixed_row.end(width / 32);
            }
        }
    }
}
