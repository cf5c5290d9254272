//! The loops of `few_floats.rs` as text.

use core::arch::global_asm;

// Locals: 0 n, 1 what is multiplied; 2 and 3 the rows' weights, 4 and 5 their scale bytes, 6 to 11 inputs, 12 scales;
// then vectors: 13 to 16 constants; 17 to 20 bfloat16s of a block of the first row, 21 to 24 of the second one; 25 and
// 26 weights of each, 27 inputs; 28 to 30 codes and their bytes, or stored bfloat16s; 31 to 42 sums of a block, 43 to
// 54 sums.

/// Text for so many input rows at least.
macro_rules! from {
    (3, 2, $($text:tt)*) => { "" };
    (4, 2, $($text:tt)*) => { "" };
    (5, 2, $($text:tt)*) => { "" };
    (6, 2, $($text:tt)*) => { "" };
    (4, 3, $($text:tt)*) => { "" };
    (5, 3, $($text:tt)*) => { "" };
    (6, 3, $($text:tt)*) => { "" };
    (5, 4, $($text:tt)*) => { "" };
    (6, 4, $($text:tt)*) => { "" };
    (6, 5, $($text:tt)*) => { "" };
    ($least:tt, $n:tt, $($text:tt)*) => { concat!($($text)*) };
}

/// Both weights times the vector at `$at` of the input at `$x`.
macro_rules! input {
    ("first", $at:literal, $x:literal, $t:literal, $u:literal) => {
        concat!(
            "local.get ", $x, "\n v128.load ", $at, "\n local.tee 27\n local.get 25\n f32x4.mul\n local.set ", $t, "\n",
            "local.get 27\n local.get 26\n f32x4.mul\n local.set ", $u, "\n",
        )
    };
    ("next", $at:literal, $x:literal, $t:literal, $u:literal) => {
        concat!(
            "local.get ", $x, "\n v128.load ", $at, "\n local.tee 27\n",
            "local.get 25\n local.get ", $t, "\n f32x4.relaxed_madd\n local.set ", $t, "\n",
            "local.get 27\n local.get 26\n local.get ", $u, "\n f32x4.relaxed_madd\n local.set ", $u, "\n",
        )
    };
}

/// A vector of each row times those of all inputs.
macro_rules! step {
    ($n:tt, $op:tt, $at:literal) => {
        concat!(
            input!($op, $at, 6, 31, 32), input!($op, $at, 7, 33, 34),
            from!(3, $n, input!($op, $at, 8, 35, 36)), from!(4, $n, input!($op, $at, 9, 37, 38)),
            from!(5, $n, input!($op, $at, 10, 39, 40)), from!(6, $n, input!($op, $at, 11, 41, 42)),
        )
    };
}

/// Adds the block's sums `$t` and `$u` to the sums `$s` and `$r`; scales are in 25 and 26.
macro_rules! add {
    ("fp4", $t:literal, $u:literal, $s:literal, $r:literal) => {
        concat!(
            "local.get ", $t, "\n local.get 25\n local.get ", $s, "\n f32x4.relaxed_madd\n local.set ", $s, "\n",
            "local.get ", $u, "\n local.get 26\n local.get ", $r, "\n f32x4.relaxed_madd\n local.set ", $r, "\n",
        )
    };
    ("bf16", $t:literal, $u:literal, $s:literal, $r:literal) => {
        concat!(
            "local.get ", $s, "\n local.get ", $t, "\n f32x4.add\n local.set ", $s, "\n",
            "local.get ", $r, "\n local.get ", $u, "\n f32x4.add\n local.set ", $r, "\n",
        )
    };
}

/// Adds all sums of the block.
macro_rules! add_all {
    ($kind:tt, $n:tt) => {
        concat!(
            add!($kind, 31, 32, 43, 44), add!($kind, 33, 34, 45, 46),
            from!(3, $n, add!($kind, 35, 36, 47, 48)), from!(4, $n, add!($kind, 37, 38, 49, 50)),
            from!(5, $n, add!($kind, 39, 40, 51, 52)), from!(6, $n, add!($kind, 41, 42, 53, 54)),
        )
    };
}

/// Moves an address.
macro_rules! advance {
    ($local:literal, $bytes:literal) => {
        concat!("local.get ", $local, "\n i32.const ", $bytes, "\n i32.add\n local.set ", $local, "\n")
    };
}

/// Sixteen codes of MXFP4, in 29, as bfloat16s.
macro_rules! bytes {
    ($first:literal, $last:literal) => {
        concat!(
            // Relaxed: the indices are below 16, where all machines agree.
            "local.get 14\n local.get 29\n i8x16.relaxed_swizzle\n local.tee 30\n",
            "local.get 15\n local.get 29\n i8x16.relaxed_swizzle\n local.tee 29\n",
            "i8x16.shuffle 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23\n local.set ", $first, "\n",
            "local.get 30\n local.get 29\n",
            "i8x16.shuffle 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31\n local.set ", $last, "\n",
        )
    };
}

/// A block of MXFP4 of the row at `$w` as bfloat16s: of even codes, of odd ones, of each the first eight and the last.
macro_rules! nibbles {
    ($w:literal, $even:literal, $odd:literal, $even_last:literal, $odd_last:literal) => {
        concat!(
            "local.get ", $w, "\n v128.load 0:p2align=0\n local.tee 28\n local.get 13\n v128.and\n local.set 29\n",
            bytes!($even, $even_last),
            "local.get 28\n i32.const 4\n i16x8.shr_u\n local.get 13\n v128.and\n local.set 29\n",
            bytes!($odd, $odd_last),
        )
    };
}

