//! The loop of `one_row.rs` as text, which the assembler's macros write out: `%(..)` is a number by then.

use crate::text_macros::{end_of_text, text_macros};
use core::arch::global_asm;

// Locals: 0 n, 1 what is multiplied; 2 the first row's weights, 3 bytes to the next row's, 4 scales, 5 the input row,
// 6 the same as integers, 7 digits, 8 a row's weights, 9 the digits of a block; then vectors: 10 to 16 constants, 17 to
// 24 a block of the input row (of integers: 17 to 22 digits, 23 unit, 24 start), 25 to 33 what is between, 34 to 41
// sums, 42 and 43 more constants. zdots is 0 in the loop for processors without a dot product of bytes.
global_asm!(
    concat!(
        text_macros!(),
        r"
	.macro one_load zfrom, zat, zto
	local.get \zfrom
	v128.load \zat
	local.set \zto
	.endm

	# Row zk's weights, and on to the next row's.
	.macro one_weights zk
	local.get 8
	v128.load 0:p2align=0
	.ifne \zk-7
	local.get 8
	local.get 3
	i32.add
	local.set 8
	.endif
	.endm

	# The sum of a block, on the stack, times its scale.
	.macro one_scale zk
	one_sum %(2112*\zk), %(34+\zk)
	.endm

	.macro one_sum zat, zs
	local.get 4
	v128.load32_splat \zat:p2align=0
	local.get \zs
	f32x4.relaxed_madd
	local.set \zs
	.endm

	# Looks codes up. Relaxed: the indices are below 16, where all machines agree.
	.macro one_look ztable, zcodes, zto
	local.get \ztable
	local.get \zcodes
	i8x16.relaxed_swizzle
	local.set \zto
	.endm

	# Bytes of two vectors by turns: the first eight of each, or the last.
	.macro one_first za, zb, zto
	local.get \za
	local.get \zb
	i8x16.shuffle 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
	local.set \zto
	.endm

	.macro one_last za, zb, zto
	local.get \za
	local.get \zb
	i8x16.shuffle 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
	local.set \zto
	.endm

	# Four bfloat16s, behind zeros, times a vector of the input row.
	.macro one_product zp, zlast, zv
	mx_widen 13, \zp, \zlast
	mx_product %(17+\zv), 33, \zv
	.endm

	# Row zk in float32.
	.macro one_floats zk
	one_weights \zk
	local.tee 25
	local.get 10
	v128.and
	local.set 26
	one_look 11, 26, 27
	one_look 12, 26, 28
	local.get 25
	i32.const 4
	i16x8.shr_u
	local.get 10
	v128.and
	local.set 26
	one_look 11, 26, 29
	one_look 12, 26, 30
	one_first 27, 28, 31
	one_first 29, 30, 32
	one_product 31, 0, 0
	one_product 32, 0, 1
	one_product 31, 1, 2
	one_product 32, 1, 3
	one_last 27, 28, 31
	one_last 29, 30, 32
	one_product 31, 0, 4
	one_product 32, 0, 5
	one_product 31, 1, 6
	one_product 32, 1, 7
	local.get 33
	one_scale \zk
	.endm

	# Adds the products of a digit to the sum on the stack.
	.macro one_digit zd
	one_dot %(17+2*\zd), 26
	one_dot %(18+2*\zd), 27
	.endm

	.macro one_dot zx, zw
	local.set 33
	local.get \zx
	local.get \zw
	local.get 33
	i32x4.relaxed_dot_i8x16_i7x16_add_s
	.endm

	# The products of a digit times zfactor, four of them added in 16 bits, on the stack.
	.macro one_pairs zd, zfactor
	one_pair %(17+2*\zd), 26
	one_pair %(18+2*\zd), 27
	i16x8.add
	local.get \zfactor
	i32x4.dot_i16x8_s
	.endm

	.macro one_pair zx, zw
	local.get \zx
	local.get \zw
	i16x8.relaxed_dot_i8x16_i7x16_s
	.endm

	# The products of zd digits on the stack.
	.macro one_digits zd, zdots
	.ifne \zdots
	local.get 13
	.ifeq \zd-3
	one_digit 2
	one_shift
	.endif
	.ifgt \zd-1
	one_digit 1
	one_shift
	.endif
	one_digit 0
	.else
	.ifeq \zd-3
	one_pairs 2, 43
	one_pairs 1, 42
	i32x4.add
	one_shift
	.endif
	.ifeq \zd-2
	one_pairs 1, 43
	.endif
	one_pairs 0, 42
	.ifgt \zd-1
	i32x4.add
	.endif
	.endif
	.endm

	.macro one_shift
	i32.const 8
	i32x4.shl
	.endm

	# Row zk as integers of zd digits.
	.macro one_integers zk, zd, zdots
	one_weights \zk
	local.get 15
	i8x16.relaxed_swizzle
	local.tee 25
	local.get 10
	v128.and
	local.set 26
	one_look 14, 26, 26
	local.get 25
	i32.const 4
	i16x8.shr_u
	local.get 10
	v128.and
	local.set 27
	one_look 14, 27, 27
	one_digits \zd, \zdots
	.ifeq \zd-3
	local.get 24
	i32x4.add
	f32x4.convert_i32x4_s
	local.get 23
	f32x4.mul
	.else
	f32x4.convert_i32x4_s
	local.get 23
	local.get 24
	f32x4.relaxed_madd
	.endif
	one_scale \zk
	.endm

	# All rows in float32, or as integers of zd digits.
	.macro one_block zd, zdots
	.ifeq \zd
	.irp zv, 0, 1, 2, 3, 4, 5, 6, 7
	one_load 5, %(16*\zv), %(17+\zv)
	.endr
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	one_floats \zk
	.endr
	.else
	.irp zv, 0, 1, 2, 3, 4, 5
	.ifgt 2*\zd-\zv
	one_load 6, %(32+16*\zv), %(17+\zv)
	.endif
	.endr
	# Weights are integers of halves.
	local.get 6
	v128.load 0
	local.get 16
	f32x4.mul
	local.set 23
	local.get 6
	v128.load 16
	.ifne \zd-3
	local.get 16
	f32x4.mul
	.endif
	local.set 24
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	one_integers \zk, \zd, \zdots
	.endr
	.endif
	.endm

	.macro one_if zdigits, zdots
	local.get 9
	i32.const \zdigits
	i32.eq
	if
	one_block \zdigits, \zdots
	else
	.endm

	.macro one_function zname, zdots
	.globl \zname
	.type \zname,@function
\zname:
	.functype \zname (i32, i32) -> ()
	.local i32, i32, i32, i32, i32, i32, i32, i32, ",
        "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
        "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128",
        r"
	.irp zk, 0, 1, 2, 3, 4, 5, 6
	mx_constant %(128+16*\zk), %(10+\zk)
	.endr
	mx_constant 240, 42
	mx_constant 256, 43
	.irp zk, 0, 1, 2, 3, 4, 5
	mx_get %(272+4*\zk), %(2+\zk)
	.endr
	# Sums are 0 to begin with, as locals are.
	loop
	local.get 2
	local.set 8
	local.get 7
	i32.load8_u 0
	local.set 9
	one_if 2, \zdots
	one_if 0, \zdots
	one_if 1, \zdots
	one_block 3, \zdots
	end_if
	end_if
	end_if
	mx_advance 2, 16
	mx_advance 4, 4
	mx_advance 5, 128
	mx_advance 6, 144
	mx_advance 7, 1
	local.get 0
	i32.const -1
	i32.add
	local.tee 0
	br_if 0
	end_loop
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7
	mx_put %(34+\zk), %(16*\zk)
	.endr
	end_function
	.endm
	one_function one_row, 1
	one_function one_row_pairs, 0
",
        end_of_text!()
    ),
    options(raw)
);
