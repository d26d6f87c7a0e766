//! The records of the correction horizon: what a late exposure may still change.
//!
//! Records are numbered in the order in which they were settled, and each points at the one before it of the same subject; so a subject's
//! recent records are found without an index, and whole slices are forgotten from the front.

use std::collections::VecDeque;

use backplane_memory::StateVec;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Records that lie together, and are given up together; in tests so few that they are. State that was written down by another number cannot
/// be read: it is part of `backplane_checkpoint::FORMAT`.
const CHUNK: usize = if cfg!(test) { 1 << 8 } else { 1 << 14 };

/// A settled exposure or outcome: 40 bytes.
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct RecentRecord {
    /// Event time, microseconds.
    pub time: i64,
    /// An outcome's value.
    pub value: f64,
    /// How many records ago the one before it of the same subject came; 0 for none.
    back: u32,
    /// The subject's slot.
    pub subject: u32,
    /// The experiment, [`crate::names::NO_NAME`] for an outcome without one.
    pub experiment: u32,
    /// The variant of an exposure, the metric of an outcome.
    pub name: u32,
    /// The variant that an outcome names.
    pub other: u32,
    /// Where the event id begins among those of its chunk (it ends where the next one begins), and in the highest three bits what it is.
    id: u32,
}

const IS_EXPOSURE: u32 = 1 << 31;
const IS_BINARY: u32 = 1 << 30;
const IS_REGULAR: u32 = 1 << 29;
/// Ids beyond this length are cut; so the ids of a chunk are no longer than the bits that say where they are.
const LONGEST_ID: usize = (IS_REGULAR as usize - 1) / CHUNK;

impl RecentRecord {
    /// Whether it is an exposure (else an outcome).
    #[must_use]
    pub fn is_exposure(&self) -> bool {
        self.id & IS_EXPOSURE != 0
    }

    /// Whether an outcome is Binary.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.id & IS_BINARY != 0
    }

    /// Whether nothing is to be done when it is forgotten: it is an exposure, or an outcome of a subject that was exposed in the experiment
    /// which it names, to no other variant than it names. A later correction may change the verdict, the horizon's end does not.
    #[must_use]
    pub fn is_regular(&self) -> bool {
        self.id & IS_REGULAR != 0
    }

    fn id_start(&self) -> usize {
        (self.id & !(IS_EXPOSURE | IS_BINARY | IS_REGULAR)) as usize
    }
}

/// Which record of a subject is the latest, in 31 bits: of those that are remembered, no two have the same. That of a record which is forgotten
/// refers to none, or, after a round of all numbers, to a record of another subject; so whoever follows it looks at the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest(u32);

/// So many records can be told apart.
const DISTINCT: u64 = (1 << 31) - 1;

impl Latest {
    /// No record.
    pub const NONE: Latest = Latest(0);

    /// That which [`Latest::bits`] gave.
    #[must_use]
    pub fn of_bits(bits: u32) -> Latest {
        Latest(bits)
    }

    /// As a number below 2^31.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The record of this reference.
    #[must_use]
    pub fn of(reference: u64) -> Latest {
        Latest((reference % DISTINCT) as u32 + 1)
    }
}

/// The recent records of a shard.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct RecentLog {
    /// Oldest first; each begins at a multiple of [`CHUNK`].
    chunks: VecDeque<Chunk>,
    /// The number of the first record that is remembered. It is in the first chunk, behind others that are forgotten.
    first: u64,
    /// One more than the number of the last one.
    end: u64,
    /// (slice, one more than the number of its last record), oldest first.
    slices: VecDeque<(i64, u64)>,
    /// Whether there ever were more than can be told apart.
    is_full: bool,
    /// A chunk whose records are forgotten, for those that come.
    #[serde(skip)]
    spare: Option<Chunk>,
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Chunk {
    records: StateVec<RecentRecord>,
    /// Event ids, one after the other.
    ids: StateVec<u8>,
}

