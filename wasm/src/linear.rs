//! `linear`: y = x W^T + b for matrices in every format. For a few input rows, weights multiply as they are decoded:
//! `matvec.rs`, and `eight_rows.rs` one row by bfloat16; on integers `matvec_fixed.rs`; of a few input rows up to four
//! together on integers, `few.rs`, or in float32 up to six, `few_floats.rs`, or twelve, `few_panels.rs`. For more, and
//! for transposed matrices, a tile of 8 output rows is decoded once for many (`gemm.rs`). All sum in the order of
//! `dot.rs`.

use crate::bf16::Bf16;
use crate::dot::BLOCK;
use crate::eight_rows::eight_rows;
use crate::few::{MOST_PAIRS, few};
use crate::few_floats::few_floats;
use crate::few_panels::{by_panels, few_panels};
use crate::fixed::UNFIT;
use crate::fp4::Fp4;
use crate::fp6::{E2m3, Fp6};
use crate::gemm::many;
use crate::integer;
use crate::many_fixed::{are_fixed, many_fixed};
use crate::matvec::direct;
use crate::matvec_fixed;
use crate::memory::Words;
use crate::record::{Record, TILE, WORDS, Way, by_format, format};
use core::cmp::{max, min};

/// Up to this many pairs weights are decoded again for each, where input rows and weights can be multiplied as integers
/// of 8 bits.
const MOST_DIRECT_INTEGERS: usize = 6;

#[unsafe(no_mangle)]
unsafe extern "C" fn linear(desc: *const u32, start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        for i in 0..d.get(0) {
            let record = Record::from(d.from(1 + i * WORDS));
            let first = max(start as usize, record.first_unit);
            let last = min(end as usize, record.first_unit + record.units());
            if first < last {
                tiles(&record, first - record.first_unit, last - record.first_unit, scratch);
            }
        }
    }
}

/// Computes tiles `first..last` of a matrix.
unsafe fn tiles(r: &Record, first: usize, last: usize, scratch: *mut u8) {
    unsafe {
        let (from, to) = (first * TILE, min(last * TILE, r.weights.rows));
        let rowwise = !r.weights.transposed && r.packed().is_none();
        if rowwise && are_fixed(r) {
            return many_fixed(r, first, last, scratch);
        }
        if rowwise && r.pairs > 1 && r.pairs <= most_few(r) {
            match r.weights.format {
                format::MXFP4 => return few::<Fp4>(r, from, to, scratch),
                format::MXFP6_E2M3 => return few::<Fp6<E2m3>>(r, from, to, scratch),
                _ => (),
            }
        }
        let integers = r.pairs > MOST_DIRECT_INTEGERS && integer::are_integers(r, scratch);
        if rowwise && !integers && few_floats_multiply(r) {
            (first..last).for_each(|_| r.count(Way::Float32, r.pairs));
            return match r.weights.format {
                format::MXFP4 if by_panels(r, to - from) => few_panels(r, from, to, scratch),
                format::MXFP4 => few_floats::<Fp4>(r, from, to, scratch),
                _ => few_floats::<Bf16>(r, from, to, scratch),
            };
        }
        if integers || !rowwise || r.pairs > most_direct(r) {
            return many(r, first, last, scratch);
        }
        match r.weights.format {
            format::MXFP4 if r.has_fixed() => matvec_fixed::direct::<Fp4>(r, from, to, scratch),
            format::MXFP6_E2M3 if r.has_fixed() => matvec_fixed::direct::<Fp6<E2m3>>(r, from, to, scratch),
            format::BF16 if r.pairs == 1 => eight_rows(r, from, to, scratch),
            _ => by_format!(r.weights.format, direct(r, from, to, scratch)),
        }
    }
}

/// Up to this many other pairs weights are decoded again for each, or for two at a time, instead of once into scratch:
/// by how long that takes for each format (docs/measurements/matvec.md).
fn most_direct(r: &Record) -> usize {
    // No `match`: the compiler would make a table of it, and the module has no data.
    if r.weights.format >= format::FP8_E4M3FN {
        4
    } else if r.weights.format > format::MXFP4 {
        3
    } else {
        8
    }
}

/// Up to this many pairs, if they are not one alone, a few input rows are multiplied together as integers, by how long
/// other ways take then (docs/measurements/matvec.md, docs/measurements/gemm.md).
unsafe fn most_few(r: &Record) -> usize {
    unsafe {
        if !fits(r) {
            return 0;
        }
        match (r.weights.format, r.fixed(0).most_digits(r.weights.cols / BLOCK)) {
            (_, 1) | (format::MXFP4, 2) => MOST_PAIRS,
            (format::MXFP4, _) => 0,
            _ => 6,
        }
    }
}

/// Whether some output rows are multiplied with some input rows at once in float32, as they are decoded, by how long
/// other ways take.
fn few_floats_multiply(r: &Record) -> bool {
    match r.weights.format {
        format::MXFP4 => (2..=24).contains(&r.pairs),
        format::BF16 => (3..=24).contains(&r.pairs),
        _ => false,
    }
}

/// Whether most of the first input row's blocks multiply as integers, as those of others do then in all likelihood:
/// half of them, and nearly all of them where that gains less (docs/measurements/matvec.md).
unsafe fn fits(r: &Record) -> bool {
    unsafe {
        let (blocks, part) = (r.weights.cols / BLOCK, if r.dots { 2 } else { 8 });
        r.has_fixed() && (0..blocks).filter(|&b| r.fixed(0).digits(b) == UNFIT).count() * part <= blocks
    }
}
