//! Reads the vocabulary of a tokenizer.json, and finds its entries by their bytes.

use crate::memory::Words;
use crate::tokenizer_text::*;

/// The largest id that is read here has so many digits: 9,999,999, more than there is room for.
const DIGITS: usize = 7;

/// Words: the file's bytes in memory, room for packed entries and how many bytes it has, `starts`, `ends` and how many
/// ids they have room for, and the state: i32[4], which goes on from call to call: the place in the file's bytes, the
/// bytes that are packed, one more than the highest id, and why reading ended (`tokenizer_text.rs`).
///
/// Units are bytes of the file, from the state's place to `end`; the state's place is after the last whole entry.
#[unsafe(no_mangle)]
unsafe extern "C" fn tokenizer_vocabulary(desc: *const u32, _start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let (base, packed, room) = (d.get(0) as *const u8, d.get(1) as *mut u8, d.get(2));
        let (starts, ends, ids) = (d.get(3) as *mut i32, d.get(4) as *mut i32, d.get(5));
        let state = d.get(6) as *mut i32;
        let mut window = Window { base, at: *state as usize, end: end as usize };
        let (mut filled, mut count) = (*state.add(1) as usize, *state.add(2) as usize);
        let why = loop {
            let (length, id, goes_on) = match entry(&mut window, packed.add(filled), room - filled) {
                Ok(read) => read,
                Err(why) => break why,
            };
            if id >= ids || id < count && *starts.add(id) != NONE {
                break UNUSUAL;
            }
            while count <= id {
                *starts.add(count) = NONE;
                *ends.add(count) = NONE;
                count += 1;
            }
            *starts.add(id) = filled as i32;
            filled += length;
            *ends.add(id) = filled as i32;
            *state = window.at as i32;
            *state.add(1) = filled as i32;
            *state.add(2) = count as i32;
            if !goes_on {
                break CLOSED;
            }
        };
        *state.add(3) = why;
    }
}

/// Reads `"text": id` and the sign after it. Returns the text's bytes, the id, and whether another entry follows.
#[inline(always)]
unsafe fn entry(window: &mut Window, to: *mut u8, room: usize) -> Result<(usize, usize, bool), i32> {
    unsafe {
        window.expect(b'"')?;
        let (length, _) = window.text(b'"', to, room)?;
        window.expect(b':')?;
        let first = window.sign()?.wrapping_sub(b'0');
        if first > 9 {
            return Err(UNUSUAL);
        }
        let (mut id, mut digits) = (first as usize, 1);
        loop {
            let digit = window.next()?.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            if id == 0 || digits == DIGITS {
                return Err(UNUSUAL);
            }
            id = 10 * id + digit as usize;
            digits += 1;
        }
        window.at -= 1;
        Ok((length, id, window.goes_on(b'}')?))
    }
}

/// Words: packed entries, `starts`, `ends`, the table, its places less 1 (one less than a power of two, and more than
/// entries), and a word that becomes 1 where two entries have the same bytes.
///
/// Units are ids, in ascending order; all places of the table hold -1 before the first.
#[unsafe(no_mangle)]
unsafe extern "C" fn tokenizer_table(desc: *const u32, start: u32, end: u32, _scratch: *mut u8) {
    unsafe {
        let d = Words(desc);
        let entries = entries(d);
        for id in start as usize..end as usize {
            let from = *entries.starts.add(id);
            if from == NONE {
                continue;
            }
            let (bytes, length) = (entries.bytes.add(from as usize), (*entries.ends.add(id) - from) as usize);
            let hash = (0..length).fold(SEED, |hash, i| hashed(hash, *bytes.add(i)));
            let (found, place) = entries.find(hash, bytes, length);
            if found != NONE {
                *(d.get(5) as *mut u32) = 1;
                return;
            }
            *entries.table.add(place as usize) = id as i32;
        }
    }
}

/// The entries that a descriptor begins with.
#[inline(always)]
pub unsafe fn entries(d: Words) -> Entries {
    unsafe {
        Entries {
            bytes: d.get(0) as *const u8,
            starts: d.get(1) as *const i32,
            ends: d.get(2) as *const i32,
            table: d.get(3) as *mut i32,
            mask: d.get(4) as u32,
        }
    }
}
