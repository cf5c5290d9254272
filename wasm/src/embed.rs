//! `embed`: rows of a table, by token id.

use crate::bf16::round_if;
use crate::memory::{Words, at, each_vector, row, store};
use crate::number;

#[unsafe(no_mangle)]
unsafe extern "C" fn embed(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (out, out_stride, table, row_stride, format) =
            (d.get(0), d.get(1), d.get(2), d.get(3), d.listed(4, number::F16));
        let (ids, width, round) = (d.get(5) as *const u32, d.get(6), d.get(7) != 0);
        for token in start as usize..end as usize {
            let out = row(out, token, out_stride);
            let from = at(table, *ids.add(token) as usize, row_stride);
            each_vector(width, |i, lanes| {
                let number = number::load(at(from, i, number::size(format)), lanes, format);
                store(out.add(i), lanes, round_if(round, number));
            });
        }
    }
}