impl Chunk {
    fn with_room() -> Self {
        let mut chunk = Chunk::default();
        chunk.records.reserve_exact(CHUNK);
        chunk
    }

    /// With the room that it has, and nothing in it.
    fn emptied(mut self) -> Self {
        self.records.clear();
        self.ids.clear();
        self
    }

    fn event_id(&self, place: usize) -> &[u8] {
        let Some(record) = self.records.get(place) else {
            return &[];
        };
        let end = self
            .records
            .get(place + 1)
            .map_or(self.ids.len(), RecentRecord::id_start);
        self.ids.get(record.id_start()..end).unwrap_or_default()
    }
}

/// A record without its place in the log.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// See [`RecentRecord`].
    pub time: i64,
    /// See [`RecentRecord`].
    pub value: f64,
    /// The event id; empty where nobody will ask for it.
    pub event_id: &'a str,
    /// See [`RecentRecord`].
    pub subject: u32,
    /// See [`RecentRecord`].
    pub experiment: u32,
    /// See [`RecentRecord`].
    pub name: u32,
    /// See [`RecentRecord`].
    pub other: u32,
    /// See [`RecentRecord`].
    pub is_exposure: bool,
    /// See [`RecentRecord`].
    pub is_binary: bool,
}

impl RecentLog {
    /// Appends a record; `latest` is the subject's latest one. Gives the reference to it.
    pub fn push(&mut self, slice: i64, record: NewRecord<'_>, latest: Latest) -> u64 {
        let previous = self.reference(latest);
        if self.end.is_multiple_of(CHUNK as u64) {
            let chunk = self.spare.take().unwrap_or_else(Chunk::with_room);
            self.chunks.push_back(chunk);
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let flag = |is: bool, bit: u32| if is { bit } else { 0 };
            let id = chunk.ids.len() as u32
                | flag(record.is_exposure, IS_EXPOSURE | IS_REGULAR)
                | flag(record.is_binary, IS_BINARY);
            let event_id = record.event_id.as_bytes();
            let kept = event_id.get(..LONGEST_ID).unwrap_or(event_id);
            chunk.ids.extend_from_slice(kept);
            let back = match previous {
                0 => 0,
                previous => u32::try_from(self.end + 1 - previous).unwrap_or(0),
            };
            chunk.records.push(RecentRecord {
                time: record.time,
                value: record.value,
                back,
                subject: record.subject,
                experiment: record.experiment,
                name: record.name,
                other: record.other,
                id,
            });
        }
        self.end += 1;
        self.is_full |= self.end - self.first > DISTINCT;
        let after = self.end;
        match self.slices.back_mut() {
            Some((last, end)) if *last == slice => *end = after,
            _ => self.slices.push_back((slice, after)),
        }
        after
    }

    /// The reference to a subject's latest record; 0 where that is forgotten, and where there is none.
    #[must_use]
    pub fn reference(&self, latest: Latest) -> u64 {
        let Some(rest) = latest.bits().checked_sub(1) else {
            return 0;
        };
        let oldest = self.first + 1;
        let reference = oldest + (u64::from(rest) + DISTINCT - oldest % DISTINCT) % DISTINCT;
        if reference <= self.end { reference } else { 0 }
    }

    /// Notes whether an outcome is [regular](RecentRecord::is_regular), as its subject stands now.
    pub fn note_regular(&mut self, reference: u64, is_regular: bool) {
        let Some((chunk, place)) = self.place_of(reference) else {
            return;
        };
        let record = self
            .chunks
            .get_mut(chunk)
            .and_then(|chunk| chunk.records.get_mut(place));
        if let Some(record) = record {
            record.id = (record.id & !IS_REGULAR) | if is_regular { IS_REGULAR } else { 0 };
        }
    }

    /// Whether a record could not be told from another one.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The records of a subject, latest settled first.
    pub fn of_subject(&self, subject: u32, latest: Latest) -> impl Iterator<Item = &RecentRecord> {
        self.references_of_subject(subject, latest).map(|(_, record)| record)
    }

