//! Six to twelve input rows at once in float32 by many output rows of MXFP4: as `few_floats.rs`, but that inputs of
//! some blocks stay where they are, in locals, while two output rows after the other pass over them, and that weights
//! are decoded once for all input rows. V8 keeps locals on its stack, where nothing is compared: a load of an input is
//! one instruction and not two and a half. The text (`few_panels_text.rs`) is written out for each block, as locals
//! have no addresses. Sums in the order of `dot.rs`.
//!
//! Output rows are read by pieces then, which processors do not read ahead. So while rows are multiplied a byte of each
//! line of the next ones is read.

use crate::dot::{BLOCK, Format, block_sum};
use crate::few_floats::{Few, ROWS};
use crate::fp4::Fp4;
use crate::matvec::{self, finish_four, write_scales};
use crate::memory::opaque;
use crate::record::{Record, Weights};
use core::arch::wasm32::*;
use core::cmp::min;

/// Most input rows that are multiplied together.
const MOST: usize = 12;
/// Fewer are multiplied faster as `few_floats.rs` does it; groups of more have half of the most at least.
const LEAST: usize = 7;
/// Blocks of a panel: the text has as many.
const BLOCKS: usize = 6;
/// Most output rows that pass over one panel before the next one: an L2 cache holds them, and the next ones.
const MOST_ROWS: usize = 192;
/// Fewer are multiplied faster as `few_floats.rs` does it.
const LEAST_ROWS: usize = 64;
/// Places of the next output rows that are touched one right after the other, so that they wait for memory together.
const STREAMS: usize = 8;
/// Bytes of a cache's line.
const LINE: usize = 64;

/// What a panel's loop reads and writes; the text knows its layout.
#[repr(C)]
struct Panel {
    constants: [v128; 4],
    /// The first two output rows' blocks.
    weights: [*const u8; ROWS],
    /// The scale bytes of those.
    bytes: [*const u8; ROWS],
    /// The input rows' blocks in prepared order.
    x: [*const v128; MOST],
    /// Scales by their byte.
    scales: *const f32,
    /// The sums: [two output rows][input row][output row].
    sums: *mut v128,
    /// Bytes from the weights of an output row to those of the next one, and of their scale bytes.
    row_stride: usize,
    scale_stride: usize,
    /// Where a byte is read with the first two output rows, bytes to that of the next two, and to the next stream.
    touched: *const u8,
    step: usize,
    apart: usize,
    /// What was there, so that it is read.
    found: u32,
}

// Addresses: only the text looks at what lies there.
#[allow(improper_ctypes)]
unsafe extern "C" {
    fn few_panel_6(n: usize, panel: *mut Panel);
    fn few_panel_7(n: usize, panel: *mut Panel);
    fn few_panel_8(n: usize, panel: *mut Panel);
    fn few_panel_9(n: usize, panel: *mut Panel);
    fn few_panel_10(n: usize, panel: *mut Panel);
    fn few_panel_11(n: usize, panel: *mut Panel);
    fn few_panel_12(n: usize, panel: *mut Panel);
}

/// Multiplies `n` times two output rows with `inputs` input rows.
unsafe fn multiply(inputs: usize, n: usize, panel: &mut Panel) {
    unsafe {
        match inputs {
            6 => few_panel_6(n, panel),
            7 => few_panel_7(n, panel),
            8 => few_panel_8(n, panel),
            9 => few_panel_9(n, panel),
            10 => few_panel_10(n, panel),
            11 => few_panel_11(n, panel),
            _ => few_panel_12(n, panel),
        }
    }
}

/// Whether so many output rows are multiplied by panels. Processors without a dot product of bytes are faster as
/// `few_floats.rs` does it (docs/measurements/gemm.md, "A neighbour on the same core").
pub fn by_panels(r: &Record, rows: usize) -> bool {
    r.dots && rows >= LEAST_ROWS && r.pairs >= LEAST && r.weights.cols >= BLOCKS * BLOCK
}

