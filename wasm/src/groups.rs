//! How input rows that multiply as float32 are cut into groups, whose rows are packed and multiplied together.

use crate::dot::BLOCK;
use core::cmp::min;

/// Most input rows of a group.
pub const FIVE: usize = 5;
/// Input rows of a group that is not of five.
pub const FOUR: usize = 4;
/// Bytes of a block of columns of a packed row.
pub const ROW_BYTES: usize = BLOCK * 4;

/// Rows cut into as few groups as possible: of five first, then of four, the last of which may have fewer.
#[derive(Clone, Copy)]
pub struct Groups {
    rows: usize,
    fives: usize,
}

impl Groups {
    #[inline(always)]
    pub fn of(rows: usize) -> Groups {
        Groups { rows, fives: rows.saturating_sub(FOUR * rows.div_ceil(FIVE)) }
    }

    /// Their number.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.rows.div_ceil(FIVE)
    }

    /// The first row of a group; of the number of groups, where the rows end.
    #[inline(always)]
    pub fn first(&self, group: usize) -> usize {
        min(FOUR * group + min(group, self.fives), self.rows)
    }

    /// Rows of a group: 1 to 5.
    #[inline(always)]
    pub fn rows(&self, group: usize) -> usize {
        self.first(group + 1) - self.first(group)
    }
}
