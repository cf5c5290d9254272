//! The inner loop of the float32 path for many rows: eight output rows by one to five input rows, as WebAssembly text.
//!
//! A vector holds one lane of `dot.rs`'s sums for four output rows: it is multiplied with one number of an input row,
//! which one instruction brings from a vector of those of four input rows into all lanes; the fifth row's numbers are
//! loaded one by one. So there are four loads for ten multiply-adds; a load is four instructions, as V8 takes its
//! offset from the end of the memory and compares its address with that: each half of the output rows has an address,
//! and the inputs, so that three loads have one offset and V8 takes it off once. Ten sums under way also hide the
//! latency of a multiply-add, which eight just do where nothing else is late.
//!
//! Written out because the order of instructions decides whether the sums stay in registers. LLVM would move a block's
//! multiply-adds to where their sum is used, and all loads before them, where V8 has 15 registers. In this order 14 are
//! in use; the sums over blocks are what V8 puts on the stack.

use core::arch::global_asm;

unsafe extern "C" {
    /// Adds the products of `n` (at least 1) blocks to the sums of eight output rows and five input rows.
    ///
    /// - `w`: `[lane][half of the rows][block][vector][row]` weights.
    /// - `scales`: `[block][row]`; not read by those without scales.
    /// - `sums`: `[lane][input row][row]`, of four input rows for those that multiply fewer too.
    /// - `x`: `[lane][block]`, each `[vector][input row]` of four input rows, for those that multiply fewer too, and
    ///   for five `[vector]` of the fifth one after that.
    pub fn tile_scaled_5(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const f32);
    pub fn tile_scaled_4(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const f32);
    pub fn tile_scaled_3(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const f32);
    pub fn tile_scaled_2(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const f32);
    pub fn tile_scaled_1(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const f32);
    pub fn tile_plain_5(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const f32);
    pub fn tile_plain_4(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const f32);
    pub fn tile_plain_3(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const f32);
    pub fn tile_plain_2(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const f32);
    pub fn tile_plain_1(n: usize, w: *const f32, scales: *const f32, sums: *mut f32, x: *const f32);
}

// Locals: 0 n, 1 w, 2 scales, 3 sums, 4 x, 5 blocks left, 6 lanes left; then vectors: 7 and 8 weights (scales, at the
// end), 9 inputs, 10 one of them in all lanes, 11 to 20 sums of the block, 21 to 30 sums; then 31 the second half's
// weights, 32 the numbers that are loaded one by one, and 33 the bytes of a half's weights.

/// Text for tiles of at least so many input rows.
macro_rules! from {
    (2, 1, $($text:tt)*) => { "" };
    (3, 1, $($text:tt)*) => { "" };
    (3, 2, $($text:tt)*) => { "" };
    (4, 1, $($text:tt)*) => { "" };
    (4, 2, $($text:tt)*) => { "" };
    (4, 3, $($text:tt)*) => { "" };
    (5, 1, $($text:tt)*) => { "" };
    (5, 2, $($text:tt)*) => { "" };
    (5, 3, $($text:tt)*) => { "" };
    (5, 4, $($text:tt)*) => { "" };
    ($least:tt, $n:tt, $($text:tt)*) => { concat!($($text)*) };
}

/// Text for five input rows, or for fewer.
macro_rules! five {
    (5, $five:literal, $fewer:literal) => { $five };
    ($n:tt, $five:literal, $fewer:literal) => { $fewer };
}

/// Multiplies local 10, an input in all lanes, with both weights; adds that to the block's sums but for the first one.
macro_rules! multiply {
    ($t:literal, $u:literal, "first") => {
        concat!(
            "local.get 10\n local.get 7\n f32x4.mul\n local.set ", $t, "\n",
            "local.get 8\n local.get 10\n f32x4.mul\n local.set ", $u, "\n",
        )
    };
    ($t:literal, $u:literal, "next") => {
        concat!(
            "local.get 7\n local.get 10\n local.get ", $t, "\n f32x4.relaxed_madd\n local.set ", $t, "\n",
            "local.get 8\n local.get 10\n local.get ", $u, "\n f32x4.relaxed_madd\n local.set ", $u, "\n",
        )
    };
}

/// Brings lane `$bytes` of the inputs into all lanes, and multiplies it.
macro_rules! input {
    ($bytes:literal, $t:literal, $u:literal, $op:tt) => {
        concat!(
            "local.get 9\n local.get 9\n i8x16.shuffle ", $bytes, ", ", $bytes, ", ", $bytes, ", ", $bytes, "\n",
            "local.set 10\n", multiply!($t, $u, $op),
        )
    };
}

/// The fourth input row's number: of four rows loaded, so that shuffles leave time to a port that they share with
/// multiply-adds; of five by a shuffle, as there the fifth one's is loaded.
macro_rules! fourth {
    (5, $op:tt) => { input!("12, 13, 14, 15", 17, 18, $op) };
    (4, $op:tt) => { concat!(single!("16"), multiply!(17, 18, $op)) };
    ($n:tt, $op:tt) => { "" };
}

/// Loads one number into all lanes; the next one is so many bytes after it.
macro_rules! single {
    ($bytes:literal) => { concat!("local.get 32\n v128.load32_splat 0\n local.set 10\n", advance!(32, $bytes)) };
}

