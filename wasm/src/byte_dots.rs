//! Which instructions multiply bytes.

use crate::memory::opaque;
use core::arch::wasm32::*;

/// Whether `i32x4.relaxed_dot_i8x16_i7x16_add_s` is best left out: on x86 processors without AVX-VNNI it is five
/// instructions, the first of which, unlike others, saturates sums of two products at 16 bits.
fn lacks_dot() -> bool {
    let (most, beyond) = (opaque(i8x16_splat(127)), opaque(i8x16_splat(-1)));
    let sum = i32x4_relaxed_dot_i8x16_i7x16_add(most, beyond, i32x4_splat(0));
    i32x4_extract_lane::<0>(sum) == 2 * i16::MAX as i32
}

/// Whether integers are multiplied by dot products of bytes: as is fastest here, or as a `way` asks for it ("ways" in
/// ABI.md).
pub fn by_dots(way: usize) -> bool {
    match way {
        2 => false,
        3 => true,
        _ => !lacks_dot(),
    }
}
