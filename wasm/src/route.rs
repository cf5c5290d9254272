//! `route`: the experts with the largest logits, and the softmax over those.

use crate::exp::exp;
use crate::memory::{Words, at, row};
use core::arch::wasm32::*;

#[unsafe(no_mangle)]
unsafe extern "C" fn route(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (logits, stride, experts, top_k, ids, weights) =
            (d.get(0), d.get(1), d.get(2), d.get(3), d.get(4), d.get(5));
        for token in start as usize..end as usize {
            let logits = row(logits, token, stride) as *const f32;
            let ids = at(ids, token, top_k * 4) as *mut u32;
            let weights = row(weights, token, top_k);
            for k in 0..top_k {
                *ids.add(k) = best(logits, experts, core::slice::from_raw_parts(ids, k));
            }
            let most = *logits.add(*ids as usize);
            let mut total = 0.0;
            for k in 0..top_k {
                let e = exp(f32x4_splat(*logits.add(*ids.add(k) as usize) - most));
                *weights.add(k) = f32x4_extract_lane::<0>(e);
                total += *weights.add(k);
            }
            for k in 0..top_k {
                *weights.add(k) /= total;
            }
        }
    }
}

/// The expert with the largest logit among those not chosen yet; the first of equal ones. NaN is below every number.
#[inline(always)]
unsafe fn best(logits: *const f32, experts: usize, taken: &[u32]) -> u32 {
    let mut best: Option<(u32, f32)> = None;
    for expert in 0..experts as u32 {
        let logit = unsafe { *logits.add(expert as usize) };
        let better = match best {
            Some((_, most)) => logit > most || most.is_nan() && !logit.is_nan(),
            None => true,
        };
        if better && !taken.contains(&expert) {
            best = Some((expert, logit));
        }
    }
    best.map_or(0, |(expert, _)| expert)
}
