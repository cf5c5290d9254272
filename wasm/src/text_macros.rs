//! Macros of the assembler that several loops written as text share. Locals are arguments: each loop has its own.

/// Defines them, with `.altmacro` on; [`end_of_text`] takes them back.
macro_rules! text_macros {
    () => {
        r"
	.altmacro

	# Sixteen codes of MXFP4 as bfloat16s, by tables of their low and high bytes. Relaxed: the indices are below 16,
	# where all machines agree.
	.macro mx_codes zlow, zhigh, zcodes, zbytes, zfirst, zlast
	local.get \zlow
	local.get \zcodes
	i8x16.relaxed_swizzle
	local.tee \zbytes
	local.get \zhigh
	local.get \zcodes
	i8x16.relaxed_swizzle
	local.tee \zcodes
	i8x16.shuffle 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
	local.set \zfirst
	local.get \zbytes
	local.get \zcodes
	i8x16.shuffle 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
	local.set \zlast
	.endm

	# A block of MXFP4 of the row at zw as bfloat16s: of even codes, of odd ones, of each the first eight and the last.
	.macro mx_decode zmask, zlow, zhigh, zblock, zcodes, zbytes, zw, zat, zto
	local.get \zw
	v128.load \zat:p2align=0
	local.tee \zblock
	local.get \zmask
	v128.and
	local.set \zcodes
	mx_codes \zlow, \zhigh, \zcodes, \zbytes, %(\zto), %(\zto+2)
	local.get \zblock
	i32.const 4
	i16x8.shr_u
	local.get \zmask
	v128.and
	local.set \zcodes
	mx_codes \zlow, \zhigh, \zcodes, \zbytes, %(\zto+1), %(\zto+3)
	.endm

	# Four bfloat16s, behind zeros, as float32, on the stack.
	.macro mx_widen zzero, zp, zlast
	local.get \zzero
	local.get \zp
	.ifne \zlast
	i8x16.shuffle 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31
	.else
	i8x16.shuffle 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23
	.endif
	.endm

	.macro mx_widened zzero, zp, zlast, zto
	mx_widen \zzero, \zp, \zlast
	local.set \zto
	.endm

	# What is on the stack times zw: the first product of a sum, or one more.
	.macro mx_product zw, zt, zv
	local.get \zw
	.ifne \zv
	local.get \zt
	f32x4.relaxed_madd
	.else
	f32x4.mul
	.endif
	local.set \zt
	.endm

	# The scale of the block whose scale byte is at zb.
	.macro mx_scale zscales, zb, zat, zto
	local.get \zb
	i32.load8_u \zat
	i32.const 2
	i32.shl
	local.get \zscales
	i32.add
	v128.load32_splat 0:p2align=0
	local.set \zto
	.endm

	# Adds the sum of a block, times its scale, to its sum.
	.macro mx_sum zt, zscale, zs
	local.get \zt
	local.get \zscale
	local.get \zs
	f32x4.relaxed_madd
	local.set \zs
	.endm

	.macro mx_advance zlocal, zby
	local.get \zlocal
	i32.const \zby
	i32.add
	local.set \zlocal
	.endm

	# Of what is multiplied, to which local 1 leads.
	.macro mx_get zat, zto
	local.get 1
	i32.load \zat
	local.set \zto
	.endm

	.macro mx_constant zat, zto
	local.get 1
	v128.load \zat
	local.set \zto
	.endm

	.macro mx_put zs, zat
	local.get 1
	local.get \zs
	v128.store \zat
	.endm
"
    };
}

macro_rules! end_of_text {
    () => {
        r"
	.irp zname, codes, decode, widen, widened, product, scale, sum, advance, get, constant, put
	.purgem mx_\zname
	.endr
	.noaltmacro
"
    };
}

pub(crate) use {end_of_text, text_macros};
