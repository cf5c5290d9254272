//! `store`: writes the keys or the values of tokens into a cache.

use crate::bf16::Bf16;
use crate::cache::{Cached, format};
use crate::f32::F32;
use crate::fp8::E4m3fn;
use crate::memory::{Words, at, each_vector, load, row};
use core::arch::wasm32::*;

#[unsafe(no_mangle)]
unsafe extern "C" fn store(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        match d.get(3) {
            format::BF16 => store_as::<Bf16>(d, start as usize, end as usize),
            format::F32 => store_as::<F32>(d, start as usize, end as usize),
            format::FP8 => store_as::<E4m3fn>(d, start as usize, end as usize),
            _ => unreachable(),
        }
    }
}

unsafe fn store_as<C: Cached>(d: Words, start: usize, end: usize) {
    unsafe {
        let (src, src_stride, cache, slot_stride, head_stride) = (d.get(0), d.get(1), d.get(2), d.get(4), d.get(5));
        let (capacity, head_dim, kv_heads) = (d.get(6), d.get(7), d.get(8));
        let (slots, positions) = (d.get(9) as *const u32, d.get(10) as *const u32);
        let scale = f32x4_splat(d.float(11));
        for token in start..end {
            let from = row(src, token, src_stride);
            let slot = at(cache, *slots.add(token) as usize, slot_stride);
            let entry = *positions.add(token) as usize % capacity * head_dim * C::SIZE;
            for head in 0..kv_heads {
                let to = at(slot, head, head_stride).wrapping_add(entry) as *mut u8;
                let from = from.add(head * head_dim);
                each_vector(head_dim, |i, lanes| C::store(to.add(i * C::SIZE), lanes, load(from.add(i), lanes), scale));
            }
        }
    }
}
