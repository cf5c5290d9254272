//! Keys and values as `attention` reads them: in a cache's ring, or copied from there as float32.

use crate::attention::each_left_over;
use crate::attention_two::{Loop, score_two_f32, weigh_two_f32};
use crate::cache::Cached;
use crate::dot::Format;
use crate::memory::{at, load, opaque, store};
use core::arch::wasm32::*;

/// The cached rows (keys or values) of a head that a token sees: `count` of them from position `first` on.
#[derive(Clone, Copy)]
pub struct Ring {
    pub base: usize,
    pub row_bytes: usize,
    pub capacity: usize,
    /// Entry of the first row.
    pub entry: usize,
    pub count: usize,
}

impl Ring {
    /// Rows from number `first` on that lie one after the other.
    #[inline(always)]
    pub fn of(rows: *const f32, first: usize, row_bytes: usize) -> Ring {
        let base = (rows as usize).wrapping_sub(first * row_bytes);
        Ring { base, row_bytes, capacity: usize::MAX, entry: 0, count: 0 }
    }

    #[inline(always)]
    pub fn row(&self, i: usize) -> *const u8 {
        let entry = self.entry + i;
        let entry = if entry < self.capacity { entry } else { entry - self.capacity };
        at(self.base, entry, self.row_bytes) as *const u8
    }

    /// Whether rows `first..last` lie one after the other.
    #[inline(always)]
    pub fn is_straight(&self, first: usize, last: usize) -> bool {
        self.wrap() <= first || last <= self.wrap()
    }

    /// The first row that lies at the ring's start, where the one before it lies at its end.
    #[inline(always)]
    pub fn wrap(&self) -> usize {
        self.capacity - self.entry
    }
}

/// Copies rows `first..last` into `room`, as float32 in prepared order.
#[inline(never)]
pub unsafe fn copy<C: Cached>(room: *mut f32, head_dim: usize, rows: &Ring, first: usize, last: usize) -> Ring {
    unsafe {
        let constants = C::constants(opaque);
        for i in first..last {
            let (from, to) = (rows.row(i), room.add((i - first) * head_dim));
            for d in (0..head_dim & !7).step_by(8) {
                let [even, odd] = C::eight(from.add(d * <C as Cached>::SIZE), &constants);
                v128_store(to.add(d).cast(), even);
                v128_store(to.add(d + 4).cast(), odd);
            }
            each_left_over(head_dim, |d, lanes| {
                store(to.add(d), lanes, C::few(from.add(d * <C as Cached>::SIZE), lanes));
            });
        }
        Ring::of(room, first, head_dim * Copy::SIZE)
    }
}

/// Keys or values, as they are cached or copied.
pub trait Row {
    const SIZE: usize;
    type Constants;
    fn constants(known: impl Fn(v128) -> v128) -> Self::Constants;
    unsafe fn eight(at: *const u8, constants: &Self::Constants) -> [v128; 2];
    unsafe fn few(at: *const u8, lanes: usize) -> v128;
    /// Loops for two heads: scores, and sums of values.
    const TWO: Option<[Loop; 2]>;
}

impl<C: Cached> Row for C {
    const TWO: Option<[Loop; 2]> = C::LOOPS;
    const SIZE: usize = <C as Cached>::SIZE;
    type Constants = <C as Format>::Constants;

    #[inline(always)]
    fn constants(known: impl Fn(v128) -> v128) -> Self::Constants {
        <C as Format>::constants(known)
    }
    #[inline(always)]
    unsafe fn eight(at: *const u8, constants: &Self::Constants) -> [v128; 2] {
        unsafe { <C as Cached>::eight(at, constants) }
    }
    #[inline(always)]
    unsafe fn few(at: *const u8, lanes: usize) -> v128 {
        unsafe { <C as Cached>::few(at, lanes) }
    }
}

/// Rows that [`copy`] made.
pub struct Copy;

impl Row for Copy {
    const TWO: Option<[Loop; 2]> = Some([score_two_f32, weigh_two_f32]);
    const SIZE: usize = 4;
    type Constants = ();

    #[inline(always)]
    fn constants(_known: impl Fn(v128) -> v128) {}
    #[inline(always)]
    unsafe fn eight(at: *const u8, (): &()) -> [v128; 2] {
        unsafe { [v128_load(at.cast()), v128_load(at.add(16).cast())] }
    }
    #[inline(always)]
    unsafe fn few(at: *const u8, lanes: usize) -> v128 {
        unsafe { load(at.cast(), lanes) }
    }
}
