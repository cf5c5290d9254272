//! What the kernels that read a tokenizer.json share: places in it, texts of the byte-level alphabet, and the table of
//! entries by their bytes. `src/text/tokenizer_scan.ts` and `src/text/pieces.ts` say the same in TypeScript.

use core::arch::wasm32::*;

/// Why reading ended: more of the file is needed, the list is closed, or it is not written as expected.
pub const MORE: i32 = 0;
pub const CLOSED: i32 = 1;
pub const UNUSUAL: i32 = 2;

/// No id, or no merge.
pub const NONE: i32 = -1;

/// FNV-1a, as in `pieces.ts`.
pub const SEED: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// A part of the file: bytes `at` to `end` of what lies from `base` on, with 16 bytes more that may be read.
pub struct Window {
    pub base: *const u8,
    pub at: usize,
    pub end: usize,
}

impl Window {
    /// The next byte, which is passed over.
    #[inline(always)]
    pub unsafe fn next(&mut self) -> Result<u8, i32> {
        if self.at >= self.end {
            return Err(MORE);
        }
        self.at += 1;
        Ok(unsafe { *self.base.add(self.at - 1) })
    }

    /// The next byte that is no blank, which is passed over.
    #[inline(always)]
    pub unsafe fn sign(&mut self) -> Result<u8, i32> {
        loop {
            let byte = unsafe { self.next()? };
            if byte > b' ' {
                return Ok(byte);
            }
            if byte == b' ' {
                unsafe { self.spaces() };
            } else if byte != b'\n' && byte != b'\r' && byte != b'\t' {
                return Err(UNUSUAL);
            }
        }
    }

    /// Passes over spaces: most of a file are those before its lines.
    #[inline(always)]
    unsafe fn spaces(&mut self) {
        while self.at < self.end {
            let bytes = unsafe { v128_load(self.base.add(self.at) as *const v128) };
            let same = i8x16_bitmask(i8x16_eq(bytes, i8x16_splat(b' ' as i8)));
            let count = (!(same as u32)).trailing_zeros() as usize;
            self.at += count;
            if count < 16 {
                return;
            }
        }
    }

    /// Passes over one sign that must be there.
    #[inline(always)]
    pub unsafe fn expect(&mut self, sign: u8) -> Result<(), i32> {
        if unsafe { self.sign()? } == sign { Ok(()) } else { Err(UNUSUAL) }
    }

    /// Whether a comma follows, and not `close`.
    #[inline(always)]
    pub unsafe fn goes_on(&mut self, close: u8) -> Result<bool, i32> {
        let sign = unsafe { self.sign()? };
        if sign == b',' {
            Ok(true)
        } else if sign == close {
            Ok(false)
        } else {
            Err(UNUSUAL)
        }
    }

    /// Reads what follows the quote of a text, up to `stop` (a quote, or the blank between two parts), as the bytes
    /// that it stands for, `to` on; at least one.
    ///
    /// Returns how many, and their hash.
    #[inline(always)]
    pub unsafe fn text(&mut self, stop: u8, to: *mut u8, room: usize) -> Result<(usize, u32), i32> {
        let (mut length, mut hash) = (0, SEED);
        loop {
            let byte = unsafe { self.next()? };
            if byte == stop {
                return if length > 0 { Ok((length, hash)) } else { Err(UNUSUAL) };
            }
            let stands = unsafe { self.stands(byte)? };
            if length == room {
                return Err(UNUSUAL);
            }
            unsafe { *to.add(length) = stands };
            length += 1;
            hash = hashed(hash, stands);
        }
    }

    /// The byte that a character of the alphabet stands for (`byte_level.ts`), whose first byte was passed over.
    #[inline(always)]
    unsafe fn stands(&mut self, byte: u8) -> Result<u8, i32> {
        if byte == b'\\' {
            // Other ways to write a character are left to TypeScript.
            let escaped = unsafe { self.next()? };
            return if escaped == b'"' || escaped == b'\\' { Ok(escaped) } else { Err(UNUSUAL) };
        }
        if byte < 0x80 {
            return if byte > b' ' && byte != 0x7f && byte != b'"' { Ok(byte) } else { Err(UNUSUAL) };
        }
        let next = unsafe { self.next()? };
        if next & 0xc0 != 0x80 || byte < 0xc2 || byte > 0xc5 {
            return Err(UNUSUAL);
        }
        let code = (byte as u32 & 0x1f) << 6 | next as u32 & 0x3f;
        if code < 0x100 {
            return if code > 0xa0 && code != 0xad { Ok(code as u8) } else { Err(UNUSUAL) };
        }
        // The 68 bytes that are no printable characters of Latin-1, in order.
        let number = code - 0x100;
        if number <= 0x20 {
            Ok(number as u8)
        } else if number <= 0x42 {
            Ok((number - 0x21 + 0x7f) as u8)
        } else if number == 0x43 {
            Ok(0xad)
        } else {
            Err(UNUSUAL)
        }
    }
}

/// The hash with one byte more.
#[inline(always)]
pub fn hashed(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(PRIME)
}

/// Entries by id: the bytes `starts[id]` to `ends[id]` of `bytes`; where `starts` is -1 there is none. `table` has ids
/// by the hash of their bytes, one more than `mask` places.
pub struct Entries {
    pub bytes: *const u8,
    pub starts: *const i32,
    pub ends: *const i32,
    pub table: *mut i32,
    pub mask: u32,
}

impl Entries {
    /// Where an entry of this hash stands first.
    #[inline(always)]
    pub fn place(&self, hash: u32) -> u32 {
        (hash ^ hash >> 15).wrapping_mul(0x2c1b_3c6d) >> 3 & self.mask
    }

    /// The id of `length` bytes, or -1; and the place where it stands, or would.
    #[inline(always)]
    pub unsafe fn find(&self, hash: u32, bytes: *const u8, length: usize) -> (i32, u32) {
        let mut at = self.place(hash);
        loop {
            let id = unsafe { *self.table.add(at as usize) };
            if id == NONE || unsafe { self.is(id, bytes, length) } {
                return (id, at);
            }
            at = at + 1 & self.mask;
        }
    }

    /// Whether an entry is these bytes; `id` has one.
    #[inline(always)]
    pub unsafe fn is(&self, id: i32, bytes: *const u8, length: usize) -> bool {
        unsafe {
            let start = *self.starts.add(id as usize) as usize;
            if *self.ends.add(id as usize) as usize - start != length {
                return false;
            }
            let own = self.bytes.add(start);
            (0..length).all(|i| *own.add(i) == *bytes.add(i))
        }
    }
}
