//! What a job emits of its results: final windows, and, from time to time, what may still change.

use std::collections::BTreeMap;
use std::time::Instant;

use arrow::record_batch::RecordBatch;
use backplane_events::Table;
use rayon::prelude::*;

use super::{Job, wall_clock};
use crate::emit::{ActivityByExperiment, Emission, result_rows};
use crate::error::RuntimeError;
use crate::partial::{ClosedWindow, Partials, merge_into, merge_windows};
use crate::records_out::CUMULATIVE;
use crate::shard::{Shard, ShardContext};

/// Rows of `assignment_counts` and of `metric_stats` of one window.
type WindowRows = (RecordBatch, RecordBatch);

impl Job {
    /// Emits the rows of windows that became final by `watermark`, and runs the users' queries over them.
    pub(super) fn emit_closed(&mut self, closed: Vec<ClosedWindow>, watermark: i64) -> Result<(), RuntimeError> {
        let mut rows_of_windows = BTreeMap::new();
        for window in closed {
            if let Some((counts, statistics)) = self.emit_window(&window, true)?
                && counts.num_rows() + statistics.num_rows() > 0
            {
                rows_of_windows.insert((window.kind, window.index), (counts, statistics));
            }
        }
        if self.queries.is_empty() {
            return Ok(());
        }
        for (query, rows) in self
            .queries
            .run_closed(&self.plan, &self.waiting, &rows_of_windows, watermark)?
        {
            self.outlets.query_rows(&query, rows)?;
        }
        Ok(())
    }

    /// Emits the rows of a window; gives them back where a query may want them.
    fn emit_window(&mut self, window: &ClosedWindow, is_final: bool) -> Result<Option<WindowRows>, RuntimeError> {
        let Some(kind) = self.plan.windows.get(window.kind) else {
            return Ok(None);
        };
        let (name, span) = (kind.name.clone(), (kind.start(window.index), kind.end(window.index)));
        let activity = ActivityByExperiment::of(&window.partials);
        let (counts, statistics) = self.rows_of(&name, Some(span), is_final, &window.partials, &activity)?;
        self.outlets.rows(Table::AssignmentCounts, counts.clone())?;
        self.outlets.rows(Table::MetricStats, statistics.clone())?;
        Ok(Some((counts, statistics)))
    }

    fn rows_of(
        &mut self,
        window_name: &str,
        window: Option<(i64, i64)>,
        is_final: bool,
        partials: &Partials,
        activity: &ActivityByExperiment,
    ) -> Result<WindowRows, RuntimeError> {
        self.revision += 1;
        let emission = Emission {
            plan: &self.plan,
            definitions: &self.definitions,
            names: &self.names,
            window_name,
            window,
            is_final,
            revision: self.revision,
            as_of: wall_clock(),
        };
        result_rows(&emission, partials, activity)
    }

    /// Emits the experiments to date, and their matured statistics.
    pub(super) fn emit_cumulative(&mut self) -> Result<(), RuntimeError> {
        let snapshots: Vec<(Partials, Partials)> = {
            let shards = &mut self.shards;
            self.pool
                .install(|| shards.par_iter_mut().map(Shard::snapshot).collect())
        };
        let (mut all, mut matured) = (Partials::new(), Partials::new());
        for (shard_all, shard_matured) in snapshots {
            merge_into(&mut all, shard_all);
            merge_into(&mut matured, shard_matured);
        }
        let activity = ActivityByExperiment::of(&all);
        let (counts, statistics) = self.rows_of(CUMULATIVE, None, false, &all, &activity)?;
        self.outlets.rows(Table::AssignmentCounts, counts.clone())?;
        self.outlets.rows(Table::MetricStats, statistics.clone())?;
        if self.outlets.want(Table::MaturedStats) {
            let (_, statistics) = self.rows_of(CUMULATIVE, None, false, &matured, &activity)?;
            self.outlets.rows(Table::MaturedStats, statistics)?;
        }
        self.emit_paths()?;
        self.look(counts, statistics)
    }

    /// In a live job, emits rows that may still change, from time to time, if anything has moved since.
    pub(super) fn emit_provisional(&mut self, now: Instant) -> Result<(), RuntimeError> {
        let is_due = now.saturating_duration_since(self.last_emission) >= self.options.emit_every;
        if self.input.is_bounded() || !is_due || self.watermark == self.last_emitted_watermark {
            return Ok(());
        }
        self.last_emission = now;
        self.last_emitted_watermark = self.watermark;
        self.judge()?;
        let context = ShardContext {
            plan: &self.plan,
            boundaries: &self.boundaries,
            definitions: &self.definitions,
            last_evaluation: self.last_evaluation(),
        };
        let shards = &mut self.shards;
        let open: Vec<Vec<ClosedWindow>> = self.pool.install(|| {
            shards
                .par_iter_mut()
                .map(|shard| shard.provisional_windows(&context))
                .collect()
        });
        let plan = &self.plan;
        for window in merge_windows(open, |kind, index| {
            plan.windows.get(kind).map_or(0, |window| window.end(index))
        }) {
            self.emit_window(&window, false)?;
        }
        self.emit_cumulative()
    }
}
