//! A user's own queries over each closed window: its events and its statistics as tables.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Field, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use backplane_events::{EventType, Table};
use backplane_queries::{BatchQueries, QueryError};

use crate::block::{Block, LateRecord, NO_SLICE, RecordMeta, SharedBlock};
use crate::error::RuntimeError;
use crate::plan::{Plan, WindowPlan};
use crate::risk::IndexRuns;

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

/// A query as a state knows it: what it was, and since when it runs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KnownQuery {
    /// Its window kind and text, as a hash.
    definition: String,
    /// It runs over windows that start then or later, microseconds.
    since: i64,
}

impl UserQuery {
    fn definition(&self) -> String {
        let text = format!("{}\n{}", self.window, self.sql);
        format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
    }
}

/// The queries of a job, and the events that open windows may still need.
pub struct UserQueries {
    queries: Vec<UserQuery>,
    /// By query: it runs over windows that start then or later. What came before it was there is not known any more.
    since: Vec<i64>,
    runner: BatchQueries,
    /// Blocks whose events a window that is not final may need.
    kept: Vec<TimedBlock>,
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
            since: vec![i64::MIN; queries.len()],
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

    /// The blocks whose events open windows may still need.
    #[must_use]
    pub fn kept_blocks(&self) -> Vec<SharedBlock> {
        self.kept.iter().map(|kept| Arc::clone(&kept.block)).collect()
    }

    /// The queries have run over every window that became final by then.
    #[must_use]
    pub fn settled(&self) -> i64 {
        self.settled
    }

    /// The queries by name.
    #[must_use]
    pub fn known(&self) -> BTreeMap<String, KnownQuery> {
        let known = |(query, since): (&UserQuery, &i64)| {
            let (definition, since) = (query.definition(), *since);
            (query.name.clone(), KnownQuery { definition, since })
        };
        self.queries.iter().zip(&self.since).map(known).collect()
    }

    /// Goes on from a state with other queries, perhaps: a query that is new, or another one now, runs over windows that start at
    /// `from` or later. Gives the names of those.
    pub fn take_over(&mut self, known: &BTreeMap<String, KnownQuery>, from: i64) -> Vec<String> {
        let mut new = Vec::new();
        for (query, since) in self.queries.iter().zip(&mut self.since) {
            match known.get(&query.name) {
                Some(known) if known.definition == query.definition() => *since = known.since,
                _ => {
                    *since = from;
                    new.push(query.name.clone());
                }
            }
        }
        new
    }

    /// Goes on with these blocks.
    pub fn restore(&mut self, kept: Vec<SharedBlock>, settled: i64) {
        self.kept = kept.iter().filter_map(TimedBlock::new).collect();
        self.settled = settled;
    }

    /// Keeps a block for the windows that are not final.
    pub fn keep(&mut self, block: SharedBlock) {
        if self.queries.is_empty() {
            return;
        }
        self.kept.extend(TimedBlock::new(&block));
    }

    /// Lets blocks go that no window needs any more.
    pub fn forget(&mut self, plan: &Plan, watermark: i64) {
        let asked_for = self.queries.iter().filter_map(|query| plan.windows.get(query.window));
        let longest = asked_for.map(|window| window.size).max().unwrap_or(0);
        let needed_for = longest.saturating_add(plan.time.allowed_lateness);
        self.kept
            .retain(|block| block.last.saturating_add(needed_for) > watermark);
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
        let settled = self.settled;
        self.settled = settled.max(watermark);
        let closing_of = |window: &WindowPlan| {
            let ended_by = |watermark: i64| window.last_ended_by(watermark.saturating_sub(plan.time.allowed_lateness));
            ended_by(settled).saturating_add(1)..=ended_by(watermark)
        };
        let closing: Vec<(usize, &WindowPlan, RangeInclusive<i64>)> = plan
            .windows
            .iter()
            .enumerate()
            .filter(|(kind, _)| self.queries.iter().any(|query| query.window == *kind))
            .map(|(kind, window)| (kind, window, closing_of(window)))
            .filter(|(_, _, closing)| !closing.is_empty())
            .collect();
        // at most steps no window closes, and nothing need be looked through
        if closing.is_empty() {
            return Ok(Vec::new());
        }
        let waiting: Vec<TimedBlock> = waiting.iter().filter_map(TimedBlock::new).collect();
        let blocks: Vec<&TimedBlock> = self.kept.iter().chain(&waiting).collect();
        let mut closed: BTreeSet<(i64, usize, i64)> = BTreeSet::new();
        for (kind, window, closing) in closing {
            let with_results = results
                .keys()
                .filter(|(its_kind, index)| *its_kind == kind && closing.contains(index))
                .map(|(_, index)| *index);
            let with_events = windows_with_events(&blocks, window, &closing);
            for index in with_results.chain(with_events) {
                closed.insert((window.end(index), kind, index));
            }
        }
        let empty = || {
            (
                RecordBatch::new_empty(Table::AssignmentCounts.schema()),
                RecordBatch::new_empty(Table::MetricStats.schema()),
            )
        };
        let mut rows = Vec::new();
        for (end, kind, index) in closed {
            let start = plan.windows.get(kind).map_or(end, |window| window.start(index));
            let mut of_kind = self.queries.iter().zip(&self.since);
            if !of_kind.any(|(query, since)| query.window == kind && start >= *since) {
                continue;
            }
            let statistics = results.get(&(kind, index)).cloned().unwrap_or_else(empty);
            for (query, batch) in self.run(&blocks, kind, (start, end), &statistics)? {
                rows.push((query, with_window(&batch, start, end)?));
            }
        }
        Ok(rows)
    }

