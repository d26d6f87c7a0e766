//! A user's own queries over each closed window: its events and its statistics as tables.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::record_batch::RecordBatch;
use backplane_events::{EventType, Table};
use backplane_queries::{BatchQueries, QueryError};

use crate::block::{NO_SLICE, SharedBlock};
use crate::error::RuntimeError;
use crate::plan::{Plan, WindowPlan};

/// A query over the windows of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserQuery {
    /// Its name, which sinks and rows carry.
    pub name: String,
    /// Index of the window kind.
    pub window: usize,
    /// The text.
    pub sql: String,
}

/// The queries of a job, and the events that open windows may still need.
pub struct UserQueries {
    queries: Vec<UserQuery>,
    runner: BatchQueries,
    /// Blocks whose events a window that is not final may need, with their greatest event time.
    kept: Vec<(i64, SharedBlock)>,
    /// The queries have run over every window that became final by then.
    settled: i64,
}

impl UserQueries {
    /// Plans every query once over empty tables, so that a mistake is found before the first event.
    ///
    /// # Errors
    /// [`RuntimeError::Query`] for a query that cannot be planned.
    pub fn new(queries: Vec<UserQuery>) -> Result<Self, RuntimeError> {
        let runner = BatchQueries::new().map_err(RuntimeError::internal)?;
        for query in &queries {
            runner.check(&query.sql).map_err(|error| failed(query, error))?;
        }
        Ok(UserQueries {
            queries,
            runner,
            kept: Vec::new(),
            settled: i64::MIN,
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// Keeps a block for the windows that are not final.
    pub fn keep(&mut self, block: SharedBlock) {
        if self.queries.is_empty() {
            return;
        }
        let counted = block.records.iter().filter(|record| record.slice != NO_SLICE);
        if let Some(last) = counted.map(|record| record.time).max() {
            self.kept.push((last, block));
        }
    }

    /// Lets blocks go that no window needs any more.
    pub fn forget(&mut self, plan: &Plan, watermark: i64) {
        let longest = plan.windows.iter().map(|window| window.size).max().unwrap_or(0);
        let needed_for = longest.saturating_add(plan.time.allowed_lateness);
        self.kept
            .retain(|(last, _)| last.saturating_add(needed_for) > watermark);
        self.settled = self.settled.max(watermark);
    }

    /// Runs the queries over every window that became final by `watermark` and has an event or a subject. `results` are the result rows of
    /// those that have subjects, `waiting` the blocks whose fate is not known yet. Gives the rows of each.
    ///
    /// # Errors
    /// [`RuntimeError::Query`] where a query fails on a window's rows.
    pub fn run_closed(
        &mut self,
        plan: &Plan,
        waiting: &[SharedBlock],
        results: &BTreeMap<(usize, i64), (RecordBatch, RecordBatch)>,
        watermark: i64,
    ) -> Result<Vec<(String, RecordBatch)>, RuntimeError> {
        let blocks: Vec<SharedBlock> = self
            .kept
            .iter()
            .map(|(_, block)| block)
            .chain(waiting)
            .map(Arc::clone)
            .collect();
        let mut closed: BTreeSet<(i64, usize, i64)> = BTreeSet::new();
        for (kind, window) in plan
            .windows
            .iter()
            .enumerate()
            .filter(|(kind, _)| self.queries.iter().any(|query| query.window == *kind))
        {
            let of_kind = results
                .keys()
                .filter(|(its_kind, _)| *its_kind == kind)
                .map(|(_, index)| *index);
            let with_events = windows_with_events(&blocks, window);
            for index in of_kind.chain(with_events) {
                let closes = window.end(index).saturating_add(plan.time.allowed_lateness);
                if closes > self.settled && closes <= watermark {
                    closed.insert((window.end(index), kind, index));
                }
            }
        }
        self.settled = self.settled.max(watermark);
        let empty = || {
            (
                RecordBatch::new_empty(Table::AssignmentCounts.schema()),
                RecordBatch::new_empty(Table::MetricStats.schema()),
            )
        };
        let mut rows = Vec::new();
        for (end, kind, index) in closed {
            let start = plan.windows.get(kind).map_or(end, |window| window.start(index));
            let statistics = results.get(&(kind, index)).cloned().unwrap_or_else(empty);
            rows.extend(self.run(&blocks, kind, (start, end), &statistics)?);
        }
        Ok(rows)
    }

    /// Runs the queries of a kind over the window `[start, end)`.
    fn run(
        &self,
        blocks: &[SharedBlock],
        kind: usize,
        (start, end): (i64, i64),
        (counts, statistics): &(RecordBatch, RecordBatch),
    ) -> Result<Vec<(String, RecordBatch)>, RuntimeError> {
        let mut tables = vec![
            (Table::AssignmentCounts, counts.clone()),
            (Table::MetricStats, statistics.clone()),
        ];
        for event_type in EventType::ALL {
            tables.push((
                Table::of_event(*event_type),
                window_rows(blocks, *event_type, kind, start, end)?,
            ));
        }
        let of_kind = self.queries.iter().filter(|query| query.window == kind);
        let rows = of_kind.map(|query| {
            let rows = self
                .runner
                .run(&query.sql, &tables)
                .map_err(|error| failed(query, error))?;
            Ok((query.name.clone(), rows))
        });
        rows.collect()
    }
}

fn failed(query: &UserQuery, source: QueryError) -> RuntimeError {
    RuntimeError::Query {
        name: query.name.clone(),
        source,
    }
}

/// The windows of a kind that an event of these blocks lies in.
fn windows_with_events(blocks: &[SharedBlock], window: &WindowPlan) -> BTreeSet<i64> {
    let mut indices = BTreeSet::new();
    for block in blocks {
        for record in block.records.iter().filter(|record| record.slice != NO_SLICE) {
            indices.extend(
                window.first_ending_after(record.time)..=window.last_starting_before(record.time.saturating_add(1)),
            );
        }
    }
    indices
}

/// The events of a type in `[start, end)` that were not late for it.
fn window_rows(
    blocks: &[SharedBlock],
    event_type: EventType,
    kind: usize,
    start: i64,
    end: i64,
) -> Result<RecordBatch, RuntimeError> {
    let schema = Table::of_event(event_type).schema();
    let mut parts = Vec::new();
    for block in blocks {
        let Some(columns) = block.columns_of(event_type) else {
            continue;
        };
        let late: HashSet<u32> = block
            .late
            .iter()
            .filter(|late| {
                late.window.map(usize::from) == Some(kind) && late.window_end.is_some_and(|last| last >= end)
            })
            .map(|late| late.record)
            .collect();
        let rows: Vec<u32> = (0u32..)
            .zip(&block.records)
            .filter(|(index, record)| {
                record.event_type == event_type
                    && record.slice != NO_SLICE
                    && (start..end).contains(&record.time)
                    && !late.contains(index)
                    && !block.is_dropped(*index)
            })
            .map(|(_, record)| record.row)
            .collect();
        if !rows.is_empty() {
            parts.push(take_record_batch(&columns.batch, &UInt32Array::from(rows))?);
        }
    }
    Ok(concat_batches(&schema, &parts)?)
}
