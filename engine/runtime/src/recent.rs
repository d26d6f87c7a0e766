//! The records of the correction horizon: what a late exposure may still change.
//!
//! Records are numbered in the order in which they were settled, and each points at the one before it of the same subject; so a subject's
//! recent records are found without an index, and whole slices are forgotten from the front.

use std::collections::VecDeque;

/// A settled exposure or outcome.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct RecentRecord {
    /// Event time, microseconds.
    pub time: i64,
    /// An outcome's value.
    pub value: f64,
    /// Where the event id begins in the arena of event ids, counted from the beginning of time.
    id: u64,
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
    id_length: u16,
    /// Whether it is an exposure (else an outcome).
    pub is_exposure: bool,
    /// Whether an outcome is Binary.
    pub binary: bool,
}

/// The recent records of a shard.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct RecentLog {
    records: VecDeque<RecentRecord>,
    /// The number of the first record in `records`.
    first: u64,
    ids: VecDeque<u8>,
    first_id: u64,
    /// (slice, one more than the number of its last record), oldest first.
    slices: VecDeque<(i64, u64)>,
}

/// A record without its place in the log.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// See [`RecentRecord`].
    pub time: i64,
    /// See [`RecentRecord`].
    pub value: f64,
    /// The event id.
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
    pub binary: bool,
}

impl RecentLog {
    /// Appends a record; `previous` is the subject's `latest_record`. Gives the subject's new `latest_record`.
    pub fn push(&mut self, slice: i64, record: NewRecord<'_>, previous: u64) -> u64 {
        let id = self.first_id + self.ids.len() as u64;
        let id_length = u16::try_from(record.event_id.len()).unwrap_or(u16::MAX);
        self.ids.extend(record.event_id.bytes().take(usize::from(id_length)));
        self.records.push_back(RecentRecord {
            time: record.time,
            value: record.value,
            id,
            previous,
            subject: record.subject,
            experiment: record.experiment,
            name: record.name,
            other: record.other,
            id_length,
            is_exposure: record.is_exposure,
            binary: record.binary,
        });
        let after = self.first + self.records.len() as u64;
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

    /// Whether `record` comes after the record that `before` refers to, by event time, then event id. What is forgotten is before everything
    /// that can still come.
    #[must_use]
    pub fn is_later(&self, record: &RecentRecord, before: u64) -> bool {
        let Some(before) = self.get(before) else {
            return true;
        };
        let by_id = || self.id_bytes(record).cmp(self.id_bytes(before));
        record.time.cmp(&before.time).then_with(by_id).is_gt()
    }

    /// The event id of a record.
    #[must_use]
    pub fn event_id(&self, record: &RecentRecord) -> Vec<u8> {
        self.id_bytes(record).copied().collect()
    }

    fn id_bytes(&self, record: &RecentRecord) -> std::collections::vec_deque::Iter<'_, u8> {
        let from = (record.id - self.first_id) as usize;
        self.ids.range(from..from + usize::from(record.id_length))
    }

    /// Forgets the oldest slice if it ends at or before `until`, handing each of its records over.
    pub fn forget_until(&mut self, until: i64, mut each: impl FnMut(&RecentRecord, u64)) {
        while let Some(&(slice, end)) = self.slices.front() {
            if slice > until {
                break;
            }
            self.slices.pop_front();
            while self.first < end {
                let Some(record) = self.records.pop_front() else { break };
                self.first += 1;
                self.ids.drain(..usize::from(record.id_length));
                self.first_id += u64::from(record.id_length);
                each(&record, self.first);
            }
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
        self.records.capacity() * size_of::<RecentRecord>() + self.ids.capacity()
    }

    /// The record of a reference; none for 0, and for a record that is forgotten.
    #[must_use]
    pub fn get(&self, reference: u64) -> Option<&RecentRecord> {
        let number = reference.checked_sub(1)?;
        let index = number.checked_sub(self.first)?;
        self.records.get(usize::try_from(index).ok()?)
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
            binary: false,
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
        log.forget_until(10, |record, latest| gone.push((record.time, latest)));
        assert_eq!(gone, [(5, a), (6, b)]);
        assert_eq!(log.of_subject(b).count(), 0);
        let left: Vec<Vec<u8>> = log.of_subject(c).map(|record| log.event_id(record)).collect();
        assert_eq!(left, [b"ccc".to_vec()]);
    }
}
