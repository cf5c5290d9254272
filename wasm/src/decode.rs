//! `decode`: rows of a stored matrix as float32, in natural order.

use crate::dot::{BLOCK, Format, cut_block};
use crate::memory::{Words, at, each_vector, natural_pair, row, store};
use crate::number;
use crate::record::{Weights, by_format};
use core::arch::wasm32::*;
use core::cmp::min;

#[unsafe(no_mangle)]
unsafe extern "C" fn decode(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (out, out_stride) = (d.get(0), d.get(1));
        let weights = Weights::from(d.from(2));
        if weights.transposed && weights.format > number::F16 {
            unreachable();
        }
        for unit in start as usize..end as usize {
            let out = row(out, unit, out_stride);
            if weights.transposed {
                transposed(&weights, unit, out);
            } else {
                by_format!(weights.format, stored(&weights, unit, out));
            }
        }
    }
}

unsafe fn stored<F: Format>(w: &Weights, row: usize, out: *mut f32) {
    unsafe {
        let (from, scales) = (w.row(row), w.row_scales(row));
        let factor = w.row_factor(row);
        for b in 0..w.cols.div_ceil(BLOCK) {
            let columns = min(BLOCK, w.cols - b * BLOCK);
            let at = from.add(b * F::BYTES);
            let block = if columns == BLOCK { F::block(at) } else { cut_block::<F>(at, columns) };
            // At most one of the two differs from 1: MX formats have only block scales, FP8 has only a factor.
            let scale = f32x4_splat(Weights::block_scale(scales, b) * factor);
            each_vector(columns, |i, lanes| {
                let pair = natural_pair(block[i / 8 * 2], block[i / 8 * 2 + 1]);
                store(out.add(b * BLOCK + i), lanes, f32x4_mul(pair[i / 4 % 2], scale));
            });
        }
    }
}

unsafe fn transposed(w: &Weights, row: usize, out: *mut f32) {
    unsafe {
        for col in 0..w.cols {
            let stored = at(w.weight, col, w.row_stride).wrapping_add(row * number::size(w.format));
            *out.add(col) = number::read(stored, w.format);
        }
    }
}
