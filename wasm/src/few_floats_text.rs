//! The loops of `few_floats.rs` as text, which the assembler's macros write out: `%(..)` is a number by then.

use crate::text_macros::{end_of_text, text_macros};
use core::arch::global_asm;

// Locals: 0 n, 1 what is multiplied; 2 to 5 the rows' weights, 6 to 9 their scale bytes, 10 to 15 inputs, 16 scales;
// then vectors: 17 to 20 constants; from 21 on four of each row: a block's bfloat16s, or eight stored ones in the first
// of them; 37 to 40 weights of each row, and its scale; 41 inputs; 42 to 44 codes and their bytes; from 45 on sums of a
// block, from 57 on sums: of each input one of each row.
macro_rules! four {
    ($text:expr) => {
        concat!($text, $text, $text, $text)
    };
}

/// Types of the locals 2 to 16, and of 52 vectors.
macro_rules! locals {
    () => {
        concat!(
            four!("i32, i32, i32, "),
            "i32, i32, i32, ",
            four!(four!("v128, v128, v128, ")),
            "v128, v128, v128, v128",
        )
    };
}

global_asm!(
    concat!(
        text_macros!(),
        r"
	# Four even ones of eight stored bfloat16s of the row at zw as float32, or the odd ones of those, which are in zp.
	.macro tile_stored zw, zat, zodd, zp, zto
	.ifne \zodd
	local.get \zp
	local.get 17
	v128.and
	.else
	local.get \zw
	v128.load \zat:p2align=0
	local.tee \zp
	i32.const 16
	i32x4.shl
	.endif
	local.set \zto
	.endm

	.macro tile_input zx, zat
	local.get \zx
	v128.load \zat
	local.set 41
	.endm

	# Vector zv of block zblock of zr rows times that of zn inputs; the first row's bfloat16s are in zp.
	.macro tile_step zbf16, zr, zn, zblock, zv, zodd, zp, zlast
	.irp zk, 0, 1, 2, 3
	.ifgt \zr-\zk
	.ifne \zbf16
	tile_stored %(2+\zk), %(64*\zblock+8*\zv-8*\zodd), \zodd, %(21+4*\zk), %(37+\zk)
	.else
	mx_widened 20, %(\zp+4*\zk), \zlast, %(37+\zk)
	.endif
	.endif
	.endr
	.irp zi, 0, 1, 2, 3, 4, 5
	.ifgt \zn-\zi
	tile_input %(10+\zi), %(128*\zblock+16*\zv)
	.irp zk, 0, 1, 2, 3
	.ifgt \zr-\zk
	local.get 41
	mx_product %(37+\zk), %(45+\zr*\zi+\zk), \zv
	.endif
	.endr
	.endif
	.endr
	.endm

	# Adds a sum of the block to its sum.
	.macro tile_sum zbf16, zscale, zt, zs
	.ifne \zbf16
	local.get \zs
	local.get \zt
	f32x4.add
	local.set \zs
	.else
	mx_sum \zt, \zscale, \zs
	.endif
	.endm

	# A block of zr rows times that of zn inputs.
	.macro tile_block zbf16, zr, zn, zblock
	.ifeq \zbf16
	.irp zk, 0, 1, 2, 3
	.ifgt \zr-\zk
	mx_decode 17, 18, 19, 42, 43, 44, %(2+\zk), %(16*\zblock), %(21+4*\zk)
	.endif
	.endr
	.endif
	.irp zv, 0, 1, 2, 3, 4, 5, 6, 7
	tile_step \zbf16, \zr, \zn, \zblock, \zv, %(\zv-\zv/2*2), %(21+\zv-\zv/2*2+\zv/4*2), %(\zv/2-\zv/4*2)
	.endr
	.irp zk, 0, 1, 2, 3
	.ifgt \zr-\zk
	.ifeq \zbf16
	mx_scale 16, %(6+\zk), \zblock, %(37+\zk)
	.endif
	.irp zi, 0, 1, 2, 3, 4, 5
	.ifgt \zn-\zi
	tile_sum \zbf16, %(37+\zk), %(45+\zr*\zi+\zk), %(57+\zr*\zi+\zk)
	.endif
	.endr
	.endif
	.endr
	.endm

	.macro tile_count
	local.get 0
	i32.const -1
	i32.add
	local.tee 0
	.endm

	# zr rows times zn inputs, as many blocks as zblocks in a turn of the loop, the last one of which may be half of it.
	.macro tile_loop zname, zbf16, zr, zn, zblocks
	.globl \zname
	.type \zname,@function
\zname:
	.functype \zname (i32, i32) -> ()
	.local ",
        locals!(),
        r"
	# Sums are 0 to begin with, as locals are.
	.irp zk, 0, 1, 2, 3
	mx_constant %(192+16*\zk), %(17+\zk)
	mx_get %(256+4*\zk), %(2+\zk)
	mx_get %(272+4*\zk), %(6+\zk)
	.endr
	.irp zi, 0, 1, 2, 3, 4, 5, 6
	mx_get %(288+4*\zi), %(10+\zi)
	.endr
	block
	loop
	tile_block \zbf16, \zr, \zn, 0
	.ifgt \zblocks-1
	tile_count
	i32.eqz
	br_if 1
	tile_block \zbf16, \zr, \zn, 1
	.endif
	.irp zk, 0, 1, 2, 3
	.ifgt \zr-\zk
	.ifne \zbf16
	mx_advance %(2+\zk), %(64*\zblocks)
	.else
	mx_advance %(2+\zk), %(16*\zblocks)
	mx_advance %(6+\zk), \zblocks
	.endif
	.endif
	.endr
	.irp zi, 0, 1, 2, 3, 4, 5
	.ifgt \zn-\zi
	mx_advance %(10+\zi), %(128*\zblocks)
	.endif
	.endr
	tile_count
	br_if 0
	end_loop
	end_block
	.irp zi, 0, 1, 2, 3, 4, 5
	.ifgt \zn-\zi
	.irp zk, 0, 1, 2, 3
	.ifgt \zr-\zk
	mx_put %(57+\zr*\zi+\zk), %(16*(\zr*\zi+\zk))
	.endif
	.endr
	.endif
	.endr
	end_function
	.endm

	tile_loop few_fp4_2, 0, 4, 2, 2
	tile_loop few_fp4_3, 0, 3, 3, 2
	tile_loop few_fp4_2_by_2, 0, 2, 2, 1
	tile_loop few_fp4_2_by_3, 0, 2, 3, 1
	tile_loop few_fp4_4, 0, 2, 4, 2
	tile_loop few_fp4_5, 0, 2, 5, 2
	tile_loop few_fp4_6, 0, 2, 6, 1
	tile_loop few_bf16_3, 1, 2, 3, 1
	tile_loop few_bf16_4, 1, 2, 4, 1
	tile_loop few_bf16_5, 1, 2, 5, 1
	tile_loop few_bf16_6, 1, 2, 6, 1
",
        end_of_text!()
    ),
    options(raw)
);
