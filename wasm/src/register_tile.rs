//! The inner loop of the float32 path for many rows: two output rows by five input rows, as WebAssembly text.
//!
//! Written out because the order of instructions decides whether the ten sums stay in registers. LLVM would move a
//! block's multiply-adds to where their sum is used, and all loads before them: 26 vectors at once, where V8 has 15
//! registers. In this order there are 13; the sums over blocks are what V8 puts on the stack.

use core::arch::global_asm;

unsafe extern "C" {
    /// Adds the products of `count` (at least 1) blocks to the sums of two output rows and five input rows.
    ///
    /// - `w`: `[block][vector][row]` weights.
    /// - `scales`: `[block][row]`.
    /// - `sums`: that of row i and input row n lies at n * 8 + i.
    pub fn register_tile_scaled(
        count: usize,
        w: *const f32,
        scales: *const f32,
        sums: *mut f32,
        x0: *const f32,
        x1: *const f32,
        x2: *const f32,
        x3: *const f32,
        x4: *const f32,
    );
    /// The same without scales.
    pub fn register_tile_plain(
        count: usize,
        w: *const f32,
        scales: *const f32,
        sums: *mut f32,
        x0: *const f32,
        x1: *const f32,
        x2: *const f32,
        x3: *const f32,
        x4: *const f32,
    );
}

// Locals: 0 count, 1 w, 2 scales, 3 sums, 4..9 x; then vectors: 9 and 10 weights, 11 input (scale, at the end), 12..22
// sums of the block, 22..32 sums.

/// Loads the input vector at `$offset` of row `$x`, and does `$op` with both weights and the block's sums `$t`, `$u`.
macro_rules! input {
    ($x:literal, $offset:literal, $t:literal, $u:literal, "first") => {
        concat!(
            "local.get ",
            $x,
            "\nv128.load ",
            $offset,
            ":p2align=0\nlocal.tee 11\n",
            "local.get 9\nf32x4.mul\nlocal.set ",
            $t,
            "\n",
            "local.get 10\nlocal.get 11\nf32x4.mul\nlocal.set ",
            $u,
            "\n",
        )
    };
    ($x:literal, $offset:literal, $t:literal, $u:literal, "next") => {
        concat!(
            "local.get 9\nlocal.get ",
            $x,
            "\nv128.load ",
            $offset,
            ":p2align=0\nlocal.tee 11\n",
            "local.get ",
            $t,
            "\nf32x4.relaxed_madd\nlocal.set ",
            $t,
            "\n",
            "local.get 10\nlocal.get 11\nlocal.get ",
            $u,
            "\nf32x4.relaxed_madd\nlocal.set ",
            $u,
            "\n",
        )
    };
}

/// One vector of both output rows, at offsets `$w` and `$v`, times that of all input rows, at `$x`.
macro_rules! step {
    ($w:literal, $v:literal, $x:literal, $op:tt) => {
        concat!(
            "local.get 1\nv128.load ",
            $w,
            ":p2align=0\nlocal.set 9\n",
            "local.get 1\nv128.load ",
            $v,
            ":p2align=0\nlocal.set 10\n",
            input!(4, $x, 12, 13, $op),
            input!(5, $x, 14, 15, $op),
            input!(6, $x, 16, 17, $op),
            input!(7, $x, 18, 19, $op),
            input!(8, $x, 20, 21, $op),
        )
    };
}

/// Adds a block's sum `$t` to the sum `$s`.
macro_rules! add {
    ("scaled", $t:literal, $s:literal) => {
        concat!("local.get ", $t, "\nlocal.get 11\nlocal.get ", $s, "\nf32x4.relaxed_madd\nlocal.set ", $s, "\n")
    };
    ("plain", $t:literal, $s:literal) => {
        concat!("local.get ", $s, "\nlocal.get ", $t, "\nf32x4.add\nlocal.set ", $s, "\n")
    };
}

/// Loads the scale at `$offset`, if there are any.
macro_rules! scale {
    ("scaled", $offset:literal) => {
        concat!("local.get 2\nv128.load32_splat ", $offset, ":p2align=0\nlocal.set 11\n")
    };
    ("plain", $offset:literal) => {
        ""
    };
}

/// Moves an address.
macro_rules! advance {
    ($local:literal, $bytes:literal) => {
        concat!("local.get ", $local, "\ni32.const ", $bytes, "\ni32.add\nlocal.set ", $local, "\n")
    };
}

macro_rules! load {
    ($offset:literal, $s:literal) => {
        concat!("local.get 3\nv128.load ", $offset, "\nlocal.set ", $s, "\n")
    };
}

macro_rules! store {
    ($offset:literal, $s:literal) => {
        concat!("local.get 3\nlocal.get ", $s, "\nv128.store ", $offset, "\n")
    };
}

macro_rules! function {
    ($name:literal, $kind:tt) => {
        global_asm!(concat!(
            ".globl ",
            $name,
            "\n.type ",
            $name,
            ",@function\n",
            $name,
            ":\n",
            ".functype ",
            $name,
            " (i32, i32, i32, i32, i32, i32, i32, i32, i32) -> ()\n",
            ".local v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128\n",
            load!(0, 22),
            load!(16, 23),
            load!(128, 24),
            load!(144, 25),
            load!(256, 26),
            load!(272, 27),
            load!(384, 28),
            load!(400, 29),
            load!(512, 30),
            load!(528, 31),
            "loop\n",
            step!(0, 16, 0, "first"),
            step!(32, 48, 16, "next"),
            step!(64, 80, 32, "next"),
            step!(96, 112, 48, "next"),
            step!(128, 144, 64, "next"),
            step!(160, 176, 80, "next"),
            step!(192, 208, 96, "next"),
            step!(224, 240, 112, "next"),
            scale!($kind, 0),
            add!($kind, 12, 22),
            add!($kind, 14, 24),
            add!($kind, 16, 26),
            add!($kind, 18, 28),
            add!($kind, 20, 30),
            scale!($kind, 4),
            add!($kind, 13, 23),
            add!($kind, 15, 25),
            add!($kind, 17, 27),
            add!($kind, 19, 29),
            add!($kind, 21, 31),
            advance!(1, 256),
            advance!(2, 8),
            advance!(4, 128),
            advance!(5, 128),
            advance!(6, 128),
            advance!(7, 128),
            advance!(8, 128),
            "local.get 0\ni32.const -1\ni32.add\nlocal.tee 0\nbr_if 0\nend_loop\n",
            store!(0, 22),
            store!(16, 23),
            store!(128, 24),
            store!(144, 25),
            store!(256, 26),
            store!(272, 27),
            store!(384, 28),
            store!(400, 29),
            store!(512, 30),
            store!(528, 31),
            "end_function\n",
        ));
    };
}

function!("register_tile_scaled", "scaled");
function!("register_tile_plain", "plain");
