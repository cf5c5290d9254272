//! The order in which every dot product is summed (see ABI.md). All paths of `linear` are built from these functions,
//! so that they give the same bits.

use core::arch::wasm32::*;

/// A stored format of weights, in blocks of 32 columns.
pub trait Format {
    /// Bytes of a block.
    const BYTES: usize;
    /// Whether each block has a scale.
    const SCALED: bool;

    /// The numbers of a block in prepared order, without an MX block's scale.
    ///
    /// Reads exactly `BYTES` bytes.
    #[inline(always)]
    unsafe fn block(at: *const u8) -> [v128; 8] {
        unsafe { Self::block_with(at, &Self::constants(|c| c)) }
    }

    /// Constants of the format.
    type Constants;
    /// The constants, each of them passed through `known`: the identity, or [`crate::memory::opaque`] ahead of a loop.
    fn constants(known: impl Fn(v128) -> v128) -> Self::Constants;

    /// [`Format::block`], given the constants.
    unsafe fn block_with(at: *const u8, constants: &Self::Constants) -> [v128; 8];
}

/// Columns of a block.
pub const BLOCK: usize = 32;

/// The products of a block of weights and a block of a prepared row, summed into four lanes.
#[inline(always)]
pub unsafe fn block_sum(w: &[v128; 8], x: *const v128) -> v128 {
    let mut sum = f32x4_splat(0.0);
    for i in 0..8 {
        sum = f32x4_relaxed_madd(w[i], unsafe { v128_load(x.add(i)) }, sum);
    }
    sum
}

/// The incomplete block at the end of a row: `columns` (below 32) stored numbers, then zeros.
#[inline(never)]
pub unsafe fn cut_block<F: Format>(at: *const u8, columns: usize) -> [v128; 8] {
    let mut bytes = [0u8; 128];
    unsafe {
        core::ptr::copy_nonoverlapping(at, bytes.as_mut_ptr(), (columns * F::BYTES).div_ceil(BLOCK));
        F::block(bytes.as_ptr())
    }
}