/// One vector of the weights of each half times one number of all input rows, all at `$at`.
/// Inputs are loaded first, which gains 1%.
macro_rules! step {
    ($n:tt, $at:literal, $op:tt) => {
        concat!(
            "local.get 4\n v128.load ", $at, "\n local.set 9\n",
            "local.get 1\n v128.load ", $at, "\n local.set 7\n",
            "local.get 31\n v128.load ", $at, "\n local.set 8\n",
            input!("0, 1, 2, 3", 11, 12, $op),
            from!(2, $n, input!("4, 5, 6, 7", 13, 14, $op)),
            from!(3, $n, input!("8, 9, 10, 11", 15, 16, $op)),
            fourth!($n, $op),
            from!(5, $n, single!("4"), multiply!(19, 20, $op)),
        )
    };
}

/// Adds a block's sums `$t` and `$u` to the sums `$s` and `$r`.
macro_rules! add {
    ("scaled", $t:literal, $u:literal, $s:literal, $r:literal) => {
        concat!(
            "local.get ", $t, "\n local.get 7\n local.get ", $s, "\n f32x4.relaxed_madd\n local.set ", $s, "\n",
            "local.get ", $u, "\n local.get 8\n local.get ", $r, "\n f32x4.relaxed_madd\n local.set ", $r, "\n",
        )
    };
    ("plain", $t:literal, $u:literal, $s:literal, $r:literal) => {
        concat!(
            "local.get ", $s, "\n local.get ", $t, "\n f32x4.add\n local.set ", $s, "\n",
            "local.get ", $r, "\n local.get ", $u, "\n f32x4.add\n local.set ", $r, "\n",
        )
    };
}

/// Loads the scales, if there are any.
macro_rules! scales {
    ("scaled") => {
        "local.get 2\n v128.load 0\n local.set 7\n local.get 2\n v128.load 16\n local.set 8\n"
    };
    ("plain") => { "" };
}

/// Moves an address.
macro_rules! advance {
    ($local:literal, $bytes:expr) => {
        concat!("local.get ", $local, "\n i32.const ", $bytes, "\n i32.add\n local.set ", $local, "\n")
    };
}

/// Counts down, and goes on with the loop until nothing is left.
macro_rules! again {
    ($local:literal) => {
        concat!("local.get ", $local, "\n i32.const -1\n i32.add\n local.tee ", $local, "\n br_if 0\n end_loop\n")
    };
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
            ".functype ", $name, " (i32, i32, i32, i32, i32) -> ()\n",
            ".local i32, i32, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, i32, i32, i32\n",
            "i32.const 4\n local.set 6\n",
            "local.get 0\n i32.const 7\n i32.shl\n local.set 33\n",
            "local.get 4\n i32.const ", five!($n, "128", "12"), "\n i32.add\n local.set 32\n",
            "loop\n",
            "local.get 0\n local.set 5\n",
            "local.get 1\n local.get 33\n i32.add\n local.set 31\n",
            load!(0, 21), load!(16, 22), from!(2, $n, load!(32, 23), load!(48, 24)),
            from!(3, $n, load!(64, 25), load!(80, 26)), from!(4, $n, load!(96, 27), load!(112, 28)),
            from!(5, $n, load!(128, 29), load!(144, 30)),
            "loop\n",
            step!($n, 0, "first"), step!($n, 16, "next"), step!($n, 32, "next"), step!($n, 48, "next"),
            step!($n, 64, "next"), step!($n, 80, "next"), step!($n, 96, "next"), step!($n, 112, "next"),
            scales!($kind),
            add!($kind, 11, 12, 21, 22), from!(2, $n, add!($kind, 13, 14, 23, 24)),
            from!(3, $n, add!($kind, 15, 16, 25, 26)), from!(4, $n, add!($kind, 17, 18, 27, 28)),
            from!(5, $n, add!($kind, 19, 20, 29, 30)),
            advance!(1, "128"), advance!(31, "128"), advance!(2, "32"),
            advance!(4, five!($n, "160", "128")), from!(5, $n, advance!(32, "128")),
            again!(5),
            store!(0, 21), store!(16, 22), from!(2, $n, store!(32, 23), store!(48, 24)),
            from!(3, $n, store!(64, 25), store!(80, 26)), from!(4, $n, store!(96, 27), store!(112, 28)),
            from!(5, $n, store!(128, 29), store!(144, 30)),
            advance!(3, five!($n, "160", "128")),
            "local.get 31\n local.set 1\n",
            // The next lane has the same scales.
            "local.get 2\n local.get 0\n i32.const 5\n i32.shl\n i32.sub\n local.set 2\n",
            again!(6),
            "end_function\n",
        ));
    };
}

function!("tile_scaled_5", "scaled", 5);
function!("tile_scaled_4", "scaled", 4);
function!("tile_scaled_3", "scaled", 3);
function!("tile_scaled_2", "scaled", 2);
function!("tile_scaled_1", "scaled", 1);
function!("tile_plain_5", "plain", 5);
function!("tile_plain_4", "plain", 4);
function!("tile_plain_3", "plain", 3);
function!("tile_plain_2", "plain", 2);
function!("tile_plain_1", "plain", 1);
