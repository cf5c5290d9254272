//! The loops of `attention_two.rs` as text.

use core::arch::global_asm;

// Locals: 0 the descriptor, 1 fours, 2 parts, 3 keys or values, 4 bytes between them, 5 and 6 factors, 7 and 8 results,
// 9 what is left of the inner loop, 10 to 13 addresses; vectors: 14 mask, 15 and 16 what scores are multiplied with, 17
// to 20 factors, 21 numbers of a key or value, 38 bfloat16s. 22 to 29 sums; of scores those of half a block, 30 to 37
// those of the first half, 39 to 46 those of all blocks, of key k and query h at 2k + h.

/// Reads local `$to`.
macro_rules! load {
    ($type:literal, $from:literal, $at:literal, $to:literal) => {
        concat!("local.get ", $from, "\n ", $type, " ", $at, ":p2align=0\n local.set ", $to, "\n")
    };
}

/// `$t` = `$v` * `$x`, or `$t` + that.
macro_rules! product {
    ("first", $v:literal, $x:literal, $t:literal) => {
        concat!("local.get ", $v, "\n local.get ", $x, "\n f32x4.mul\n local.set ", $t, "\n")
    };
    ("next", $v:literal, $x:literal, $t:literal) => {
        concat!(
            "local.get ",
            $v,
            "\n local.get ",
            $x,
            "\n local.get ",
            $t,
            "\n f32x4.relaxed_madd\n local.set ",
            $t,
            "\n"
        )
    };
}

/// `$t` = `$a` + `$b`.
macro_rules! sum {
    ($a:literal, $b:literal, $t:literal) => {
        concat!("local.get ", $a, "\n local.get ", $b, "\n f32x4.add\n local.set ", $t, "\n")
    };
}

macro_rules! clear {
    ($($t:literal),*) => { concat!($("v128.const 0, 0, 0, 0\n local.set ", $t, "\n"),*) };
}

/// `$to` = `$from` + bytes.
macro_rules! advance {
    ($from:literal, "by 4", $to:literal) => {
        concat!("local.get ", $from, "\n local.get 4\n i32.add\n local.set ", $to, "\n")
    };
    ($from:literal, $bytes:literal, $to:literal) => {
        concat!("local.get ", $from, "\n i32.const ", $bytes, "\n i32.add\n local.set ", $to, "\n")
    };
}

/// Counts down, and goes on with the loop until nothing is left.
macro_rules! again {
    ($local:literal) => {
        concat!("local.get ", $local, "\n i32.const -1\n i32.add\n local.tee ", $local, "\n br_if 0\n end_loop\n")
    };
}

/// The even ones of eight numbers, in 21: bfloat16s at `$half`, float32s at `$even`.
macro_rules! even {
    ("bf16", $from:literal, $half:literal, $even:literal) => {
        concat!(
            "local.get ",
            $from,
            "\n v128.load ",
            $half,
            ":p2align=0\n local.tee 38\n",
            "i32.const 16\n i32x4.shl\n local.set 21\n",
        )
    };
    ("f32", $from:literal, $half:literal, $even:literal) => {
        load!("v128.load", $from, $even, 21)
    };
}

/// The odd ones, of bfloat16s those whose even ones were taken last.
macro_rules! odd {
    ("bf16", $from:literal, $odd:literal) => {
        "local.get 38\n local.get 14\n v128.and\n local.set 21\n"
    };
    ("f32", $from:literal, $odd:literal) => {
        load!("v128.load", $from, $odd, 21)
    };
}

/// Eight numbers of the key at `$key` times those of both queries.
macro_rules! key {
    ($kind:tt, $op:tt, $key:literal, $half:literal, $even:literal, $odd:literal, $t:literal, $u:literal) => {
        concat!(
            even!($kind, $key, $half, $even),
            product!($op, 21, 17, $t),
            product!($op, 21, 19, $u),
            odd!($kind, $key, $odd),
            product!("next", 21, 18, $t),
            product!("next", 21, 20, $u),
        )
    };
}

/// Eight numbers of four keys times those of both queries.
macro_rules! keys {
    ($kind:tt, $op:tt, $half:literal, $even:literal, $odd:literal,
        $a:literal, $b:literal, $c:literal, $d:literal, $e:literal, $f:literal, $g:literal, $h:literal) => {
        concat!(
            load!("v128.load", 5, $even, 17),
            load!("v128.load", 5, $odd, 18),
            load!("v128.load", 6, $even, 19),
            load!("v128.load", 6, $odd, 20),
            key!($kind, $op, 10, $half, $even, $odd, $a, $b),
            key!($kind, $op, 11, $half, $even, $odd, $c, $d),
            key!($kind, $op, 12, $half, $even, $odd, $e, $f),
            key!($kind, $op, 13, $half, $even, $odd, $g, $h),
        )
    };
}

/// The sum of half a block and of the other half, added to a key's sum.
macro_rules! block {
    ($half:literal, $other:literal, $sum:literal) => {
        concat!(sum!($half, $other, $other), sum!($sum, $other, $sum))
    };
}

/// Every second lane of `$a` and `$b`, added to the others, in `$t`.
macro_rules! pairs {
    ($a:literal, $b:literal, $t:literal) => {
        concat!(
            "local.get ",
            $a,
            "\n local.get ",
            $b,
            "\n",
            "i8x16.shuffle 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27\n",
            "local.get ",
            $a,
            "\n local.get ",
            $b,
            "\n",
            "i8x16.shuffle 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31\n",
            "f32x4.add\n local.set ",
            $t,
            "\n",
        )
    };
}

