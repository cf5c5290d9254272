//! One input row by eight output rows of bfloat16, as WebAssembly text. Sums in the order of `dot.rs`: the same bits.
//!
//! Written out because LLVM multiplies a whole block of one output row before the next one's. Each product of a block
//! waits for the one before it, four cycles, so that a processor is idle unless it looks far enough ahead to find the
//! next rows' products, which is less far where another program uses the same core. Here those of eight rows come by
//! turns, and a pair of input vectors is loaded once for all of them.

use crate::bf16::{Bf16, UPPER};
use crate::dot::BLOCK;
use crate::matvec::{direct, finish};
use crate::record::Record;
use core::arch::global_asm;
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

// Locals: 0 n, 1 rows; 2 to 9 weights, 10 the input row; then vectors: 11 the mask, 12 and 13 inputs, 14 weights, 15 to
// 22 sums of a block, 23 to 30 sums, which V8 has on its stack.
global_asm!(
    concat!(
        r"
	.altmacro

	# Eight bfloat16s of the row at zw times both inputs; the first two of a block are its sum so far.
	.macro eight_pair zw, zat, zt
	local.get \zw
	v128.load \zat:p2align=0
	local.tee 14
	i32.const 16
	i32x4.shl
	local.get 12
	.ifne \zat
	local.get \zt
	f32x4.relaxed_madd
	.else
	f32x4.mul
	.endif
	local.set \zt
	local.get 14
	local.get 11
	v128.and
	local.get 13
	local.get \zt
	f32x4.relaxed_madd
	local.set \zt
	.endm

	# The same of all rows.
	.macro eight_pairs zat, zx, zy
	local.get 10
	v128.load \zx
	local.set 12
	local.get 10
	v128.load \zy
	local.set 13
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	eight_pair %(2+\zk), \zat, %(15+\zk)
	.endr
	.endm

	.macro eight_add zs, zt
	local.get \zs
	local.get \zt
	f32x4.add
	local.set \zs
	.endm

	.macro eight_advance zlocal, zbytes
	local.get \zlocal
	i32.const \zbytes
	i32.add
	local.set \zlocal
	.endm

	.macro eight_get ztype, zat, zto
	local.get 1
	\ztype\().load \zat
	local.set \zto
	.endm

	.macro eight_put zfrom, zat
	local.get 1
	local.get \zfrom
	v128.store \zat
	.endm

	.globl eight_rows_bf16
	.type eight_rows_bf16,@function
eight_rows_bf16:
	.functype eight_rows_bf16 (i32, i32) -> ()
	.local ",
        "i32, i32, i32, i32, i32, i32, i32, i32, i32, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
        "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128",
        r"
	eight_get v128, 128, 11
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	eight_get i32, %(144+4*\zk), %(2+\zk)
	eight_get v128, %(16*\zk), %(23+\zk)
	.endr
	eight_get i32, 176, 10
	loop
	eight_pairs 0, 0, 16
	eight_pairs 16, 32, 48
	eight_pairs 32, 64, 80
	eight_pairs 48, 96, 112
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	eight_add %(23+\zk), %(15+\zk)
	eight_advance %(2+\zk), 64
	.endr
	eight_advance 10, 128
	local.get 0
	i32.const -1
	i32.add
	local.tee 0
	br_if 0
	end_loop
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	eight_put %(23+\zk), %(16*\zk)
	.endr
	end_function

	.irp zname, pair, pairs, add, advance, get, put
	.purgem eight_\zname
	.endr
	.noaltmacro
"
    ),
    options(raw)
);
