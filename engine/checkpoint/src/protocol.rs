//! What to do, as functions of what was seen: no I/O here.

use std::collections::BTreeSet;

use backplane_connector_api::Epoch;

use crate::layout;
use crate::manifest::{EpochRecord, Manifest, Writer};

/// How an attempt to create an epoch's record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The storage says that it was created.
    Created,
    /// The storage says that there is one.
    Exists,
    /// The storage failed, or gave no answer in time: it may have been created.
    Unknown,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The epoch is ours.
    Mine,
    /// Another writer has decided it.
    Another(Writer),
    /// It is not decided: try again.
    TryAgain,
    /// The record must be read first.
    ReadBack,
}

/// What an attempt by `me` comes to; `found` is what was read back afterwards, `None` where nothing was read.
#[must_use]
pub fn verdict(me: Writer, attempt: Attempt, found: Option<Option<&EpochRecord>>) -> Verdict {
    match (attempt, found) {
        (Attempt::Created, _) => Verdict::Mine,
        (_, None) => Verdict::ReadBack,
        (_, Some(Some(record))) if record.writer == me => Verdict::Mine,
        (_, Some(Some(record))) => Verdict::Another(record.writer),
        // also where it was said to exist: whatever that was, it is gone
        (_, Some(None)) => Verdict::TryAgain,
    }
}

/// What may be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Decisions on epochs that are not kept. They go first: while one is there, what it names must be.
    pub records: Vec<String>,
    /// What no kept epoch names.
    pub others: Vec<String>,
}

/// What may be removed: records and manifests of epochs before the `retain` last decided ones, and of what has an epoch in its name everything
/// that no retained manifest names. What belongs to an epoch after the last decided one is left: a writer may be at it.
#[must_use]
pub fn garbage(names: &[String], decided: &[Epoch], retained: &[Manifest], last: Epoch) -> Garbage {
    let kept: BTreeSet<Epoch> = retained.iter().map(|manifest| manifest.epoch).collect();
    let named: BTreeSet<String> = retained
        .iter()
        .flat_map(|manifest| {
            let parts = manifest.parts().map(|part| part.path.clone());
            parts.chain([layout::manifest(manifest.epoch, manifest.writer)])
        })
        .collect();
    let oldest = kept.first().copied().unwrap_or(last);
    let records = decided
        .iter()
        .filter(|epoch| **epoch < oldest)
        .map(|epoch| layout::record(*epoch));
    let others = names.iter().filter(|name| {
        let is_ours = name.starts_with(layout::MANIFESTS) || name.starts_with(layout::STATE);
        let is_past = layout::epoch_of(name).is_some_and(|epoch| epoch <= last);
        is_ours && is_past && !named.contains(*name)
    });
    Garbage {
        records: records.collect(),
        others: others.cloned().collect(),
    }
}

/// The decided epochs that are kept: the `retain` last ones, and always the last.
#[must_use]
pub fn retained(decided: &[Epoch], retain: usize) -> &[Epoch] {
    let first = decided.len().saturating_sub(retain.max(1));
    decided.get(first..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ManifestRef, PartRef};

    fn record(writer: Writer) -> EpochRecord {
        EpochRecord {
            epoch: Epoch(3),
            writer,
            manifest: ManifestRef {
                path: String::new(),
                hash: String::new(),
            },
        }
    }

    fn manifest(epoch: u64, writer: Writer, paths: &[&str]) -> Manifest {
        let part = |path: &&str| PartRef {
            path: (*path).to_owned(),
            bytes: 0,
            hash: String::new(),
        };
        let parts: Vec<PartRef> = paths.iter().map(part).collect();
        crate::testing::manifest(Epoch(epoch), writer, &parts)
    }

    #[test]
    fn an_answer_that_was_lost_is_found_by_reading_back() {
        let (me, other) = (Writer::new(), Writer::new());
        assert_eq!(verdict(me, Attempt::Created, None), Verdict::Mine);
        for attempt in [Attempt::Exists, Attempt::Unknown] {
            assert_eq!(verdict(me, attempt, None), Verdict::ReadBack);
            assert_eq!(verdict(me, attempt, Some(Some(&record(me)))), Verdict::Mine);
            assert_eq!(
                verdict(me, attempt, Some(Some(&record(other)))),
                Verdict::Another(other)
            );
            assert_eq!(verdict(me, attempt, Some(None)), Verdict::TryAgain);
        }
    }

    #[test]
    fn only_what_no_kept_epoch_names_is_garbage() {
        let (me, dead) = (Writer::new(), Writer::new());
        let part = |epoch: u64, writer: Writer| layout::part(Epoch(epoch), writer, "changes");
        let kept = manifest(4, me, &[&part(2, me), &part(4, me)]);
        let names: Vec<String> = [
            part(1, me),
            part(2, me),
            part(4, me),
            // prepared by an instance that lost, and by one that is at it
            part(4, dead),
            part(5, me),
            layout::manifest(Epoch(3), me),
            layout::manifest(Epoch(4), me),
            layout::manifest(Epoch(4), dead),
            layout::manifest(Epoch(5), me),
            layout::OWNER.to_owned(),
            "state/notes.txt".to_owned(),
        ]
        .to_vec();
        let decided = [Epoch(2), Epoch(3), Epoch(4)];
        let garbage = garbage(&names, &decided, &[kept], Epoch(4));
        assert_eq!(garbage.records, [layout::record(Epoch(2)), layout::record(Epoch(3))]);
        let expected = [
            part(1, me),
            part(4, dead),
            layout::manifest(Epoch(3), me),
            layout::manifest(Epoch(4), dead),
        ];
        assert_eq!(garbage.others, expected);
    }

    #[test]
    fn the_last_epoch_is_always_kept() {
        let decided = [Epoch(1), Epoch(2), Epoch(3)];
        assert_eq!(retained(&decided, 0), [Epoch(3)]);
        assert_eq!(retained(&decided, 2), [Epoch(2), Epoch(3)]);
        assert_eq!(retained(&decided, 9), decided);
        assert!(retained(&[], 2).is_empty());
    }
}