/// Scores of four keys, from the lanes of their sums.
macro_rules! scores {
    ($to:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            pairs!($a, $b, 17),
            pairs!($c, $d, 18),
            pairs!(17, 18, 19),
            "local.get ",
            $to,
            "\n local.get 19\n local.get 15\n f32x4.mul\n local.get 16\n f32x4.mul\n",
            "v128.store 0:p2align=0\n",
            advance!($to, 16, $to),
        )
    };
}

/// Sixteen numbers of a value times both weights, at `$at`.
macro_rules! value {
    ($kind:tt, $at:literal) => {
        concat!(
            load!("v128.load32_splat", 11, $at, 17),
            load!("v128.load32_splat", 12, $at, 18),
            even!($kind, 10, 0, 0),
            product!("next", 21, 17, 22),
            product!("next", 21, 18, 26),
            odd!($kind, 10, 16),
            product!("next", 21, 17, 23),
            product!("next", 21, 18, 27),
            even!($kind, 10, 16, 32),
            product!("next", 21, 17, 24),
            product!("next", 21, 18, 28),
            odd!($kind, 10, 48),
            product!("next", 21, 17, 25),
            product!("next", 21, 18, 29),
            advance!(10, "by 4", 10),
        )
    };
}

/// Adds a sum to what lies there.
macro_rules! add_to {
    ($to:literal, $at:literal, $sum:literal) => {
        concat!(
            "local.get ",
            $to,
            "\n local.get ",
            $to,
            "\n v128.load ",
            $at,
            ":p2align=0\n local.get ",
            $sum,
            "\n",
            "f32x4.add\n v128.store ",
            $at,
            ":p2align=0\n",
        )
    };
}

macro_rules! function {
    ($name:literal; $($text:tt)*) => {
        global_asm!(concat!(
            ".globl ", $name, "\n .type ", $name, ",@function\n", $name, ":\n",
            ".functype ", $name, " (i32) -> ()\n",
            ".local i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, ",
            "v128, v128, v128, v128, v128, v128, v128, v128, v128, v128, v128\n",
            load!("v128.load", 0, 0, 14), load!("v128.load", 0, 16, 15), load!("v128.load", 0, 32, 16),
            load!("i32.load", 0, 48, 3), load!("i32.load", 0, 52, 4), load!("i32.load", 0, 56, 1),
            load!("i32.load", 0, 60, 2), load!("i32.load", 0, 64, 5), load!("i32.load", 0, 68, 6),
            load!("i32.load", 0, 72, 7), load!("i32.load", 0, 76, 8),
            $($text)*
            "end_function\n",
        ));
    };
}

macro_rules! score {
    ($name:literal, $kind:tt, $block:literal) => {
        function!($name;
            "loop\n",
            advance!(3, 0, 10), advance!(10, "by 4", 11), advance!(11, "by 4", 12), advance!(12, "by 4", 13),
            clear!(39, 40, 41, 42, 43, 44, 45, 46),
            "local.get 2\n local.set 9\n",
            "loop\n",
            keys!($kind, "first", 0, 0, 16, 30, 31, 32, 33, 34, 35, 36, 37),
            keys!($kind, "next", 16, 32, 48, 30, 31, 32, 33, 34, 35, 36, 37),
            keys!($kind, "first", 32, 64, 80, 22, 23, 24, 25, 26, 27, 28, 29),
            keys!($kind, "next", 48, 96, 112, 22, 23, 24, 25, 26, 27, 28, 29),
            block!(30, 22, 39), block!(31, 23, 40), block!(32, 24, 41), block!(33, 25, 42),
            block!(34, 26, 43), block!(35, 27, 44), block!(36, 28, 45), block!(37, 29, 46),
            advance!(10, $block, 10), advance!(11, $block, 11), advance!(12, $block, 12), advance!(13, $block, 13),
            advance!(5, 128, 5), advance!(6, 128, 6),
            again!(9),
            load!("i32.load", 0, 64, 5), load!("i32.load", 0, 68, 6),
            scores!(7, 39, 41, 43, 45), scores!(8, 40, 42, 44, 46),
            "local.get 3\n local.get 4\n i32.const 2\n i32.shl\n i32.add\n local.set 3\n",
            again!(1),
        );
    };
}

macro_rules! weigh {
    ($name:literal, $kind:tt, $sixteen:literal) => {
        function!($name;
            "loop\n",
            clear!(22, 23, 24, 25, 26, 27, 28, 29),
            advance!(3, 0, 10), advance!(5, 0, 11), advance!(6, 0, 12),
            "local.get 1\n local.set 9\n",
            "loop\n",
            value!($kind, 0), value!($kind, 4), value!($kind, 8), value!($kind, 12),
            advance!(11, 16, 11), advance!(12, 16, 12),
            again!(9),
            add_to!(7, 0, 22), add_to!(7, 16, 23), add_to!(7, 32, 24), add_to!(7, 48, 25),
            add_to!(8, 0, 26), add_to!(8, 16, 27), add_to!(8, 32, 28), add_to!(8, 48, 29),
            advance!(7, 64, 7), advance!(8, 64, 8), advance!(3, $sixteen, 3),
            again!(2),
        );
    };
}

score!("score_two_bf16", "bf16", 64);
score!("score_two_f32", "f32", 128);
weigh!("weigh_two_bf16", "bf16", 32);
weigh!("weigh_two_f32", "f32", 64);
