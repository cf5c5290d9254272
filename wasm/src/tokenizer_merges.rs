//! Reads the merges of a tokenizer.json: `PairMerges` of `src/text/merges.ts`.
//!
//! Parts of merges are found all over a table that no core's cache holds. So a batch of merges is read first, then what
//! the table says of all their parts is touched, step by step, without waiting for one before the next.

use crate::memory::Words;
use crate::tokenizer_text::*;
use crate::tokenizer_vocabulary::entries;

/// Bytes of the longest part of a merge.
const LONGEST: usize = 2048;
/// Merges of a batch, and bytes of their parts, of which the last two need not be there yet.
const BATCH: usize = 64;
const TEXTS: usize = 16384 - 2 * LONGEST;

/// A part: how many bytes, and their hash.
type Part = (usize, u32);

/// A merge that was read: where its bytes lie in the batch, its parts, and where it ends in the file.
#[derive(Clone, Copy)]
struct Read {
    from: usize,
    left: Part,
    right: Part,
    end: usize,
}

/// Words: packed entries, `starts`, `ends`, the table, its places less 1, the ids; the file's bytes in memory; whether
/// a merge is written as two texts; `latest` by id; `earlier`, `lefts` and `results` by merge, and how many merges
/// these have room for; and the state: i32[4], which goes on from call to call: the place in the file's bytes, the
/// merges that were read, the result of the last one (-1 before the first), and why reading ended.
///
/// Units are bytes of the file, from the state's place to `end`; the state's place is after the last whole merge.
/// `scratch` has 16384 bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn tokenizer_merges(desc: *const u32, _start: u32, end: u32, scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let entries = entries(d);
        let (most, state) = (d.get(12), d.get(13) as *mut i32);
        let mut window = Window { base: d.get(6) as *const u8, at: *state as usize, end: end as usize };
        let mut lists = Lists {
            ids: d.get(5) as i32,
            latest: d.get(8) as *mut i32,
            earlier: d.get(9) as *mut i32,
            lefts: d.get(10) as *mut i32,
            results: d.get(11) as *mut i32,
            rank: *state.add(1),
            last: *state.add(2),
        };
        let mut batch = [Read { from: 0, left: (0, 0), right: (0, 0), end: 0 }; BATCH];
        loop {
            let (count, mut why) = read(&mut window, d.get(7) != 0, scratch, &mut batch);
            let batch = &batch[..count];
            touch(&entries, batch, state.add(3));
            for merge in batch {
                if lists.rank as usize == most || !lists.add(&entries, merge, scratch.add(merge.from)) {
                    why = Some(UNUSUAL);
                    break;
                }
                *state = merge.end as i32;
                *state.add(1) = lists.rank;
                *state.add(2) = lists.last;
            }
            if let Some(why) = why {
                *state.add(3) = why;
                return;
            }
        }
    }
}

/// Reads merges, whose parts' bytes lie one after the other `to` on. Returns how many, and why no other follows.
#[inline(always)]
unsafe fn read(window: &mut Window, pairs: bool, to: *mut u8, batch: &mut [Read; BATCH]) -> (usize, Option<i32>) {
    let (mut count, mut from) = (0, 0);
    while count < BATCH && from <= TEXTS {
        match unsafe { merge(window, pairs, to.wrapping_add(from)) } {
            Ok((left, right, goes_on)) => {
                batch[count] = Read { from, left, right, end: window.at };
                count += 1;
                from += left.0 + right.0;
                if !goes_on {
                    return (count, Some(CLOSED));
                }
            }
            Err(why) => return (count, Some(why)),
        }
    }
    (count, None)
}

/// Reads `"left right"` or `["left", "right"]` and the sign after it.
#[inline(always)]
unsafe fn merge(window: &mut Window, pairs: bool, to: *mut u8) -> Result<(Part, Part, bool), i32> {
    unsafe {
        if pairs {
            window.expect(b'[')?;
        }
        window.expect(b'"')?;
        let left = window.text(if pairs { b'"' } else { b' ' }, to, LONGEST)?;
        if pairs {
            window.expect(b',')?;
            window.expect(b'"')?;
        }
        let right = window.text(b'"', to.add(left.0), LONGEST)?;
        if pairs {
            window.expect(b']')?;
        }
        Ok((left, right, window.goes_on(b']')?))
    }
}

/// Brings what finding the parts will read into the cache. `sum` is a word that anything may be written to.
#[inline(always)]
unsafe fn touch(entries: &Entries, batch: &[Read], sum: *mut i32) {
    let mut ids = [NONE; 2 * BATCH];
    let mut starts = [0; 2 * BATCH];
    unsafe {
        for (i, merge) in batch.iter().enumerate() {
            ids[2 * i] = *entries.table.add(entries.place(merge.left.1) as usize);
            ids[2 * i + 1] = *entries.table.add(entries.place(merge.right.1) as usize);
        }
        let mut seen = 0;
        for i in 0..2 * batch.len() {
            let id = ids[i].max(0) as usize;
            starts[i] = (*entries.starts.add(id)).max(0);
            seen += *entries.ends.add(id);
        }
        for start in &starts[..2 * batch.len()] {
            seen += *entries.bytes.add(*start as usize) as i32;
        }
        *sum = seen;
    }
}

/// Merges by their results, as `merges.ts` has them.
struct Lists {
    ids: i32,
    latest: *mut i32,
    earlier: *mut i32,
    lefts: *mut i32,
    results: *mut i32,
    rank: i32,
    last: i32,
}

impl Lists {
    /// Adds a merge, whose bytes lie at `bytes`; false where a part or its result is no entry.
    #[inline(always)]
    unsafe fn add(&mut self, entries: &Entries, merge: &Read, bytes: *const u8) -> bool {
        unsafe {
            let (left, right) = (merge.left, merge.right);
            let (left_id, _) = entries.find(left.1, bytes, left.0);
            let (right_id, _) = entries.find(right.1, bytes.add(left.0), right.0);
            if left_id == NONE || right_id == NONE || !self.find(entries, left, left.0 + right.0, bytes) {
                return false;
            }
            let (rank, latest) = (self.rank, self.latest.add(self.last as usize));
            // A merge that stands there twice counts where it stands last.
            let (mut at, mut from) = (*latest, latest);
            while at != NONE {
                let earlier = self.earlier.add(at as usize);
                if *self.lefts.add(at as usize) == left_id {
                    *from = *earlier;
                    break;
                }
                (at, from) = (*earlier, earlier);
            }
            *self.earlier.add(rank as usize) = *latest;
            *latest = rank;
            *self.lefts.add(rank as usize) = left_id;
            *self.results.add(rank as usize) = self.last;
            self.rank += 1;
            true
        }
    }

    /// Finds the entry of a merge's bytes: `last` then. Lists name results in the order of their ids, each as often as
    /// it can be cut.
    #[inline(always)]
    unsafe fn find(&mut self, entries: &Entries, left: Part, length: usize, bytes: *const u8) -> bool {
        unsafe {
            let is = |id: i32| {
                id >= 0 && id < self.ids && *entries.starts.add(id as usize) != NONE && entries.is(id, bytes, length)
            };
            if is(self.last) {
                return true;
            }
            if is(self.last + 1) {
                self.last += 1;
                return true;
            }
            let hash = (left.0..length).fold(left.1, |hash, i| hashed(hash, *bytes.add(i)));
            self.last = entries.find(hash, bytes, length).0;
            self.last != NONE
        }
    }
}
