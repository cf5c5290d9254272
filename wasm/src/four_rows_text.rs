//! The loops of `four_rows.rs` as text.

use core::arch::global_asm;

// Locals: 0 n, 1 rows, 2 constants; 3 to 6 weights, 7 to 10 scale bytes, 11 scales, 12 x; then vectors: 13 to 24
// constants, 25 to 28 inputs, 29 to 32 sums of a block, 33 to 36 sums, 37 the largest codes; 38 codes, 39 magnitudes,
// 40 low bytes, 41 high bytes, 42 bfloat16s. Of MXFP4: 16 to 19 more inputs, 39 codes, 42 and 43 the bytes of odd
// codes, 44 and 45 bfloat16s.

/// Sixteen codes of the row at `$w`, in 38.
macro_rules! codes {
    ("fp8", $w:literal, 0) => { concat!("local.get ", $w, "\n v128.load 0:p2align=0\n local.set 38\n") };
    ("fp8", $w:literal, 1) => { concat!("local.get ", $w, "\n v128.load 16:p2align=0\n local.set 38\n") };
    // The second load starts 8 bytes in, not 12, so as not to read beyond the block.
    ($kind:literal, $w:literal, 0) => { codes!($w, 0, 20) };
    ($kind:literal, $w:literal, 1) => { codes!($w, 8, 21) };
    ($w:literal, $at:literal, $pairs:literal) => {
        concat!(
            "local.get ", $w, "\n v128.load ", $at, ":p2align=0\n",
            // Relaxed: the indices are below 16, where all machines agree.
            "local.get ", $pairs, "\n i8x16.relaxed_swizzle\n local.get 22\n i16x8.mul\n local.tee 38\n",
            "i32.const 4\n i16x8.shr_u\n local.get 23\n v128.and\n",
            "local.get 38\n i32.const 2\n i16x8.shr_u\n local.get 24\n v128.and\n v128.or\n local.set 38\n",
        )
    };
}

/// Adds the product of the vector on the stack and input `$x` to `$t`, which is 0 before the first.
macro_rules! add {
    ($x:literal, $t:literal) => {
        concat!("local.get ", $x, "\n local.get ", $t, "\n f32x4.relaxed_madd\n local.set ", $t, "\n")
    };
}

/// Eight bfloat16s whose bytes are interleaved by `$shuffle` (of 40 and 41), times two inputs.
macro_rules! eight {
    ($shuffle:literal, $even:literal, $odd:literal, $t:literal) => {
        concat!(
            "local.get 40\n local.get 41\n i8x16.shuffle ", $shuffle, "\n local.tee 42\n i32.const 16\n i32x4.shl\n",
            add!($even, $t), "local.get 42\n local.get 19\n v128.and\n", add!($odd, $t),
        )
    };
}

/// FP8's codes without their sign are remembered, so that a NaN is found in the end.
macro_rules! remember {
    ("fp8") => { "local.get 39\n local.get 37\n i8x16.max_u\n local.set 37\n" };
    ($kind:literal) => { "" };
}

/// Sixteen columns of the row at `$w`, `$half` of a block.
macro_rules! sixteen {
    ($kind:tt, $shl:literal, $shr:literal, $w:literal, $half:tt, $t:literal) => {
        concat!(
            codes!($kind, $w, $half),
            "local.get 38\n local.get 13\n v128.and\n local.set 39\n",
            remember!($kind),
            "local.get 38\n i32.const ", $shl, "\n i16x8.shl\n local.get 14\n v128.and\n",
            "local.get 17\n local.get 39\n i8x16.swizzle\n v128.xor\n local.set 40\n",
            "local.get 16\n local.get 38\n i32.const ", $shr, "\n i16x8.shr_u\n local.get 15\n v128.and\n",
            "i8x16.relaxed_swizzle\n local.get 18\n local.get 39\n i8x16.swizzle\n v128.xor\n local.set 41\n",
            eight!("0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23", 25, 26, $t),
            eight!("8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31", 27, 28, $t),
        )
    };
}