/// Four bfloat16s of each row, behind zeros, as float32 in 25 and 26.
macro_rules! widen {
    ("first", $v:literal, $u:literal) => {
        widen!("0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23", $v, $u, "")
    };
    ("last", $v:literal, $u:literal) => {
        widen!("8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31", $v, $u, "")
    };
    ($shuffle:literal, $v:literal, $u:literal, "") => {
        concat!(
            "local.get 16\n local.get ", $v, "\n i8x16.shuffle ", $shuffle, "\n local.set 25\n",
            "local.get 16\n local.get ", $u, "\n i8x16.shuffle ", $shuffle, "\n local.set 26\n",
        )
    };
}

/// The scale of the block whose scale byte is at `$b`.
macro_rules! scale {
    ($b:literal, $to:literal) => {
        concat!(
            "local.get ", $b, "\n i32.load8_u 0\n i32.const 2\n i32.shl\n local.get 12\n i32.add\n",
            "v128.load32_splat 0:p2align=0\n local.set ", $to, "\n",
        )
    };
}

/// Eight bfloat16s of the row at `$w`, in `$v`; the even ones as float32.
macro_rules! even {
    ($w:literal, $at:literal, $v:literal, $to:literal) => {
        concat!(
            "local.get ", $w, "\n v128.load ", $at, ":p2align=0\n local.tee ", $v, "\n",
            "i32.const 16\n i32x4.shl\n local.set ", $to, "\n",
        )
    };
}

/// Sixteen columns of bfloat16s, eight of them after the other.
macro_rules! sixteen {
    ($n:tt, $op:tt, $w:literal, $x:literal, $y:literal) => {
        concat!(
            even!(2, $w, 28, 25), even!(3, $w, 29, 26), step!($n, $op, $x),
            "local.get 28\n local.get 13\n v128.and\n local.set 25\n",
            "local.get 29\n local.get 13\n v128.and\n local.set 26\n", step!($n, "next", $y),
        )
    };
}

/// A block of both rows times that of all inputs.
macro_rules! block {
    ("fp4", $n:tt) => {
        concat!(
            nibbles!(2, 17, 18, 19, 20), nibbles!(3, 21, 22, 23, 24),
            widen!("first", 17, 21), step!($n, "first", 0), widen!("first", 18, 22), step!($n, "next", 16),
            widen!("last", 17, 21), step!($n, "next", 32), widen!("last", 18, 22), step!($n, "next", 48),
            widen!("first", 19, 23), step!($n, "next", 64), widen!("first", 20, 24), step!($n, "next", 80),
            widen!("last", 19, 23), step!($n, "next", 96), widen!("last", 20, 24), step!($n, "next", 112),
            scale!(4, 25), scale!(5, 26), add_all!("fp4", $n),
            advance!(2, 16), advance!(3, 16), advance!(4, 1), advance!(5, 1),
        )
    };
    ("bf16", $n:tt) => {
        concat!(
            sixteen!($n, "first", 0, 0, 16), sixteen!($n, "next", 16, 32, 48),
            sixteen!($n, "next", 32, 64, 80), sixteen!($n, "next", 48, 96, 112),
            add_all!("bf16", $n), advance!(2, 64), advance!(3, 64),
        )
    };
}

/// Loads of what is multiplied.
macro_rules! get {
    ($type:literal, $($at:literal, $local:literal),*) => {
        concat!($("local.get 1\n ", $type, ".load ", $at, "\n local.set ", $local, "\n"),*)
    };
}

/// Stores the sums of an input row.
macro_rules! put {
    ($at:literal, $s:literal, $later:literal, $r:literal) => {
        concat!(
            "local.get 1\n local.get ", $s, "\n v128.store ", $at, "\n",
            "local.get 1\n local.get ", $r, "\n v128.store ", $later, "\n",
        )
    };
}

macro_rules! function {
    ($name:literal, $kind:tt, $n:tt) => {
        global_asm!(concat!(
            ".globl ", $name, "\n .type ", $name, ",@function\n", $name, ":\n",
            ".functype ", $name, " (i32, i32) -> ()\n",
            ".local i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, v128, v128, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
            "v128\n",
            // Sums are 0 to begin with, as locals are.
            get!("v128", 192, 13, 208, 14, 224, 15, 240, 16),
            get!("i32", 256, 2, 260, 3, 264, 4, 268, 5, 272, 6, 276, 7, 280, 8, 284, 9, 288, 10, 292, 11, 296, 12),
            "loop\n",
            block!($kind, $n), advance!(6, 128), advance!(7, 128), from!(3, $n, advance!(8, 128)),
            from!(4, $n, advance!(9, 128)), from!(5, $n, advance!(10, 128)), from!(6, $n, advance!(11, 128)),
            "local.get 0\n i32.const -1\n i32.add\n local.tee 0\n br_if 0\n end_loop\n",
            put!(0, 43, 16, 44), put!(32, 45, 48, 46), from!(3, $n, put!(64, 47, 80, 48)),
            from!(4, $n, put!(96, 49, 112, 50)), from!(5, $n, put!(128, 51, 144, 52)),
            from!(6, $n, put!(160, 53, 176, 54)),
            "end_function\n",
        ));
    };
}

function!("few_fp4_2", "fp4", 2);
function!("few_fp4_3", "fp4", 3);
function!("few_fp4_4", "fp4", 4);
function!("few_fp4_5", "fp4", 5);
function!("few_fp4_6", "fp4", 6);
function!("few_bf16_3", "bf16", 3);
function!("few_bf16_4", "bf16", 4);
function!("few_bf16_5", "bf16", 5);
function!("few_bf16_6", "bf16", 6);
