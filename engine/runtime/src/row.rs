//! A subject in an experiment.

use backplane_memory::StateColumn;
use hashbrown::HashMap;
use zerocopy::little_endian::I64;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::subjects::NONE;

/// One (experiment, subject).
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Event time of the first exposure, microseconds.
    pub first_time: i64,
    /// The subject's next row; [`NONE`] at the end.
    pub next: u32,
    /// Place in the experiment's columns.
    pub local: u32,
    /// What it has in common with others.
    pub kind: RowKind,
}

/// What many rows have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct RowKind {
    /// The experiment's id.
    pub experiment: u32,
    /// Variant of the first exposure.
    pub variant: u32,
    /// The group (of all subjects of the analysed variant) it counts in; [`NONE`] where it is left out.
    pub group: u32,
    /// By attribution class: whether its attribution window has closed.
    pub matured: u32,
    /// Allocation epoch of the first exposure.
    pub epoch: u16,
    /// Whether it was seen in several variants or epochs (then the experiment holds its history).
    pub has_history: bool,
}

impl RowKind {
    /// Whether the attribution window of a class has closed.
    #[must_use]
    pub fn is_matured(&self, class: u8) -> bool {
        self.matured >> class & 1 == 1
    }
}

/// A row in 20 bytes.
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
struct PackedRow {
    first_time: I64,
    next: u32,
    local: u32,
    /// Place among the kinds.
    kind: u32,
}

/// The rows of a shard. There are many, and few kinds of them: a row has the number of its kind.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Rows {
    rows: StateColumn<PackedRow>,
    kinds: Vec<RowKind>,
    /// Built anew when rows are read back.
    #[serde(skip)]
    numbers: HashMap<RowKind, u32>,
    /// By kind: the one that a row of it last changed to; most of its rows will do the same.
    #[serde(skip)]
    successors: Vec<u32>,
    /// Whether a row had no number any more.
    is_full: bool,
}

impl Rows {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The row of this number.
    #[inline]
    #[must_use]
    pub fn get(&self, row: u32) -> Option<Row> {
        self.unpack(self.rows.get(row as usize)?)
    }

    /// Appends a row; gives its number. `None` where there are as many as there are numbers.
    pub fn push(&mut self, row: &Row) -> Option<u32> {
        let Some(number) = u32::try_from(self.rows.len()).ok().filter(|number| *number != NONE) else {
            self.is_full = true;
            return None;
        };
        let kind = self.number_of(row.kind);
        self.rows.push(packed(row, kind));
        Some(number)
    }

    /// Whether a row had no number any more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Changes the row of this number.
    pub fn set(&mut self, number: u32, row: &Row) {
        let Some(before) = self.rows.get(number as usize).map(|row| row.kind) else {
            return;
        };
        let kind = self.number_after(before, row.kind);
        if let Some(place) = self.rows.get_mut(number as usize) {
            *place = packed(row, kind);
        }
    }

    /// All rows of a subject from this one on, with their numbers.
    pub fn from(&self, first: u32) -> impl Iterator<Item = (u32, Row)> {
        let mut next = first;
        std::iter::from_fn(move || {
            let number = next;
            let row = self.get(number)?;
            next = row.next;
            Some((number, row))
        })
    }

    /// All rows, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Row> {
        self.rows.iter().filter_map(|row| self.unpack(row))
    }

    /// Builds the numbers of the kinds of rows that were read back.
    pub fn rebuild(&mut self) {
        self.numbers = self.kinds.iter().copied().zip(0..).collect();
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.rows.memory() + self.kinds.capacity() * 2 * size_of::<RowKind>()
    }

    #[inline(always)]
    fn unpack(&self, row: &PackedRow) -> Option<Row> {
        Some(Row {
            first_time: row.first_time.get(),
            next: row.next,
            local: row.local,
            kind: *self.kinds.get(row.kind as usize)?,
        })
    }

    /// The number of the kind that a row of kind `before` changes to.
    fn number_after(&mut self, before: u32, kind: RowKind) -> u32 {
        let before = before as usize;
        let successor = self.successors.get(before).copied().unwrap_or(NONE);
        if self.kinds.get(successor as usize) == Some(&kind) {
            return successor;
        }
        let number = self.number_of(kind);
        if self.successors.len() <= before {
            self.successors.resize(self.kinds.len(), NONE);
        }
        if let Some(place) = self.successors.get_mut(before) {
            *place = number;
        }
        number
    }

    fn number_of(&mut self, kind: RowKind) -> u32 {
        let kinds = &mut self.kinds;
        *self.numbers.entry(kind).or_insert_with(|| {
            kinds.push(kind);
            u32::try_from(kinds.len() - 1).unwrap_or(NONE)
        })
    }
}

fn packed(row: &Row, kind: u32) -> PackedRow {
    PackedRow {
        first_time: I64::new(row.first_time),
        next: row.next,
        local: row.local,
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first_time: i64, next: u32, variant: u32, matured: u32) -> Row {
        Row {
            first_time,
            next,
            local: 3,
            kind: RowKind {
                experiment: 1,
                variant,
                group: NONE,
                matured,
                epoch: 2,
                has_history: false,
            },
        }
    }

    #[test]
    fn rows_are_as_they_were_put_in_and_change_their_kind() {
        let mut rows = Rows::default();
        let first = rows.push(&row(-7, NONE, 4, 0)).unwrap();
        let second = rows.push(&row(i64::MAX, first, 5, 0)).unwrap();
        rows.set(first, &row(8, NONE, 4, 1));
        let found: Vec<(u32, i64, u32, bool)> = rows
            .from(second)
            .map(|(number, row)| (number, row.first_time, row.kind.variant, row.kind.is_matured(0)))
            .collect();
        assert_eq!(found, [(1, i64::MAX, 5, false), (0, 8, 4, true)]);
        let bytes = postcard::to_stdvec(&rows).unwrap();
        let mut read: Rows = postcard::from_bytes(&bytes).unwrap();
        read.rebuild();
        read.push(&row(9, NONE, 4, 1));
        assert_eq!((read.len(), read.kinds.len()), (3, 3));
        assert!(read.get(NONE).is_none() && read.from(NONE).next().is_none());
        assert_eq!(size_of::<PackedRow>(), 20);
    }
}