    /// Runs the queries of a kind over the window `[start, end)`.
    fn run(
        &self,
        blocks: &[&TimedBlock],
        kind: usize,
        (start, end): (i64, i64),
        (counts, statistics): &(RecordBatch, RecordBatch),
    ) -> Result<Vec<(String, RecordBatch)>, RuntimeError> {
        let mut tables = vec![
            (Table::AssignmentCounts, counts.clone()),
            (Table::MetricStats, statistics.clone()),
        ];
        tables.extend(window_rows(blocks, kind, start, end)?);
        let of_kind = self.queries.iter().zip(&self.since);
        let of_kind = of_kind.filter(|(query, since)| query.window == kind && start >= **since);
        let rows = of_kind.map(|(query, _)| {
            let rows = self
                .runner
                .run(&query.sql, &tables)
                .map_err(|error| failed(query, error))?;
            Ok((query.name.clone(), rows))
        });
        rows.collect()
    }
}

/// Rows with the window that they are of, `window_start` and `window_end`, where the query has no such columns itself.
fn with_window(rows: &RecordBatch, start: i64, end: i64) -> Result<RecordBatch, RuntimeError> {
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (name, time) in [("window_start", start), ("window_end", end)] {
        if rows.schema().column_with_name(name).is_none() {
            let times = TimestampMicrosecondArray::from_value(time, rows.num_rows()).with_timezone("UTC");
            fields.push(Arc::new(Field::new(name, times.data_type().clone(), false)));
            columns.push(Arc::new(times));
        }
    }
    fields.extend(rows.schema().fields().iter().cloned());
    columns.extend(rows.columns().iter().cloned());
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn failed(query: &UserQuery, source: QueryError) -> RuntimeError {
    RuntimeError::Query {
        name: query.name.clone(),
        source,
    }
}

/// A block whose records count, with the least and the greatest event time among them.
struct TimedBlock {
    first: i64,
    last: i64,
    block: SharedBlock,
}

impl TimedBlock {
    /// None where no record counts, and where nobody asked for the columns when it was read.
    fn new(block: &SharedBlock) -> Option<Self> {
        if !block.is_whole() {
            return None;
        }
        let times = || counted(block).map(|(_, record)| record.time);
        Some(TimedBlock {
            first: times().min()?,
            last: times().max()?,
            block: Arc::clone(block),
        })
    }
}

/// The records of a block that count, each with its index.
fn counted(block: &Block) -> impl Iterator<Item = (u32, &RecordMeta)> {
    (0u32..)
        .zip(&block.records)
        .filter(|(index, record)| record.slice != NO_SLICE && !block.is_dropped(*index))
}

/// Those windows of `closing` that an event of these blocks lies in.
fn windows_with_events(blocks: &[&TimedBlock], window: &WindowPlan, closing: &RangeInclusive<i64>) -> Vec<i64> {
    let mut runs = IndexRuns::default();
    let windows_of = |from: i64, to: i64| {
        let first = window.first_ending_after(from).max(*closing.start());
        let last = window.last_starting_before(to.saturating_add(1)).min(*closing.end());
        (first, last)
    };
    for block in blocks {
        let (first, last) = windows_of(block.first, block.last);
        if first > last {
            continue;
        }
        for (_, record) in counted(&block.block) {
            let (first, last) = windows_of(record.time, record.time);
            runs.insert(first, last);
        }
    }
    runs.indices().collect()
}

/// The events of each type in `[start, end)` that were not late for it.
fn window_rows(
    blocks: &[&TimedBlock],
    kind: usize,
    start: i64,
    end: i64,
) -> Result<Vec<(Table, RecordBatch)>, RuntimeError> {
    let mut parts: BTreeMap<Table, Vec<RecordBatch>> = BTreeMap::new();
    for TimedBlock { block, .. } in blocks.iter().filter(|block| block.first < end && block.last >= start) {
        let is_late = |late: &&LateRecord| {
            late.window.map(usize::from) == Some(kind) && late.window_end.is_some_and(|last| last >= end)
        };
        let late: HashSet<u32> = block.late.iter().filter(is_late).map(|late| late.record).collect();
        let mut rows: BTreeMap<EventType, Vec<u32>> = BTreeMap::new();
        for (index, record) in counted(block) {
            if (start..end).contains(&record.time) && !late.contains(&index) {
                rows.entry(record.event_type).or_default().push(record.row);
            }
        }
        for (event_type, rows) in rows {
            if let Some(columns) = block.columns_of(event_type) {
                let rows = take_record_batch(&columns.batch, &UInt32Array::from(rows))?;
                parts.entry(Table::of_event(event_type)).or_default().push(rows);
            }
        }
    }
    let tables = parts
        .into_iter()
        .map(|(table, parts)| Ok((table, concat_batches(&table.schema(), &parts)?)));
    tables.collect()
}
