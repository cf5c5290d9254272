//! Products of a panel of digits of weights with rows of digits, for `pick`: six rows of weights by 36 vectors stay in
//! locals while pairs of input rows pass over them. V8 keeps locals on its stack, where nothing is compared: with a
//! third of the comparisons, whose branches want a port that multiplies, a pair takes less time. The text is written
//! out for each vector, as locals have no addresses. Processors without a dot product of bytes are faster from memory
//! (docs/measurements/gemm.md, "A neighbour on the same core").

use crate::pick_tile::{ROWS, STEP, TILE, multiply};
use core::arch::global_asm;
use core::arch::wasm32::*;

/// Pairs that pass over a panel one after the other.
pub const GROUP: usize = 16;
/// Vectors of a row that a panel holds.
const STEPS: usize = 36;
/// Sums of a pair: of six rows of weights, each with both rows of digits.
pub const SUMS: usize = 2 * ROWS;

/// Of such pairs, the sums that panels add to, and the addresses of their rows.
#[repr(C)]
pub struct Begun {
    sums: [[v128; SUMS]; GROUP],
    rows: [[*const u8; 2]; GROUP],
}

/// Multiplies `steps` vectors of a tile's weights with those of `n` pairs of rows of digits, `GROUP` at most; writes
/// [pair][of the pair][row of the tile] to `to`. By dot products of bytes, or by pairs.
pub unsafe fn products(
    weights: *const u8,
    steps: usize,
    rows: impl Fn(usize) -> [*const u8; 2],
    (n, dots): (usize, bool),
    begun: *mut Begun,
    to: *mut i32,
) {
    unsafe {
        let panels = if dots { steps / STEPS } else { 0 };
        let done = panels * STEPS;
        for i in 0..n {
            (*begun).rows[i] = rows(i);
        }
        for half in 0..TILE / ROWS {
            let weights = weights.add(half * ROWS * steps * STEP);
            for i in 0..n {
                (*begun).sums[i] = [i32x4_splat(0); SUMS];
            }
            for panel in 0..panels {
                let (rows, sums) = (&raw const (*begun).rows, &raw mut (*begun).sums);
                let at = panel * STEPS * STEP;
                pick_panel(weights.add(ROWS * at), rows.cast(), n, at, sums.cast());
            }
            for i in 0..n {
                let rows = (*begun).rows[i].map(|row| row.add(done * STEP));
                let to = to.add(i * 2 * TILE + half * ROWS);
                let (weights, begun) = (weights.add(done * ROWS * STEP), &(*begun).sums[i]);
                if dots {
                    multiply::<true>(weights, rows, steps - done, begun, to);
                } else {
                    multiply::<false>(weights, rows, steps - done, begun, to);
                }
            }
        }
    }
}

// Addresses: only the text looks at what lies there.
#[allow(improper_ctypes)]
unsafe extern "C" {
    /// Multiplies the panel of weights at `w`, [step][row], with `n` pairs of rows of digits, whose addresses are at
    /// `pairs` and `at` bytes before their vectors, and adds to the sums at `to`, [pair][row of weights][of the pair].
    fn pick_panel(w: *const u8, pairs: *const [*const u8; 2], n: usize, at: usize, to: *mut [v128; SUMS]);
}

// Locals: 0 weights, 1 addresses of a pair, 2 pairs, 3 bytes to their vectors, 4 sums; 5 and 6 a pair; then vectors: 7
// and 8 digits of the pair, 9 to 20 sums, 21 to 236 weights.
macro_rules! six {
    ($text:expr) => {
        concat!($text, $text, $text, $text, $text, $text)
    };
}

global_asm!(
    concat!(
        r"
	.altmacro

	.macro pick_load zfrom, zat, zto
	local.get \zfrom
	v128.load \zat:p2align=0
	local.set \zto
	.endm

	.macro pick_store zs, zat
	local.get 4
	local.get \zs
	v128.store \zat
	.endm

	.macro pick_row zat, zto
	local.get 1
	i32.load \zat
	local.get 3
	i32.add
	local.set \zto
	.endm

	.macro pick_dot zw, zx, zsum
	local.get \zw
	local.get \zx
	local.get \zsum
	i32x4.relaxed_dot_i8x16_i7x16_add_s
	local.set \zsum
	.endm

	# The weights of zfrom, and the next ones, with a vector of both rows.
	.macro pick_step zfrom, zat
	pick_load 5, \zat, 7
	pick_load 6, \zat, 8
	.irp zk, 0, 1, 2, 3, 4, 5
	pick_dot %(\zfrom+\zk), 7, %(9+2*\zk)
	pick_dot %(\zfrom+\zk), 8, %(10+2*\zk)
	.endr
	.endm

	.macro pick_steps zfirst
	.irp zstep, 0, 1, 2, 3, 4, 5
	pick_step %(21+6*(\zfirst+\zstep)), %(16*(\zfirst+\zstep))
	.endr
	.endm

	.macro pick_weights zfirst
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
	pick_load 0, %(16*(\zfirst+\zk)), %(21+\zfirst+\zk)
	.endr
	.endm

	.globl pick_panel
	.type pick_panel,@function
pick_panel:
	.functype pick_panel (i32, i32, i32, i32, i32) -> ()
	.local i32, i32, v128, v128, ",
        six!("v128, v128, "),
        six!(six!(six!("v128, "))),
        r"v128
	.irp zfirst, 0, 18, 36, 54, 72, 90, 108, 126, 144, 162, 180, 198
	pick_weights \zfirst
	.endr
	loop
	pick_row 0, 5
	pick_row 4, 6
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	pick_load 4, %(16*\zk), %(9+\zk)
	.endr
	.irp zfirst, 0, 6, 12, 18, 24, 30
	pick_steps \zfirst
	.endr
	.irp zk, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	pick_store %(9+\zk), %(16*\zk)
	.endr
	local.get 1
	i32.const 8
	i32.add
	local.set 1
	local.get 4
	i32.const 192
	i32.add
	local.set 4
	local.get 2
	i32.const -1
	i32.add
	local.tee 2
	br_if 0
	end_loop
	end_function

	.irp zname, load, store, row, dot, step, steps, weights
	.purgem pick_\zname
	.endr
	.noaltmacro
",
    ),
    options(raw)
);
