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

/// A settled exposure or outcome.
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct RecentRecord {
    /// Event time, microseconds.
    pub time: i64,
    /// An outcome's value.
    pub value: f64,
    /// One more than the number of the record before it of the same subject; 0 for none.
    previous: u64,
    /// The subject's slot.
    pub subject: u32,
    /// The experiment, [`crate::names::NO_NAME`] for an outcome without one.
    pub experiment: u32,
    /// The variant of an exposure, the metric of an outcome.
    pub name: u32,
    /// The variant that an outcome names.
    pub other: u32,
    /// Where the event id begins among those of its chunk.
    id: u32,
    id_length: u16,
    is_exposure: u8,
    is_binary: u8,
}

impl RecentRecord {
    /// Whether it is an exposure (else an outcome).
    #[must_use]
    pub fn is_exposure(&self) -> bool {
        self.is_exposure != 0
    }

    /// Whether an outcome is Binary.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.is_binary != 0
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
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Chunk {
    records: StateVec<RecentRecord>,
    /// Event ids, one after the other.
    ids: StateVec<u8>,
}

impl Chunk {
    fn new() -> Self {
        let mut chunk = Chunk::default();
        chunk.records.reserve_exact(CHUNK);
        chunk
    }

    fn event_id(&self, record: &RecentRecord) -> &[u8] {
        let from = record.id as usize;
        self.ids
            .get(from..from + usize::from(record.id_length))
            .unwrap_or_default()
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
    /// Appends a record; `previous` is the subject's `latest_record`. Gives the subject's new `latest_record`.
    pub fn push(&mut self, slice: i64, record: NewRecord<'_>, previous: u64) -> u64 {
        if self.end.is_multiple_of(CHUNK as u64) {
            self.chunks.push_back(Chunk::new());
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let id = u32::try_from(chunk.ids.len()).unwrap_or(u32::MAX);
            let id_length = u16::try_from(record.event_id.len()).unwrap_or(u16::MAX);
            let kept = record.event_id.as_bytes().get(..usize::from(id_length));
            chunk.ids.extend_from_slice(kept.unwrap_or_default());
            chunk.records.push(RecentRecord {
                time: record.time,
                value: record.value,
                previous,
                subject: record.subject,
                experiment: record.experiment,
                name: record.name,
                other: record.other,
                id,
                id_length,
                is_exposure: u8::from(record.is_exposure),
                is_binary: u8::from(record.is_binary),
            });
        }
        self.end += 1;
        let after = self.end;
        match self.slices.back_mut() {
            Some((last, end)) if *last == slice => *end = after,
            _ => self.slices.push_back((slice, after)),
        }
        after
    }

    /// The records of a subject, latest settled first, from its `latest_record`.
    pub fn of_subject(&self, latest_record: u64) -> impl Iterator<Item = &RecentRecord> {
        self.references_of_subject(latest_record).map(|(_, record)| record)
    }

    /// The records of a subject, latest settled first, each with the reference that [`RecentLog::get`] takes.
    pub fn references_of_subject(&self, latest_record: u64) -> impl Iterator<Item = (u64, &RecentRecord)> {
        let mut next = latest_record;
        std::iter::from_fn(move || {
            let reference = next;
            let record = self.get(reference)?;
            next = record.previous;
            Some((reference, record))
        })
    }

    /// Whether the record that `after` refers to comes after the one that `before` refers to, by event time, then event id. What is forgotten
    /// is before everything that can still come.
    #[must_use]
    pub fn is_later(&self, after: u64, before: u64) -> bool {
        let (Some((chunk, record)), Some((its_chunk, before))) = (self.find(after), self.find(before)) else {
            return true;
        };
        let by_id = || chunk.event_id(record).cmp(its_chunk.event_id(before));
        record.time.cmp(&before.time).then_with(by_id).is_gt()
    }

    /// The event id of the record of a reference; an empty one of a record that is forgotten, or was remembered without it.
    #[must_use]
    pub fn event_id(&self, reference: u64) -> &[u8] {
        let found = self.find(reference);
        found.map(|(chunk, record)| chunk.event_id(record)).unwrap_or_default()
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
            self.chunks.pop_front();
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
        self.chunks.iter().map(of_chunk).sum()
    }

    /// The record of a reference; none for 0, and for a record that is forgotten.
    #[must_use]
    pub fn get(&self, reference: u64) -> Option<&RecentRecord> {
        self.find(reference).map(|(_, record)| record)
    }

    fn find(&self, reference: u64) -> Option<(&Chunk, &RecentRecord)> {
        let number = reference.checked_sub(1).filter(|number| *number >= self.first)?;
        let (chunk, place) = (number / CHUNK as u64, number % CHUNK as u64);
        let chunk = self.chunks.get((chunk - self.first / CHUNK as u64) as usize)?;
        Some((chunk, chunk.records.get(place as usize)?))
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
        let a = log.push(10, record(1, 5, "a"), 0);
        let b = log.push(10, record(2, 6, "b"), 0);
        let c = log.push(20, record(1, 15, "ccc"), a);
        let times: Vec<i64> = log.of_subject(c).map(|record| record.time).collect();
        assert_eq!(times, [15, 5]);
        let mut gone = Vec::new();
        forget_until(&mut log, 10, |record, latest| gone.push((record.time, latest)));
        assert_eq!(gone, [(5, a), (6, b)]);
        assert_eq!(log.of_subject(b).count(), 0);
        let left: Vec<&[u8]> = log
            .references_of_subject(c)
            .map(|(reference, _)| log.event_id(reference))
            .collect();
        assert_eq!(left, [b"ccc"]);
    }

    #[test]
    fn chunks_are_given_up_when_all_of_theirs_is_forgotten() {
        let mut log = RecentLog::default();
        let (mut latest, mut forgotten) = (0, 0);
        for number in 0..10 * CHUNK as i64 {
            let id = number.to_string();
            latest = log.push(number / 10, record(1, number, &id), latest);
            forget_until(&mut log, number / 10 - 30, |gone, reference| {
                assert_eq!((gone.time, reference), (forgotten, forgotten as u64 + 1));
                forgotten += 1;
            });
        }
        assert_eq!(log.chunks.len(), 2);
        let left = log.references_of_subject(latest);
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