    /// The records of a subject, latest settled first, each with the reference that [`RecentLog::get`] takes.
    pub fn references_of_subject(&self, subject: u32, latest: Latest) -> impl Iterator<Item = (u64, &RecentRecord)> {
        let mut next = self.reference(latest);
        std::iter::from_fn(move || {
            let reference = next;
            let record = self.get(reference).filter(|record| record.subject == subject)?;
            next = match record.back {
                0 => 0,
                back => reference - u64::from(back),
            };
            Some((reference, record))
        })
    }

    /// Whether the record that `after` refers to comes after the one that `before` refers to, by event time, then event id. What is forgotten
    /// is before everything that can still come.
    #[must_use]
    pub fn is_later(&self, after: u64, before: u64) -> bool {
        let (Some(record), Some(its)) = (self.get(after), self.get(before)) else {
            return true;
        };
        let by_id = || self.event_id(after).cmp(self.event_id(before));
        record.time.cmp(&its.time).then_with(by_id).is_gt()
    }

    /// The event id of the record of a reference; an empty one of a record that is forgotten, or was remembered without it.
    #[must_use]
    pub fn event_id(&self, reference: u64) -> &[u8] {
        let found = self.find(reference);
        found.map(|(chunk, place)| chunk.event_id(place)).unwrap_or_default()
    }

    /// The oldest records, those of slices that end at or before `until` and lie together, with the reference to the first of them.
    #[must_use]
    pub fn oldest(&self, until: i64) -> Option<(u64, &[RecentRecord])> {
        let (_, end) = self.slices.iter().take_while(|(slice, _)| *slice <= until).last()?;
        let from = (self.first % CHUNK as u64) as usize;
        let records = self.chunks.front()?.records.get(from..)?;
        let count = records.len().min((*end - self.first) as usize);
        Some((self.first + 1, records.get(..count)?))
    }

    /// Forgets the oldest records, so many of those that [`RecentLog::oldest`] gives.
    pub fn forget(&mut self, count: usize) {
        self.first += count as u64;
        if count > 0 && self.first.is_multiple_of(CHUNK as u64) {
            self.spare = self.chunks.pop_front().map(Chunk::emptied);
        }
        if self.first == self.end {
            self.spare = None;
        }
        while self.slices.front().is_some_and(|(_, end)| *end <= self.first) {
            self.slices.pop_front();
        }
    }

    /// The oldest slice that is remembered.
    #[must_use]
    pub fn first_slice(&self) -> Option<i64> {
        self.slices.front().map(|(slice, _)| *slice)
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        let of_chunk = |chunk: &Chunk| chunk.records.capacity() * size_of::<RecentRecord>() + chunk.ids.capacity();
        self.chunks.iter().chain(&self.spare).map(of_chunk).sum()
    }

    /// The record of a reference; none for 0, and for a record that is forgotten.
    #[must_use]
    pub fn get(&self, reference: u64) -> Option<&RecentRecord> {
        let (chunk, place) = self.find(reference)?;
        chunk.records.get(place)
    }

    /// The chunk of a record that is remembered, and its place there.
    fn find(&self, reference: u64) -> Option<(&Chunk, usize)> {
        let (chunk, place) = self.place_of(reference)?;
        Some((self.chunks.get(chunk)?, place))
    }

