//! What a job hands to its sinks, counted for people: closed windows, and why records could not be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use backplane_connector_api::{ConnectorError, Effect, Epoch, Output, Sink};
use backplane_events::Table;
use backplane_runtime::Outlet;

/// The name of the sink that counts.
pub const NAME: &str = "summary";

/// The counts. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    counts: Arc<Mutex<Counts>>,
}

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Dead letters by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// Dead letters by source.
    pub dead_letter_sources: BTreeMap<String, u64>,
    /// Windows that are final, by name and start.
    pub windows: BTreeSet<(String, i64)>,
}

impl Tally {
    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// The outlet that counts.
    pub fn outlet(&self) -> Outlet {
        Outlet::new(
            Box::new(TallySink { tally: self.clone() }),
            [Table::DeadLetters, Table::AssignmentCounts],
        )
    }

    // a holder that panicked left whole counts behind
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Records that could not be read.
    pub fn unreadable(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    /// The commonest reasons first, at most `most` of them.
    pub fn commonest_reasons(&self, most: usize) -> Vec<(&str, u64)> {
        let mut reasons: Vec<(&str, u64)> = self
            .dead_letters
            .iter()
            .map(|(reason, count)| (reason.as_str(), *count))
            .collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons.truncate(most);
        reasons
    }

    fn add(&mut self, table: Table, batch: &RecordBatch) -> Option<()> {
        if table == Table::DeadLetters {
            for (column, counts) in [
                ("reason", &mut self.dead_letters),
                ("source", &mut self.dead_letter_sources),
            ] {
                for value in batch.column_by_name(column)?.as_string_opt::<i32>()?.iter().flatten() {
                    *counts.entry(value.to_owned()).or_default() += 1;
                }
            }
            return Some(());
        }
        let names = batch.column_by_name("window_name")?.as_string_opt::<i32>()?;
        let starts = batch
            .column_by_name("window_start")?
            .as_primitive_opt::<TimestampMicrosecondType>()?;
        let finals = batch.column_by_name("is_final")?.as_boolean_opt()?;
        for row in 0..batch.num_rows() {
            if starts.is_valid(row) && finals.value(row) {
                self.windows.insert((names.value(row).to_owned(), starts.value(row)));
            }
        }
        Some(())
    }
}

struct TallySink {
    tally: Tally,
}

impl Sink for TallySink {
    fn name(&self) -> &str {
        NAME
    }

    fn accept(&mut self, output: &Output) -> Result<(), ConnectorError> {
        let Output::Rows { table, batch } = output else {
            return Ok(());
        };
        let counted = self.tally.lock().add(*table, batch);
        counted.ok_or_else(|| ConnectorError::internal(NAME, format!("rows of {} lack a column", table.name())))
    }

    fn prepare(&mut self, _epoch: Epoch) -> Result<Effect, ConnectorError> {
        Ok(Effect::Null)
    }

    fn publish(&mut self, _epoch: Epoch, _effect: &Effect) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// The counts are of this process alone.
    fn withdraw(&mut self, _epoch: Epoch, _effect: &Effect) -> Result<(), ConnectorError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use backplane_events::BadReason;
    use backplane_runtime::{DeadLetter, dead_letter_rows};

    use super::*;

    #[test]
    fn dead_letters_are_counted_by_reason_the_commonest_first() {
        let letter = |reason| DeadLetter {
            source: "file".to_owned(),
            position: "events.ndjson:1".to_owned(),
            reason,
            detail: "it is".to_owned(),
            raw: b"{".to_vec(),
        };
        let letters = [
            letter(BadReason::EmptyId),
            letter(BadReason::InvalidJson),
            letter(BadReason::InvalidJson),
        ];
        let batch = dead_letter_rows(&letters, 0).unwrap();
        let tally = Tally::default();
        let mut sink = TallySink { tally: tally.clone() };
        sink.accept(&Output::Rows {
            table: Table::DeadLetters,
            batch,
        })
        .unwrap();
        assert_eq!(
            tally.counts().commonest_reasons(5),
            [("invalid_json", 2), ("empty_id", 1)]
        );
        assert_eq!(tally.counts().commonest_reasons(1), [("invalid_json", 2)]);
    }
}
