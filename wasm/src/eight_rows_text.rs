//! The loop of `eight_rows.rs` as text, which the assembler's macros write out: `%(..)` is a number by then.

use crate::text_macros::{end_of_text, text_macros};
use core::arch::global_asm;

// Locals: 0 n, 1 rows; 2 to 9 weights, 10 the input row; then vectors: 11 the mask, 12 and 13 inputs, 14 weights, 15 to
// 22 sums of a block, 23 to 30 sums, which V8 has on its stack.
global_asm!(
    concat!(
        text_macros!(),
        r"
	# Eight bfloat16s of the row at zw times both inputs; the first two of a block are its sum so far.
	.macro eight_pair zw, zat, zt
	local.get \zw
	v128.load \zat:p2align=0
	local.tee 14
	i32.const 16
	i32x4.shl
	mx_product 12, \zt, \zat
	local.get 14
	local.get 11
	v128.and
	mx_product 13, \zt, 1
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

	.globl eight_rows_bf16
	.type eight_rows_bf16,@function
eight_rows_bf16:
	.functype eight_rows_bf16 (i32, i32) -> ()
	.local ",
        "i32, i32, i32, i32, i32, i32, i32, i32, i32, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
        "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128",
        r"
	mx_constant 128, 11
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	mx_get %(144+4*\zk), %(2+\zk)
	mx_constant %(16*\zk), %(23+\zk)
	.endr
	mx_get 176, 10
	loop
	eight_pairs 0, 0, 16
	eight_pairs 16, 32, 48
	eight_pairs 32, 64, 80
	eight_pairs 48, 96, 112
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	eight_add %(23+\zk), %(15+\zk)
	mx_advance %(2+\zk), 64
	.endr
	mx_advance 10, 128
	local.get 0
	i32.const -1
	i32.add
	local.tee 0
	br_if 0
	end_loop
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	mx_put %(23+\zk), %(16*\zk)
	.endr
	end_function

	.irp zname, pair, pairs, add
	.purgem eight_\zname
	.endr
",
        end_of_text!()
    ),
    options(raw)
);
