//! What a thread has seen of a row of logits, for `pick`.

use core::cmp::min;

/// The likeliest token of a row so far, as one thread has seen it: at the beginning of its scratch, where the caller
/// puts what stands for none.
#[repr(C)]
pub struct Best {
    /// Negative infinity where there is none, and then `id` is one that no token has.
    pub logit: f32,
    pub id: u32,
    /// The first token whose logit is NaN or infinite; where there is none, one that no token has.
    pub odd: u32,
    /// Logits that were computed in float32, for tests and measurements.
    pub count: u32,
}

impl Best {
    pub fn take(&mut self, logit: f32, id: u32) {
        self.count += 1;
        if !logit.is_finite() {
            self.odd = min(self.odd, id);
        } else if logit > self.logit || logit == self.logit && id < self.id {
            self.logit = logit;
            self.id = id;
        }
    }
}
