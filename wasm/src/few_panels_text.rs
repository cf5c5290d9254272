//! The loops of `few_panels.rs` as text, which the assembler's macros write out: `%(..)` is a number by then.

use crate::text_macros::{end_of_text, text_macros};
use core::arch::global_asm;

// Locals: 0 n, 1 what is multiplied; 2 and 3 the rows' weights, 4 and 5 their scale bytes, 6 scales, 7 sums, 8 and 9
// bytes to the next rows' weights and scale bytes; 10 what is touched, 11 and 12 bytes to the next of that; 13 an
// address; then vectors: 14 to 17 constants; 18 to 20 codes and their bytes; 21 to 24 bfloat16s of a block of the first
// row, 25 to 28 of the second one; 29 to 44 their weights by turns; 45 and 46 scales; 47 to 54 sums of a block, 55 to
// 78 sums; from 79 on inputs: of each block and vector one of each row; and 719 what was found where it was touched.
macro_rules! four {
    ($text:expr) => {
        concat!($text, $text, $text, $text)
    };
}

/// Types of the locals 2 to 13, and of 705 vectors, a few more than there are, and one more number.
macro_rules! locals {
    () => {
        concat!(
            four!("i32, i32, i32, "),
            four!(four!(four!("v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, "))),
            "v128, i32",
        )
    };
}

global_asm!(
    concat!(
        text_macros!(),
        r"
	.macro few_product zx, zw, zt, zv
	local.get \zx
	mx_product \zw, \zt, \zv
	.endm

	# Vector zv of block zb of both rows times that of inputs zfrom to zto; zx is the first input's.
	.macro few_step zfrom, zto, zx, zv, zp, zlast
	.ifeq \zfrom
	mx_widened 17, %(\zp), \zlast, %(29+2*\zv)
	mx_widened 17, %(\zp+4), \zlast, %(30+2*\zv)
	.endif
	.irp zk, 0, 1, 2, 3
	.ifgt \zto-\zfrom-\zk
	few_product %(\zx+\zfrom+\zk), %(29+2*\zv), %(47+2*\zk), \zv
	few_product %(\zx+\zfrom+\zk), %(30+2*\zv), %(48+2*\zk), \zv
	.endif
	.endr
	.endm

	# Block zb of both rows times that of inputs zfrom to zto of zn.
	.macro few_pass zn, zfrom, zto, zb
	few_step \zfrom, \zto, %(79+8*\zn*\zb), 0, 21, 0
	few_step \zfrom, \zto, %(79+8*\zn*\zb+\zn), 1, 22, 0
	few_step \zfrom, \zto, %(79+8*\zn*\zb+2*\zn), 2, 21, 1
	few_step \zfrom, \zto, %(79+8*\zn*\zb+3*\zn), 3, 22, 1
	few_step \zfrom, \zto, %(79+8*\zn*\zb+4*\zn), 4, 23, 0
	few_step \zfrom, \zto, %(79+8*\zn*\zb+5*\zn), 5, 24, 0
	few_step \zfrom, \zto, %(79+8*\zn*\zb+6*\zn), 6, 23, 1
	few_step \zfrom, \zto, %(79+8*\zn*\zb+7*\zn), 7, 24, 1
	.ifeq \zfrom
	mx_scale 6, 4, \zb, 45
	mx_scale 6, 5, \zb, 46
	.endif
	.irp zk, 0, 1, 2, 3
	.ifgt \zto-\zfrom-\zk
	mx_sum %(47+2*\zk), 45, %(55+2*\zfrom+2*\zk)
	mx_sum %(48+2*\zk), 46, %(56+2*\zfrom+2*\zk)
	.endif
	.endr
	.endm

	.macro few_advance zlocal, zby
	local.get \zlocal
	local.get \zby
	i32.add
	local.set \zlocal
	.endm

	# Reads a byte of each of eight streams of what comes next.
	.macro few_touch
	local.get 10
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	local.tee 13
	i32.load8_u 0
	local.get 719
	i32.xor
	local.set 719
	local.get 13
	local.get 12
	i32.add
	.endr
	drop
	few_advance 10, 11
	.endm

	# zn inputs in up to three passes, which end at za and zb.
	.macro few_panel zname, zn, za, zb
	.globl \zname
	.type \zname,@function
\zname:
	.functype \zname (i32, i32) -> ()
	.local ",
        locals!(),
        r"
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	.ifgt \zn-\zk
	mx_get %(80+4*\zk), 13
	.irp zblock, 0, 1, 2, 3, 4, 5
	.irp zv, 0, 1, 2, 3, 4, 5, 6, 7
	local.get 13
	few_load %(128*\zblock+16*\zv), %(79+\zn*(8*\zblock+\zv)+\zk)
	.endr
	.endr
	.endif
	.endr
	.irp zk, 0, 1, 2, 3
	local.get 1
	few_load %(16*\zk), %(14+\zk)
	.endr
	.irp zk, 0, 1, 2, 3
	mx_get %(64+4*\zk), %(2+\zk)
	.endr
	.irp zk, 0, 1, 2, 3, 4, 5, 6
	mx_get %(128+4*\zk), %(6+\zk)
	.endr
	loop
	few_touch
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	.ifgt \zn-\zk
	local.get 7
	few_load %(32*\zk), %(55+2*\zk)
	local.get 7
	few_load %(32*\zk+16), %(56+2*\zk)
	.endif
	.endr
	.irp zblock, 0, 1, 2, 3, 4, 5
	mx_decode 14, 15, 16, 18, 19, 20, 2, %(16*\zblock), 21
	mx_decode 14, 15, 16, 18, 19, 20, 3, %(16*\zblock), 25
	few_pass \zn, 0, \za, \zblock
	few_pass \zn, \za, \zb, \zblock
	.ifgt \zn-\zb
	few_pass \zn, \zb, \zn, \zblock
	.endif
	.endr
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	.ifgt \zn-\zk
	few_store %(55+2*\zk), %(32*\zk)
	few_store %(56+2*\zk), %(32*\zk+16)
	.endif
	.endr
	mx_advance 7, %(32*\zn)
	few_advance 2, 8
	few_advance 3, 8
	few_advance 4, 9
	few_advance 5, 9
	local.get 0
	i32.const -1
	i32.add
	local.tee 0
	br_if 0
	end_loop
	local.get 1
	local.get 10
	i32.store 144
	local.get 1
	local.get 719
	i32.store 156
	end_function
	.endm

	.macro few_load zat, zto
	v128.load \zat
	local.set \zto
	.endm

	.macro few_store zs, zat
	local.get 7
	local.get \zs
	v128.store \zat
	.endm

	few_panel few_panel_6, 6, 3, 6
	few_panel few_panel_7, 7, 4, 7
	few_panel few_panel_8, 8, 4, 8
	few_panel few_panel_9, 9, 3, 6
	few_panel few_panel_10, 10, 4, 7
	few_panel few_panel_11, 11, 4, 8
	few_panel few_panel_12, 12, 4, 8
",
        end_of_text!()
    ),
    options(raw)
);
