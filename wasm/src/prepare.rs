//! `prepare`: quantizes and dequantizes the rows that a linear reads, and stores them in prepared order, and as fixed
//! rows where that is asked for.

use crate::dot::BLOCK;
use crate::element::{Element, by_mx};
use crate::fixed::Row;
use crate::groups::Groups;
use crate::memory::{Words, at, load_block, prepared_pair, row};
use crate::mx::{Qdq, Rule};
use crate::panel::pack_rows;
use crate::quantize::Quantizer;
use core::arch::wasm32::*;
use core::cmp::min;

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
unsafe extern "C" fn prepare(desc: *const u32, start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (start, end, out, stride) = (start as usize, end as usize, d.get(0), d.get(1));
        if stride != 0 {
            return some(d, start, end, out, stride);
        }
        // Packed: rows are prepared in scratch first.
        let (cols, groups) = (d.get(4), Groups::of(d.get(13)));
        let stride = cols.next_multiple_of(BLOCK);
        for group in start..end {
            let (first, rows) = (groups.first(group), groups.rows(group));
            some(d, first, first + rows, at(scratch as usize, first, (stride * 4).wrapping_neg()), stride);
            let from = core::array::from_fn(|i| scratch.add(min(i, rows - 1) * stride * 4) as *const v128);
            pack_rows(from, rows, cols, at(out, first, stride * 4) as *mut u8);
        }
    }
}

/// Prepares rows `start..end`; the first of all would lie at `out`.
#[inline(always)]
unsafe fn some(d: Words, start: usize, end: usize, out: usize, stride: usize) {
    unsafe {
        let quantizer = Quantizer::from(d.from(5));
        let to = (start, end, out, stride);
        by_mx!(d.get(5), mx_rows(d, to, quantizer), rows(d, to, quantizer, &quantizer))
    }
}

/// The rows of MX blocks, whose constants are made once.
#[inline(always)]
unsafe fn mx_rows<E: Element>(d: Words, to: (usize, usize, usize, usize), quantizer: Quantizer) {
    unsafe { rows(d, to, quantizer, &Qdq::<E>::new(Rule::from(d.get(6)), d.get(8) != 0)) }
}

#[inline(never)]
unsafe fn rows(
    d: Words,
    (start, end, out, out_stride): (usize, usize, usize, usize),
    quantizer: Quantizer,
    blocks: &impl Block,
) {
    unsafe {
        let (x, x_stride, width) = (d.get(2), d.get(3), d.get(4));
        let row_scales = d.get(9);
        let (fixed, fixed_stride, offset) = (d.get(10), d.get(11), d.get(12) as i32);
        for unit in start..end {
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
