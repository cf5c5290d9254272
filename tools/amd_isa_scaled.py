"""The scaled matrix instruction of CDNA 4 (gfx950) for the ISA emulator of tools/amd_isa.py.

V_MFMA_SCALE_F32_16X16X128_F8F6F4 multiplies A, 16 rows of 128 elements, by B, 128 of 16 columns. Elements are FP8 e4m3
or FP4 e2m1, each operand in a format of its own, and every 32 of a row of A or a column of B share an E8M0 scale.

Which lane holds what, for row or column r = lane % 16 and group g = lane / 16, as AMD's Composable Kernel has it
(test/mx_mfma_op/mx_mfma_op.hpp) and as a gfx950 answered when it was asked element by element which lane's scale counts
(test/mx_mfma_op/scale_mapping_16x16x128.txt there):

- FP4: columns 32 g to 32 g + 31 in four registers, the lower columns in the lower bits;
- FP8: columns 16 g to 16 g + 15 in the first four registers, 64 + 16 g to 64 + 16 g + 15 in the next four;
- scales: the lane of group g has that of columns 32 g to 32 g + 31, whatever lanes hold these columns;
- results: rows 4 g to 4 g + 3 of column r, as for any other product of 16 x 16.

Products of a block are added up first, in float32, then scaled, then added to the result. In what order and to how many
bits a GPU adds is not published. A scale of 255, which is NaN, counts as 2^128.
"""
import functools

FP8, FP4 = 0, 4
REGISTERS = {FP8: 8, FP4: 4}
COLUMNS, BLOCK, GROUPS = 128, 32, 4


def column(form, group, at):
    """The column of element `at` (0 to 31) of a lane of a group, in a format."""
    if form == FP4:
        return BLOCK * group + at
    return 64 * (at // 16) + 16 * group + at % 16


def compile_scaled(emu, inst, ctx):
    """The instruction as the emulator's operations."""
    UOp, dtypes = emu.UOp, emu.dtypes
    u32, i32, f32 = (functools.partial(lambda dtype, x: UOp.const(x, dtype), d)
                     for d in (dtypes.uint32, dtypes.int, dtypes.float32))
    kind, form = type(inst), (int(inst.cbsz), int(inst.blgp))
    if "16X16X128" not in emu._op_name(inst) or any(f not in REGISTERS for f in form):
        raise RuntimeError(f"a scaled matrix instruction of another shape or format: {emu._op_name(inst)} {form}")
    sources = [ctx.inst_field(kind.src0), ctx.inst_field(kind.src1)]
    scales = [ctx.inst_field(kind.scale_src0), ctx.inst_field(kind.scale_src1)]
    # Which byte of the 32-bit scale counts: its low bit for A and B in one field, the high ones in another.
    low, high = emu._iattr(inst, "opsel"), emu._iattr(inst, "opsel_hi")
    byte = [(low >> side & 1) | (high >> side & 1) << 1 for side in (0, 1)]
    result, addend, exec_mask = ctx.inst_field(kind.vdst), ctx.inst_field(kind.src2), ctx.rexec()

    def value(code, f):
        """An element as the bits of a float32."""
        if f == FP8:
            return emu._FUNCS["fp8_to_f32"](code & u32(255)).bitcast(dtypes.uint32)
        exponent, half = (code >> u32(1)) & u32(3), code & u32(1)
        bits = exponent.eq(u32(0)).where(half * u32(0x3F000000), ((exponent + u32(126)) << u32(23)) | (half << u32(22)))
        return bits | (((code >> u32(3)) & u32(1)) << u32(31))

    # All elements first, [side][row or column][128], and the scales [side][row or column][4], since the result may
    # overwrite what it is made of.
    size = 16 * COLUMNS
    held = UOp.placeholder((2 * size + 2 * 16 * GROUPS,), dtypes.uint32, slot=0, addrspace=emu.AddrSpace.LOCAL)
    lane = ctx.range()
    r, group = lane % i32(16), lane // i32(16)
    stores = []
    for side, f in enumerate(form):
        bits = 8 if f == FP8 else 4
        for at in range(BLOCK):
            word = ctx.rvgpr_dyn(sources[side] - u32(256 - at * bits // 32), lane)
            # column() of a group is linear in it.
            step = column(f, 1, at) - column(f, 0, at)
            place = r * i32(COLUMNS) + group * i32(step) + i32(side * size + column(f, 0, at))
            stores.append(held.index(place).store(value(word >> u32(at * bits % 32), f)))
        exponent = (ctx.rsrc_dyn(scales[side], lane, 32) >> u32(8 * byte[side])) & u32(255)
        stores.append(held.index(r * i32(GROUPS) + group + i32(2 * size + side * 16 * GROUPS)).store(exponent))
    read = UOp.group(*stores).end(lane)
    after = held.after(read)

    # Of the lane's column, and of each of its four rows.
    lane = ctx.range()
    r, group = lane % i32(16), lane // i32(16)
    is_register = addend >= u32(256)
    constant = ctx.rsgpr_dyn(addend, is_register.ne(True)).bitcast(dtypes.float32)
    in_agprs = bool(emu._iattr(inst, "acc_cd"))
    get, put = (ctx.raccvgpr_dyn, ctx.waccvgpr_dyn) if in_agprs else (ctx.rvgpr_dyn, ctx.wvgpr_dyn)

    def power(exponent):
        """2^(exponent - 127), in two factors: the whole may be smaller than a float32 can be."""
        half = exponent // i32(2)
        return [UOp.exp2(e.cast(dtypes.float32)) for e in (half, exponent - half)]

    writes = []
    for i in range(4):
        row = group * i32(4) + i32(i)
        total = is_register.where(get(addend - u32(256 - i), lane, is_register).bitcast(dtypes.float32), constant)
        for block in range(GROUPS):
            dot = f32(0.0)
            for k in range(block * BLOCK, (block + 1) * BLOCK):
                a = after.index(row * i32(COLUMNS) + i32(k)).bitcast(dtypes.float32)
                b = after.index(r * i32(COLUMNS) + i32(size + k)).bitcast(dtypes.float32)
                dot = dot + a * b
            a_scale = after.index(row * i32(GROUPS) + i32(2 * size + block))
            b_scale = after.index(r * i32(GROUPS) + i32(2 * size + 16 * GROUPS + block))
            one, other = power(a_scale.cast(dtypes.int) + b_scale.cast(dtypes.int) - i32(254))
            total = total + dot * one * other
        writes.append(put(result + u32(i), lane, total.bitcast(dtypes.uint32), exec_mask))
    return UOp.sink(read, UOp.group(*writes).end(lane), *ctx.inc_pc())