/// The input's vectors of half a block.
macro_rules! inputs {
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "local.get 12\n v128.load ", $a, "\n local.set 25\n local.get 12\n v128.load ", $b, "\n local.set 26\n",
            "local.get 12\n v128.load ", $c, "\n local.set 27\n local.get 12\n v128.load ", $d, "\n local.set 28\n",
        )
    };
}

/// Sums of the block are nothing.
macro_rules! clear {
    ($t:literal) => { concat!("v128.const 0, 0, 0, 0\n local.set ", $t, "\n") };
}

/// Four codes of MXFP4 as float32: bfloat16s of `$v` behind zeros, in the order of `$shuffle`.
macro_rules! four {
    ("first", $v:literal, $x:literal, $t:literal) => {
        four!("0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23", $v, $x, $t, "")
    };
    ("last", $v:literal, $x:literal, $t:literal) => {
        four!("8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31", $v, $x, $t, "")
    };
    ($shuffle:literal, $v:literal, $x:literal, $t:literal, "") => {
        concat!("local.get 24\n local.get ", $v, "\n i8x16.shuffle ", $shuffle, "\n", add!($x, $t))
    };
}

/// A block of MXFP4 of the row at `$w`; bytes of even codes in 40 and 41, of odd codes in 42 and 43.
macro_rules! nibbles {
    ($w:literal, $t:literal) => {
        concat!(
            "local.get ", $w, "\n v128.load 0:p2align=0\n local.tee 38\n local.get 13\n v128.and\n local.set 39\n",
            // Relaxed: the indices are below 16, where all machines agree.
            "local.get 14\n local.get 39\n i8x16.relaxed_swizzle\n local.set 40\n",
            "local.get 15\n local.get 39\n i8x16.relaxed_swizzle\n local.set 41\n",
            "local.get 38\n i32.const 4\n i16x8.shr_u\n local.get 13\n v128.and\n local.set 39\n",
            "local.get 14\n local.get 39\n i8x16.relaxed_swizzle\n local.set 42\n",
            "local.get 15\n local.get 39\n i8x16.relaxed_swizzle\n local.set 43\n",
            "local.get 40\n local.get 41\n i8x16.shuffle 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23\n",
            "local.set 44\n",
            "local.get 42\n local.get 43\n i8x16.shuffle 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23\n",
            "local.set 45\n",
            clear!($t),
            four!("first", 44, 25, $t), four!("first", 45, 26, $t),
            four!("last", 44, 27, $t), four!("last", 45, 28, $t),
            "local.get 40\n local.get 41\n",
            "i8x16.shuffle 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31\n local.set 44\n",
            "local.get 42\n local.get 43\n",
            "i8x16.shuffle 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31\n local.set 45\n",
            four!("first", 44, 16, $t), four!("first", 45, 17, $t),
            four!("last", 44, 18, $t), four!("last", 45, 19, $t),
        )
    };
}

/// Adds the sum of a block to that of its row, after its scale, if it has one.
macro_rules! finish {
    ("fp8", $b:literal, $t:literal, $s:literal) => {
        concat!("local.get ", $s, "\n local.get ", $t, "\n f32x4.add\n local.set ", $s, "\n")
    };
    ($kind:literal, $b:literal, $t:literal, $s:literal) => {
        concat!(
            "local.get ", $t, "\n local.get ", $b, "\n i32.load8_u 0\n i32.const 2\n i32.shl\n",
            "local.get 11\n i32.add\n",
            "v128.load32_splat 0:p2align=0\n local.get ", $s, "\n f32x4.relaxed_madd\n local.set ", $s, "\n",
            advance!($b, 1),
        )
    };
}

/// Moves an address.
macro_rules! advance {
    ($local:literal, $bytes:literal) => {
        concat!("local.get ", $local, "\n i32.const ", $bytes, "\n i32.add\n local.set ", $local, "\n")
    };
}

