//! One input row by eight output rows of bfloat16, as WebAssembly text (`eight_rows_text.rs`). Sums in the order of
//! `dot.rs`: the same bits.
//!
//! Written out because LLVM multiplies a whole block of one output row before the next one's. Each product of a block
//! waits for the one before it, four cycles, so that a processor is idle unless it looks far enough ahead to find the
//! next rows' products, which is less far where another program uses the same core. Here those of eight rows come by
//! turns, and a pair of input vectors is loaded once for all of them.

use crate::bf16::{Bf16, UPPER};
use crate::dot::BLOCK;
use crate::matvec::{direct, finish};
use crate::record::Record;
use core::arch::wasm32::*;

/// Output rows of a call.
const ROWS: usize = 8;

/// What the loop reads and writes; the text knows its layout.
#[repr(C)]
struct EightRows {
    /// Receives the sums.
    sums: [v128; ROWS],
    /// The mask of the upper half of each lane.
    upper: v128,
    /// The rows' first blocks.
    weights: [*const u8; ROWS],
    /// The input row in prepared order.
    x: *const v128,
}

// Addresses: only the text looks at what lies there.
#[allow(improper_ctypes)]
unsafe extern "C" {
    /// Sums the products of `n` (at least 1) blocks.
    fn eight_rows_bf16(n: usize, rows: *mut EightRows);
}

/// Multiplies the one input row with output rows `from..to` of bfloat16. Eight rows lie as far apart as they can, for
/// the reason of `matvec::direct`, which multiplies the rows that are left.
#[inline(never)]
pub unsafe fn eight_rows(r: &Record, from: usize, to: usize, scratch: *mut u8) {
    unsafe {
        let (w, blocks) = (&r.weights, r.weights.cols / BLOCK);
        let apart = if blocks > 0 { (to - from) / ROWS } else { 0 };
        for row in from..from + apart {
            let mut rows = EightRows {
                sums: [f32x4_splat(0.0); ROWS],
                upper: i32x4_splat(UPPER),
                weights: core::array::from_fn(|i| w.row(row + i * apart)),
                x: r.x(0),
            };
            eight_rows_bf16(blocks, &mut rows);
            for i in 0..ROWS {
                finish::<Bf16>(r, row + i * apart, 0, rows.sums[i]);
            }
        }
        direct::<Bf16>(r, from + ROWS * apart, to, scratch);
    }
}