    /// Which chunk a record that is remembered is in, and its place there.
    fn place_of(&self, reference: u64) -> Option<(usize, usize)> {
        let number = reference.checked_sub(1).filter(|number| *number >= self.first)?;
        let (chunk, place) = (number / CHUNK as u64, number % CHUNK as u64);
        Some(((chunk - self.first / CHUNK as u64) as usize, place as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(subject: u32, time: i64, event_id: &str) -> NewRecord<'_> {
        NewRecord {
            time,
            value: 1.0,
            event_id,
            subject,
            experiment: 0,
            name: 0,
            other: 0,
            is_exposure: false,
            is_binary: false,
        }
    }

    fn forget_until(log: &mut RecentLog, until: i64, mut each: impl FnMut(&RecentRecord, u64)) {
        while let Some((first, records)) = log.oldest(until) {
            for (record, reference) in records.iter().zip(first..) {
                each(record, reference);
            }
            let count = records.len();
            log.forget(count);
        }
    }

    #[test]
    fn a_subjects_records_are_found_until_their_slice_is_forgotten() {
        let mut log = RecentLog::default();
        let a = log.push(10, record(1, 5, "a"), Latest::NONE);
        let b = log.push(10, record(2, 6, "b"), Latest::NONE);
        let c = log.push(20, record(1, 15, "ccc"), Latest::of(a));
        let times: Vec<i64> = log.of_subject(1, Latest::of(c)).map(|record| record.time).collect();
        assert_eq!(times, [15, 5]);
        let mut gone = Vec::new();
        forget_until(&mut log, 10, |record, latest| gone.push((record.time, latest)));
        assert_eq!(gone, [(5, a), (6, b)]);
        assert!(log.get(b).is_none());
        assert_eq!((log.reference(Latest::of(b)), log.reference(Latest::of(c))), (0, c));
        assert_eq!(log.of_subject(2, Latest::of(c)).count(), 0, "it is another subject's");
        // what was forgotten is not linked
        let d = log.push(30, record(2, 25, "d"), Latest::of(b));
        assert_eq!(log.of_subject(2, Latest::of(d)).count(), 1);
        let left: Vec<&[u8]> = log
            .references_of_subject(1, Latest::of(c))
            .map(|(reference, _)| log.event_id(reference))
            .collect();
        assert_eq!(left, [b"ccc"]);
    }

    #[test]
    fn more_records_than_can_be_told_apart_are_too_many() {
        let mut log = RecentLog {
            end: DISTINCT - 1,
            ..RecentLog::default()
        };
        log.push(10, record(1, 5, "a"), Latest::NONE);
        assert!(!log.is_full());
        log.push(10, record(2, 6, "b"), Latest::NONE);
        assert!(log.is_full());
    }

    #[test]
    fn chunks_are_given_up_when_all_of_theirs_is_forgotten() {
        // at the beginning, and where the numbers that subjects hold begin anew
        for chunk in [0, DISTINCT / CHUNK as u64 - 5] {
            chunks_are_given_up(chunk * CHUNK as u64);
        }
    }

    fn chunks_are_given_up(first: u64) {
        let mut log = RecentLog {
            first,
            end: first,
            ..RecentLog::default()
        };
        let (mut latest, mut forgotten) = (0, 0);
        for number in 0..10 * CHUNK as i64 {
            let id = number.to_string();
            let before = if number == 0 { Latest::NONE } else { Latest::of(latest) };
            latest = log.push(number / 10, record(1, number, &id), before);
            assert_eq!(log.reference(Latest::of(latest)), latest);
            forget_until(&mut log, number / 10 - 30, |gone, reference| {
                assert_eq!((gone.time, reference), (forgotten, first + forgotten as u64 + 1));
                forgotten += 1;
            });
        }
        assert_eq!(log.chunks.len(), 2);
        let left = log.references_of_subject(1, Latest::of(latest));
        let left: Vec<(i64, &[u8])> = left
            .map(|(reference, record)| (record.time, log.event_id(reference)))
            .collect();
        let times = (forgotten..10 * CHUNK as i64).rev();
        let expected: Vec<(i64, String)> = times.map(|time| (time, time.to_string())).collect();
        let expected: Vec<(i64, &[u8])> = expected.iter().map(|(time, id)| (*time, id.as_bytes())).collect();
        assert_eq!(left, expected);
        assert!(log.is_later(latest, latest - 1) && !log.is_later(latest - 1, latest));
        assert!(log.is_later(latest, 1) && log.get(1).is_none() && log.event_id(1).is_empty());
    }
}
