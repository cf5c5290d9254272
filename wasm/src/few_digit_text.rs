//! The loops of `few_digit.rs` as text.

use core::arch::global_asm;

// Locals: 0 n, 1 what is multiplied; 2 to 5 the rows' weights, 6 to 9 inputs, 10 exponents; then vectors: 11 to 13
// constants, 14 to 21 integers of each row's even and odd columns, 22 exponents, 23 the same with that of an input,
// 24 start and 25 and 26 digits of an input, 27 codes, 28 to 43 sums.

/// Text for so many input rows at least.
macro_rules! from {
    (3, 2, $($text:tt)*) => { "" };
    (4, 2, $($text:tt)*) => { "" };
    (4, 3, $($text:tt)*) => { "" };
    ($least:tt, $n:tt, $($text:tt)*) => { concat!($($text)*) };
}

/// The integers of a block of the row at `$w`.
macro_rules! integers {
    ($w:literal, $even:literal, $odd:literal) => {
        concat!(
            // Relaxed: the indices are below 16, where all machines agree.
            "local.get ", $w, "\n v128.load 0:p2align=0\n local.get 12\n i8x16.relaxed_swizzle\n local.set 27\n",
            "local.get 11\n local.get 27\n local.get 13\n v128.and\n i8x16.relaxed_swizzle\n local.set ", $even, "\n",
            "local.get 11\n local.get 27\n i32.const 4\n i16x8.shr_u\n local.get 13\n v128.and\n",
            "i8x16.relaxed_swizzle\n local.set ", $odd, "\n",
        )
    };
}

/// Adds the products of a row with an input, scaled by lane `$lane` of 23, to a sum.
macro_rules! output {
    ($even:literal, $odd:literal, $lane:literal, $sum:literal) => {
        concat!(
            "local.get 26\n local.get ", $odd, "\n",
            "local.get 25\n local.get ", $even, "\n local.get 24\n i32x4.relaxed_dot_i8x16_i7x16_add_s\n",
            "i32x4.relaxed_dot_i8x16_i7x16_add_s\n f32x4.convert_i32x4_s\n",
            "local.get 23\n local.get 23\n i8x16.shuffle ", $lane, ", ", $lane, ", ", $lane, ", ", $lane, "\n",
            "local.get ", $sum, "\n f32x4.relaxed_madd\n local.set ", $sum, "\n",
        )
    };
}

/// A block of all rows times that of the input at `$x`.
macro_rules! input {
    ($x:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "local.get ", $x, "\n v128.load 0\n local.get 22\n i32x4.add\n local.set 23\n",
            "local.get ", $x, "\n v128.load 128\n local.set 24\n",
            "local.get ", $x, "\n v128.load 32\n local.set 25\n local.get ", $x, "\n v128.load 48\n local.set 26\n",
            output!(14, 15, "0, 1, 2, 3", $a), output!(16, 17, "4, 5, 6, 7", $b),
            output!(18, 19, "8, 9, 10, 11", $c), output!(20, 21, "12, 13, 14, 15", $d),
        )
    };
}

/// Moves an address.
macro_rules! advance {
    ($local:literal, $bytes:literal) => {
        concat!("local.get ", $local, "\n i32.const ", $bytes, "\n i32.add\n local.set ", $local, "\n")
    };
}

/// Loads of what is multiplied.
macro_rules! get {
    ($type:literal, $($at:literal, $local:literal),*) => {
        concat!($("local.get 1\n ", $type, ".load ", $at, "\n local.set ", $local, "\n"),*)
    };
}

/// Stores sums.
macro_rules! put {
    ($($at:literal, $sum:literal),*) => {
        concat!($("local.get 1\n local.get ", $sum, "\n v128.store ", $at, "\n"),*)
    };
}

macro_rules! function {
    ($name:literal, $n:tt) => {
        global_asm!(concat!(
            ".globl ", $name, "\n .type ", $name, ",@function\n", $name, ":\n",
            ".functype ", $name, " (i32, i32) -> ()\n",
            ".local i32, i32, i32, i32, i32, i32, i32, i32, i32, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128\n",
            get!("v128", 256, 11, 272, 12, 288, 13),
            get!("i32", 304, 2, 308, 3, 312, 4, 316, 5, 320, 6, 324, 7, 328, 8, 332, 9, 336, 10),
            // Sums are 0 to begin with, as locals are.
            "loop\n",
            integers!(2, 14, 15), integers!(3, 16, 17), integers!(4, 18, 19), integers!(5, 20, 21),
            "local.get 10\n v128.load 0\n local.set 22\n",
            input!(6, 28, 29, 30, 31), input!(7, 32, 33, 34, 35),
            from!(3, $n, input!(8, 36, 37, 38, 39)), from!(4, $n, input!(9, 40, 41, 42, 43)),
            advance!(2, 16), advance!(3, 16), advance!(4, 16), advance!(5, 16), advance!(10, 16),
            advance!(6, 144), advance!(7, 144), from!(3, $n, advance!(8, 144)), from!(4, $n, advance!(9, 144)),
            "local.get 0\n i32.const -1\n i32.add\n local.tee 0\n br_if 0\n end_loop\n",
            put!(0, 28, 16, 29, 32, 30, 48, 31, 64, 32, 80, 33, 96, 34, 112, 35),
            from!(3, $n, put!(128, 36, 144, 37, 160, 38, 176, 39)),
            from!(4, $n, put!(192, 40, 208, 41, 224, 42, 240, 43)),
            "end_function\n",
        ));
    };
}

function!("few_digit_2", 2);
function!("few_digit_3", 3);
function!("few_digit_4", 4);
