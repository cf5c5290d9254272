//! The order in which every dot product is summed (see ABI.md). All paths of `linear` are built from these functions,
//! so that they give the same bits.

use crate::four_rows::FourRows;
use crate::memory::turn;
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

    /// Puts the blocks of four rows in place: lane i of each vector is the lane of that number of row i's.
    #[inline(always)]
    unsafe fn put_four(at: [*const u8; 4], constants: &Self::Constants, to: Four) {
        unsafe { to.put_blocks(at.map(|at| Self::block_with(at, constants))) }
    }

    /// Adds the products of `n` blocks of four rows with an input row, if the format has a loop for that which works
    /// for these rows; false if not, and then the sums are of no use.
    #[inline(always)]
    unsafe fn four_rows(_n: usize, _rows: &mut FourRows) -> bool {
        false
    }
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

/// Where the blocks of four rows go: `[vector][row]` for each lane.
pub struct Four {
    pub lanes: [*mut v128; 4],
    /// What the rows are multiplied with.
    pub scales: Option<v128>,
}

impl Four {
    /// Puts vector `v` of all lanes.
    #[inline(always)]
    pub unsafe fn put(&self, v: usize, lanes: [v128; 4]) {
        let lanes = self.scales.map_or(lanes, |scales| lanes.map(|lane| f32x4_mul(lane, scales)));
        let ([a, b, c, d], [e, f, g, h]) = (self.lanes, lanes);
        unsafe {
            *a.add(v) = e;
            *b.add(v) = f;
            *c.add(v) = g;
            *d.add(v) = h;
        }
    }

    /// Puts a block of each row.
    #[inline(always)]
    pub unsafe fn put_blocks(&self, [a, b, c, d]: [[v128; 8]; 4]) {
        unsafe {
            self.put(0, turn([a[0], b[0], c[0], d[0]]));
            self.put(1, turn([a[1], b[1], c[1], d[1]]));
            self.put(2, turn([a[2], b[2], c[2], d[2]]));
            self.put(3, turn([a[3], b[3], c[3], d[3]]));
            self.put(4, turn([a[4], b[4], c[4], d[4]]));
            self.put(5, turn([a[5], b[5], c[5], d[5]]));
            self.put(6, turn([a[6], b[6], c[6], d[6]]));
            self.put(7, turn([a[7], b[7], c[7], d[7]]));
        }
    }
}
