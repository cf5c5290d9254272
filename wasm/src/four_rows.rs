//! The inner loop of the few-rows path in float32: four output rows by one input row, as WebAssembly text. Blocks are
//! decoded and multiplied 16 columns at a time, in the order of `dot.rs`.
//!
//! Written out (`four_rows_text.rs`) because LLVM decodes all that a sum needs before its first multiply-add: eight
//! vectors for each row, most of which V8 puts on the stack.

use crate::fp6::magnitudes;
use core::arch::wasm32::*;

/// Output rows of a call.
pub const ROWS: usize = 4;

/// What a loop reads and writes; the text knows its layout.
#[repr(C)]
pub struct FourRows {
    /// Sums of the four rows so far, to which products are added.
    pub sums: [v128; ROWS],
    /// The largest magnitude of each byte of all codes, of FP8.
    pub largest: v128,
    /// The rows' first blocks.
    pub weights: [*const u8; ROWS],
    /// The scale bytes of those.
    pub bytes: [*const u8; ROWS],
    /// Scales by their byte.
    pub scales: *const f32,
    /// The input row in prepared order.
    pub x: *const v128,
}

// Addresses: only the text looks at what lies there.
#[allow(improper_ctypes)]
unsafe extern "C" {
    /// FP8 e4m3fn, as if its NaN were the number 480.
    pub fn four_rows_fp8(n: usize, rows: *mut FourRows, constants: *const Constants);
    pub fn four_rows_e3m2(n: usize, rows: *mut FourRows, constants: *const Constants);
    pub fn four_rows_e2m3(n: usize, rows: *mut FourRows, constants: *const Constants);
    pub fn four_rows_fp4(n: usize, rows: *mut FourRows, constants: *const Constants);
}

/// Constants of a loop, in the order of the text.
pub type Constants = [v128; 12];

/// Calls `f` with constants that lie in memory: the module has no data of its own, and of constants in registers V8
/// would know too much (see [`opaque`](crate::memory::opaque)).
#[inline(always)]
pub unsafe fn with_constants(constants: Constants, f: impl FnOnce(*const Constants)) {
    let mut slot = core::mem::MaybeUninit::<Constants>::uninit();
    for (i, constant) in constants.into_iter().enumerate() {
        // SAFETY: within the slot.
        unsafe { slot.as_mut_ptr().cast::<v128>().add(i).write_volatile(constant) };
    }
    f(slot.as_ptr());
}

/// Those of codes of `bits` bits: a sign, an exponent with that bias, `mantissa` bits. A bfloat16 is put together of
/// its bytes: the low one holds the code's lowest bits, the high one follows from the others; of magnitudes below 16
/// both are mended by tables, as the smallest are subnormal.
pub const fn minifloat(bits: u32, mantissa: u32, bias: i32) -> Constants {
    // The code is moved left by `shift`; what then lies in the high byte is the code moved right by `cut`.
    let (shift, cut) = (7 - mantissa, 1 + mantissa);
    let biased = ((127 - bias) as u32) << 7;
    let sign = 1 << (bits - 1 - cut);
    let mut high = [0; 16];
    let mut i = 0;
    while i < sign {
        high[i] = (biased >> 8) as u8 + i as u8;
        high[i | sign] = high[i] | 0x80;
        i += 1;
    }
    let bytes = [magnitudes(mantissa, bias, 0), magnitudes(mantissa, bias, 1)];
    let mut mend = [[0; 16]; 2];
    let mut code = 0;
    while code < 16 {
        let moved = ((code as u32) << shift) + biased;
        mend[0][code] = bytes[0][code] ^ moved as u8;
        mend[1][code] = bytes[1][code] ^ (moved >> 8) as u8;
        code += 1;
    }
    [
        vector([((1 << (bits - 1)) - 1) as u8; 16]),
        vector([(0xff << shift) as u8; 16]),
        vector([(2 * sign - 1) as u8; 16]),
        vector(high),
        vector(mend[0]),
        vector(mend[1]),
        u16x8(0, 0xffff, 0, 0xffff, 0, 0xffff, 0, 0xffff),
        // Which bytes hold pairs of 6-bit codes, of the first and the last twelve of a vector, and what brings them to
        // bits 4..10 and 10..16 of a lane; where they go from there.
        i8x16(0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11),
        i8x16(4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11, 12, 13, 14, 14, 15),
        i16x8(16, 1, 16, 1, 16, 1, 16, 1),
        u16x8(0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f),
        u16x8(0x3f00, 0x3f00, 0x3f00, 0x3f00, 0x3f00, 0x3f00, 0x3f00, 0x3f00),
    ]
}

/// Those of MXFP4, given the bytes of its numbers as bfloat16.
pub const fn nibbles(low: v128, high: v128) -> Constants {
    let zero = vector([0; 16]);
    [vector([0x0f; 16]), low, high, zero, zero, zero, zero, zero, zero, zero, zero, zero]
}

const fn vector(bytes: [u8; 16]) -> v128 {
    // SAFETY: 16 bytes either way, and every bit pattern is a vector.
    unsafe { core::mem::transmute(bytes) }
}
