//! The inner loop of the float32 path for many rows: two output rows by five or four input rows, as WebAssembly text.
//!
//! Written out because the order of instructions decides whether the ten sums stay in registers. LLVM would move a
//! block's multiply-adds to where their sum is used, and all loads before them: 26 vectors at once, where V8 has 15
//! registers. In this order there are 13; the sums over blocks are what V8 puts on the stack.

use core::arch::global_asm;

unsafe extern "C" {
    /// Adds the products of `n` (at least 1) blocks to the sums of two output rows and five input rows.
    ///
    /// - `w`: `[block][vector][row]` weights.
    /// - `scales`: `[block][row]`; not read by those without scales.
    /// - `sums`: that of row i and input row m lies at m * 8 + i.
    /// - `x`: addresses of the input rows; `offset` bytes after them are the first columns.
    pub fn tile_scaled_5(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const u32, offset: usize);
    pub fn tile_scaled_4(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const u32, offset: usize);
    pub fn tile_plain_5(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const u32, offset: usize);
    pub fn tile_plain_4(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const u32, offset: usize);
}

// Locals: 0 n, 1 w, 2 scales, 3 sums; 4 to 8 input rows (4 is x at first, 5 offset); then vectors: 9 and 10 weights,
// 11 input (scale, at the end), 12 to 21 sums of the block, 22 to 31 sums.

/// What only tiles of five have.
macro_rules! fifth {
    (5, $($text:tt)*) => { $($text)* };
    (4, $($text:tt)*) => { "" };
}

/// Loads the input vector at `$at` of row `$x`, and does `$op` with both weights and the block's sums `$t` and `$u`.
macro_rules! input {
    ($x:literal, $at:literal, $t:literal, $u:literal, "first") => {
        concat!(
            "local.get ", $x, "\n v128.load ", $at, ":p2align=0\n local.tee 11\n",
            "local.get 9\n f32x4.mul\n local.set ", $t, "\n",
            "local.get 10\n local.get 11\n f32x4.mul\n local.set ", $u, "\n",
        )
    };
    ($x:literal, $at:literal, $t:literal, $u:literal, "next") => {
        concat!(
            "local.get 9\n local.get ", $x, "\n v128.load ", $at, ":p2align=0\n local.tee 11\n",
            "local.get ", $t, "\n f32x4.relaxed_madd\n local.set ", $t, "\n",
            "local.get 10\n local.get 11\n local.get ", $u, "\n f32x4.relaxed_madd\n local.set ", $u, "\n",
        )
    };
}

/// One vector of both output rows, at `$w` and `$v`, times those of all input rows, at `$x`.
macro_rules! step {
    ($n:tt, $w:literal, $v:literal, $x:literal, $op:tt) => {
        concat!(
            "local.get 1\n v128.load ", $w, ":p2align=0\n local.set 9\n",
            "local.get 1\n v128.load ", $v, ":p2align=0\n local.set 10\n",
            input!(4, $x, 12, 13, $op),
            input!(5, $x, 14, 15, $op),
            input!(6, $x, 16, 17, $op),
            input!(7, $x, 18, 19, $op),
            fifth!($n, input!(8, $x, 20, 21, $op)),
        )
    };
}

/// Adds a block's sum `$t` to the sum `$s`.
macro_rules! add {
    ("scaled", $t:literal, $s:literal) => {
        concat!("local.get ", $t, "\n local.get 11\n local.get ", $s, "\n f32x4.relaxed_madd\n local.set ", $s, "\n")
    };
    ("plain", $t:literal, $s:literal) => {
        concat!("local.get ", $s, "\n local.get ", $t, "\n f32x4.add\n local.set ", $s, "\n")
    };
}

/// Loads the scale at `$at`, if there are any.
macro_rules! scale {
    ("scaled", $at:literal) => { concat!("local.get 2\n v128.load32_splat ", $at, ":p2align=0\n local.set 11\n") };
    ("plain", $at:literal) => { "" };
}

/// Moves an address.
macro_rules! advance {
    ($local:literal, $bytes:literal) => {
        concat!("local.get ", $local, "\n i32.const ", $bytes, "\n i32.add\n local.set ", $local, "\n")
    };
}

/// The address at `$at` of the list of input rows, plus the offset in them, on the stack.
macro_rules! address {
    ($at:literal) => { concat!("local.get 4\n i32.load ", $at, "\n local.get 5\n i32.add\n") };
}

macro_rules! load {
    ($at:literal, $s:literal) => { concat!("local.get 3\n v128.load ", $at, "\n local.set ", $s, "\n") };
}

macro_rules! store {
    ($at:literal, $s:literal) => { concat!("local.get 3\n local.get ", $s, "\n v128.store ", $at, "\n") };
}

macro_rules! function {
    ($name:literal, $kind:tt, $n:tt) => {
        global_asm!(concat!(
            ".globl ", $name, "\n .type ", $name, ",@function\n", $name, ":\n",
            ".functype ", $name, " (i32, i32, i32, i32, i32, i32) -> ()\n",
            ".local i32, i32, i32, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128\n",
            // The last two take the places of what they are made of.
            fifth!($n, concat!(address!(16), "local.set 8\n")),
            address!(12), "local.set 7\n", address!(8), "local.set 6\n",
            address!(4), address!(0), "local.set 4\n local.set 5\n",
            load!(0, 22), load!(16, 23), load!(128, 24), load!(144, 25), load!(256, 26), load!(272, 27),
            load!(384, 28), load!(400, 29), fifth!($n, concat!(load!(512, 30), load!(528, 31))),
            "loop\n",
            step!($n, 0, 16, 0, "first"), step!($n, 32, 48, 16, "next"),
            step!($n, 64, 80, 32, "next"), step!($n, 96, 112, 48, "next"),
            step!($n, 128, 144, 64, "next"), step!($n, 160, 176, 80, "next"),
            step!($n, 192, 208, 96, "next"), step!($n, 224, 240, 112, "next"),
            scale!($kind, 0),
            add!($kind, 12, 22), add!($kind, 14, 24), add!($kind, 16, 26), add!($kind, 18, 28),
            fifth!($n, add!($kind, 20, 30)),
            scale!($kind, 4),
            add!($kind, 13, 23), add!($kind, 15, 25), add!($kind, 17, 27), add!($kind, 19, 29),
            fifth!($n, add!($kind, 21, 31)),
            advance!(1, 256), advance!(2, 8),
            advance!(4, 128), advance!(5, 128), advance!(6, 128), advance!(7, 128), fifth!($n, advance!(8, 128)),
            "local.get 0\n i32.const -1\n i32.add\n local.tee 0\n br_if 0\n end_loop\n",
            store!(0, 22), store!(16, 23), store!(128, 24), store!(144, 25), store!(256, 26), store!(272, 27),
            store!(384, 28), store!(400, 29), fifth!($n, concat!(store!(512, 30), store!(528, 31))),
            "end_function\n",
        ));
    };
}

function!("tile_scaled_5", "scaled", 5);
function!("tile_scaled_4", "scaled", 4);
function!("tile_plain_5", "plain", 5);
function!("tile_plain_4", "plain", 4);
