//! The inner loops of `attention` for two heads that share keys and values: four keys by two queries, and sixteen
//! columns of values by two weights. In the order of `attention_products.rs`.
//!
//! Written out as WebAssembly text (`attention_text.rs`) because the order of instructions decides what stays in V8's
//! 15 registers, and because a processor foresees the end of a loop that is short and always of the same length.

use crate::attention_products::{GROUP, Heads, TILE};
use crate::attention_rows::{Ring, Row};
use crate::bf16::UPPER;
use crate::dot::BLOCK;
use core::arch::wasm32::{i32x4_splat, v128};

/// What a loop reads and writes; the text knows its layout.
#[repr(C)]
pub struct Two {
    /// The mask of the upper halves; what scores are multiplied with, one after the other.
    pub constants: [v128; 3],
    /// The first key or value, and the bytes from each to the next.
    pub from: *const u8,
    pub bytes: usize,
    /// Keys or values, by fours.
    pub fours: usize,
    /// Parts of each: 32 numbers of a key, 16 of a value.
    pub parts: usize,
    /// Queries in prepared order, or weights.
    pub factors: [*const f32; 2],
    /// Scores, which are written, or sums of values in prepared order, which are added to.
    pub to: [*mut f32; 2],
}

/// A loop; both counts are at least 1.
pub type Loop = unsafe extern "C" fn(two: *const Two);
/// Places of the loops in [`Row::TWO`].
pub const SCORE: usize = 0;
pub const WEIGH: usize = 1;

// Addresses: only the text looks at what lies there.
#[allow(improper_ctypes)]
unsafe extern "C" {
    pub fn score_two_bf16(two: *const Two);
    pub fn weigh_two_bf16(two: *const Two);
    /// Of keys that were copied as float32, in prepared order.
    pub fn score_two_f32(two: *const Two);
    /// Of such values.
    pub fn weigh_two_f32(two: *const Two);
}

/// Calls a loop for the two heads from `head` on; true if it did what is to be done. Only whole groups: their length
/// is always the same.
#[inline(always)]
pub unsafe fn call<C: Row, const H: usize>(
    which: usize,
    heads: &Heads,
    head: usize,
    (rows, first, last): (&Ring, usize, usize),
    scales: [v128; 2],
) -> bool {
    unsafe {
        let Some(loops) = C::TWO else { return false };
        let part = [BLOCK, BLOCK / 2][which];
        let whole = last - first == GROUP && rows.is_straight(first, last);
        if H != 2 || !whole || heads.head_dim % part != 0 || heads.head_dim == 0 {
            return false;
        }
        let queries = [heads.row(head), heads.row(head + 1)];
        let scores = [heads.scores(head).add(first), heads.scores(head + 1).add(first)];
        let (factors, to) = if which == SCORE { (queries, scores) } else { (scores, queries) };
        loops[which](&Two {
            constants: [i32x4_splat(UPPER), scales[0], scales[1]],
            from: rows.row(first),
            bytes: rows.row_bytes,
            fours: GROUP / TILE,
            parts: heads.head_dim / part,
            factors: factors.map(|at| at.cast_const()),
            to,
        });
        true
    }
}
