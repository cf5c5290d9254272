//! The loops of `few_digit.rs` as text.

use core::arch::global_asm;

// Locals: 0 n, 1 what is multiplied; 2 to 5 the rows' weights, 6 to 13 inputs, 14 exponents; then vectors: 15 to 17
// constants, 18 to 25 integers of each row's even and odd columns, 26 exponents, 27 the same with that of an input,
// 28 start and 29 and 30 digits of an input, 31 codes, 32 to 63 sums, 64 ones of 16 bits.

/// The integers of a block of the row at `$w`.
macro_rules! integers {
    ($w:literal, $even:literal, $odd:literal) => {
        concat!(
            // Relaxed: the indices are below 16, where all machines agree.
            "local.get ", $w, "\n v128.load 0:p2align=0\n local.get 16\n i8x16.relaxed_swizzle\n local.set 31\n",
            "local.get 15\n local.get 31\n local.get 17\n v128.and\n i8x16.relaxed_swizzle\n local.set ", $even, "\n",
            "local.get 15\n local.get 31\n i32.const 4\n i16x8.shr_u\n local.get 17\n v128.and\n",
            "i8x16.relaxed_swizzle\n local.set ", $odd, "\n",
        )
    };
}

/// The products of a row with an input and the input's start, by dot products of bytes.
macro_rules! dots {
    ($even:literal, $odd:literal) => {
        concat!(
            "local.get 30\n local.get ", $odd, "\n",
            "local.get 29\n local.get ", $even, "\n local.get 28\n i32x4.relaxed_dot_i8x16_i7x16_add_s\n",
            "i32x4.relaxed_dot_i8x16_i7x16_add_s\n",
        )
    };
}

/// The same by products of pairs of bytes, two of whose sums fit 16 bits.
macro_rules! pairs {
    ($even:literal, $odd:literal) => {
        concat!(
            "local.get 29\n local.get ", $even, "\n i16x8.relaxed_dot_i8x16_i7x16_s\n",
            "local.get 30\n local.get ", $odd, "\n i16x8.relaxed_dot_i8x16_i7x16_s\n",
            "i16x8.add\n local.get 64\n i32x4.dot_i16x8_s\n local.get 28\n i32x4.add\n",
        )
    };
}

/// Adds the products of a row with an input, scaled by lane `$lane` of 27, to a sum.
macro_rules! output {
    ($products:ident, $even:literal, $odd:literal, $lane:literal, $sum:literal) => {
        concat!(
            $products!($even, $odd), "f32x4.convert_i32x4_s\n",
            "local.get 27\n local.get 27\n i8x16.shuffle ", $lane, ", ", $lane, ", ", $lane, ", ", $lane, "\n",
            "local.get ", $sum, "\n f32x4.relaxed_madd\n local.set ", $sum, "\n",
        )
    };
}

/// A block of all rows times that of the input at `$x`.
macro_rules! input {
    ($products:ident, $x:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "local.get ", $x, "\n v128.load 0\n local.get 26\n i32x4.add\n local.set 27\n",
            "local.get ", $x, "\n v128.load 128\n local.set 28\n",
            "local.get ", $x, "\n v128.load 32\n local.set 29\n local.get ", $x, "\n v128.load 48\n local.set 30\n",
            output!($products, 18, 19, "0, 1, 2, 3", $a), output!($products, 20, 21, "4, 5, 6, 7", $b),
            output!($products, 22, 23, "8, 9, 10, 11", $c), output!($products, 24, 25, "12, 13, 14, 15", $d),
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

/// A loop. For each input row: its local, where its sums go, and their locals.
macro_rules! function {
    ($products:ident, $name:literal, $([$x:literal, $i:literal $a:literal, $j:literal $b:literal, $k:literal $c:literal,
        $l:literal $d:literal])*) => {
        global_asm!(concat!(
            ".globl ", $name, "\n .type ", $name, ",@function\n", $name, ":\n",
            ".functype ", $name, " (i32, i32) -> ()\n",
            ".local i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128\n",
            get!("v128", 512, 15, 528, 16, 544, 17, 560, 64),
            get!("i32", 576, 2, 580, 3, 584, 4, 588, 5, 592, 6, 596, 7, 600, 8, 604, 9),
            get!("i32", 608, 10, 612, 11, 616, 12, 620, 13, 624, 14),
            // Sums are 0 to begin with, as locals are.
            "loop\n",
            integers!(2, 18, 19), integers!(3, 20, 21), integers!(4, 22, 23), integers!(5, 24, 25),
            "local.get 14\n v128.load 0\n local.set 26\n",
            $(input!($products, $x, $a, $b, $c, $d),)*
            advance!(2, 16), advance!(3, 16), advance!(4, 16), advance!(5, 16), advance!(14, 16),
            $(advance!($x, 144),)*
            "local.get 0\n i32.const -1\n i32.add\n local.tee 0\n br_if 0\n end_loop\n",
            $(put!($i, $a, $j, $b, $k, $c, $l, $d),)*
            "end_function\n",
        ));
    };
}

/// Loops for each number of input rows, given the rows in order: each pair of names is that of the loops up to its row.
macro_rules! functions {
    ([$($before:tt)*]) => {};
    ([$($before:tt)*] $name:literal $other:literal $row:tt $($more:tt)*) => {
        function!(dots, $name, $($before)* $row);
        function!(pairs, $other, $($before)* $row);
        functions!([$($before)* $row] $($more)*);
    };
}

functions!(
    [[6, 0 32, 16 33, 32 34, 48 35]]
    "few_digit_2" "few_digit_pairs_2" [7, 64 36, 80 37, 96 38, 112 39]
    "few_digit_3" "few_digit_pairs_3" [8, 128 40, 144 41, 160 42, 176 43]
    "few_digit_4" "few_digit_pairs_4" [9, 192 44, 208 45, 224 46, 240 47]
    "few_digit_5" "few_digit_pairs_5" [10, 256 48, 272 49, 288 50, 304 51]
    "few_digit_6" "few_digit_pairs_6" [11, 320 52, 336 53, 352 54, 368 55]
    "few_digit_7" "few_digit_pairs_7" [12, 384 56, 400 57, 416 58, 432 59]
    "few_digit_8" "few_digit_pairs_8" [13, 448 60, 464 61, 480 62, 496 63]
);