/// Multiplies all input rows, at least two, with output rows `from..to` of MXFP4.
#[inline(never)]
pub unsafe fn few_panels(r: &Record, from: usize, to: usize, scratch: *mut u8) {
    unsafe {
        let w = &r.weights;
        let scales = scratch.cast::<f32>();
        write_scales(scales, 1.0);
        let mut panel = Panel {
            constants: Fp4::CONSTANTS.map(opaque),
            weights: [core::ptr::null(); ROWS],
            bytes: [core::ptr::null(); ROWS],
            x: [core::ptr::null(); MOST],
            scales,
            sums: scales.add(256).cast(),
            row_stride: w.row_stride,
            scale_stride: w.scale_stride,
            touched: w.row(from),
            step: 0,
            apart: 0,
            found: 0,
        };
        let end = to - (to - from) % ROWS;
        // About the same number of rows each time.
        let together = (end - from).div_ceil((end - from).div_ceil(MOST_ROWS)).next_multiple_of(ROWS);
        panel.found = touch(w, from, from + together);
        for row in (from..end).step_by(together) {
            let next = row + together;
            rows(r, (row, min(next, end)), (min(next, end), min(next + together, end)), &mut panel);
        }
        opaque(panel.found);
        if end < to {
            matvec::direct::<Fp4>(r, end, to, scratch);
        }
    }
}

/// Bytes from the first to the last block of so many output rows.
fn bytes_of(w: &Weights, rows: usize) -> usize {
    if rows == 0 { 0 } else { (rows - 1) * w.row_stride + w.cols / BLOCK * Fp4::BYTES }
}

/// Reads a byte of each line of output rows `from..to`.
unsafe fn touch(w: &Weights, from: usize, to: usize) -> u32 {
    let mut found = 0;
    for at in (0..bytes_of(w, to - from)).step_by(LINE) {
        found ^= u32::from(unsafe { *w.row(from).wrapping_add(at) });
    }
    found
}

/// Multiplies all input rows with output rows `from..to`, an even number, and touches those of `next` meanwhile.
unsafe fn rows(r: &Record, (from, to): (usize, usize), next: (usize, usize), panel: &mut Panel) {
    unsafe {
        let (w, n) = (&r.weights, (to - from) / ROWS);
        let blocks = w.cols / BLOCK;
        let panels = blocks / BLOCKS;
        let count = r.pairs.div_ceil(MOST);
        // Groups of about the same size.
        let first = |group: usize| group * (r.pairs / count) + min(group, r.pairs % count);
        // The last rows touch themselves.
        panel.apart = bytes_of(w, next.1 - next.0) / STREAMS;
        panel.touched = w.row(if panel.apart > 0 { next.0 } else { from });
        panel.step = panel.apart / (n * panels * count);
        let sums = panel.sums;
        for group in 0..count {
            let (pair, inputs) = (first(group), first(group + 1) - first(group));
            core::ptr::write_bytes(sums, 0, n * inputs * ROWS);
            for block in (0..panels * BLOCKS).step_by(BLOCKS) {
                panel.weights = [from, from + n].map(|row| w.row(row).wrapping_add(block * Fp4::BYTES));
                panel.bytes = [from, from + n].map(|row| w.row_scales(row).wrapping_add(block));
                for i in 0..inputs {
                    panel.x[i] = r.x(pair + i).add(block * 8);
                }
                multiply(inputs, n, panel);
            }
            for i in 0..n {
                for half in 0..ROWS {
                    let sums = sums.add(i * inputs * ROWS + half);
                    finish(r, from + half * n + i, (pair, inputs), panels * BLOCKS, sums, panel.scales);
                }
            }
        }
    }
}

/// Adds the blocks from `block` on to the sums of an output row, which lie two apart, and stores the outputs.
unsafe fn finish(
    r: &Record,
    row: usize,
    (pair, inputs): (usize, usize),
    block: usize,
    sums: *mut v128,
    scales: *const f32,
) {
    unsafe {
        let w = &r.weights;
        for b in block..w.cols / BLOCK {
            let weights = Fp4::block(w.row(row).wrapping_add(b * Fp4::BYTES));
            let scale = v128_load32_splat(scales.add(*w.row_scales(row).wrapping_add(b) as usize).cast());
            for i in 0..inputs {
                let t = block_sum(&weights, r.x(pair + i).add(b * 8));
                *sums.add(i * ROWS) = f32x4_relaxed_madd(t, scale, *sums.add(i * ROWS));
            }
        }
        for from in (0..inputs).step_by(4) {
            let four = core::array::from_fn(|i| *sums.add(min(from + i, inputs - 1) * ROWS));
            finish_four::<Fp4>(r, row, pair + from, min(4, inputs - from), &four);
        }
    }
}