/// Products of a block of all rows.
macro_rules! block {
    ("fp4", $shl:literal, $shr:literal) => {
        concat!(
            inputs!(0, 16, 32, 48),
            "local.get 12\n v128.load 64\n local.set 16\n local.get 12\n v128.load 80\n local.set 17\n",
            "local.get 12\n v128.load 96\n local.set 18\n local.get 12\n v128.load 112\n local.set 19\n",
            nibbles!(3, 29), finish!("fp4", 7, 29, 33), nibbles!(4, 29), finish!("fp4", 8, 29, 34),
            nibbles!(5, 29), finish!("fp4", 9, 29, 35), nibbles!(6, 29), finish!("fp4", 10, 29, 36),
        )
    };
    ($kind:tt, $shl:literal, $shr:literal) => {
        concat!(
            inputs!(0, 16, 32, 48),
            clear!(29), clear!(30), clear!(31), clear!(32),
            sixteen!($kind, $shl, $shr, 3, 0, 29), sixteen!($kind, $shl, $shr, 4, 0, 30),
            sixteen!($kind, $shl, $shr, 5, 0, 31), sixteen!($kind, $shl, $shr, 6, 0, 32),
            inputs!(64, 80, 96, 112),
            sixteen!($kind, $shl, $shr, 3, 1, 29), sixteen!($kind, $shl, $shr, 4, 1, 30),
            sixteen!($kind, $shl, $shr, 5, 1, 31), sixteen!($kind, $shl, $shr, 6, 1, 32),
            finish!($kind, 7, 29, 33), finish!($kind, 8, 30, 34),
            finish!($kind, 9, 31, 35), finish!($kind, 10, 32, 36),
        )
    };
}

/// Loads of what the descriptor holds, and of constants.
macro_rules! get {
    ($from:literal, $type:literal, $($at:literal, $local:literal),*) => {
        concat!($("local.get ", $from, "\n ", $type, ".load ", $at, "\n local.set ", $local, "\n"),*)
    };
}

macro_rules! function {
    ($name:literal, $kind:tt, $bytes:literal, $shl:literal, $shr:literal) => {
        global_asm!(concat!(
            ".globl ", $name, "\n .type ", $name, ",@function\n", $name, ":\n",
            ".functype ", $name, " (i32, i32, i32) -> ()\n",
            ".local i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128\n",
            get!(1, "i32", 80, 3, 84, 4, 88, 5, 92, 6, 96, 7, 100, 8, 104, 9, 108, 10, 112, 11, 116, 12),
            get!(2, "v128", 0, 13, 16, 14, 32, 15, 48, 16, 64, 17, 80, 18, 96, 19, 112, 20, 128, 21, 144, 22, 160, 23),
            get!(2, "v128", 176, 24), get!(1, "v128", 0, 33, 16, 34, 32, 35, 48, 36, 64, 37),
            "loop\n",
            block!($kind, $shl, $shr),
            advance!(3, $bytes), advance!(4, $bytes), advance!(5, $bytes), advance!(6, $bytes), advance!(12, 128),
            "local.get 0\n i32.const -1\n i32.add\n local.tee 0\n br_if 0\n end_loop\n",
            "local.get 1\n local.get 33\n v128.store 0\n local.get 1\n local.get 34\n v128.store 16\n",
            "local.get 1\n local.get 35\n v128.store 32\n local.get 1\n local.get 36\n v128.store 48\n",
            "local.get 1\n local.get 37\n v128.store 64\n",
            "end_function\n",
        ));
    };
}

function!("four_rows_fp8", "fp8", 32, 4, 4);
function!("four_rows_e3m2", "e3m2", 24, 5, 3);
function!("four_rows_e2m3", "e2m3", 24, 4, 4);
function!("four_rows_fp4", "fp4", 16, 0, 0);
