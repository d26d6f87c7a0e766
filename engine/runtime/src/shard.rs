//! A shard: the state of an eighth of the subjects, moved slice by slice by one owner.

use std::collections::BTreeMap;
use std::sync::Arc;

use backplane_memory::StateVec;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::ahead;
use crate::assigned::AssignedSubjects;
use crate::block::{RecordMeta, SharedBlock};
use crate::experiment::ExperimentState;
use crate::join::Verdict;
use crate::names::{NO_NAME, Names};
use crate::panes::OpenWindows;
use crate::partial::{ClosedWindow, Partials};
use crate::pending::{Pending, Segment};
use crate::plan::{Boundaries, ExperimentDefinition, Plan};
use crate::recent::{Latest, RecentLog, RecentRecord};
use crate::risk::IndexRuns;
use crate::row::Rows;
use crate::snapshot::ShardChanges;
use crate::subjects::{NONE, SubjectTable};

/// What every shard needs to know of the job.
#[derive(Debug, Clone, Copy)]
pub struct ShardContext<'a> {
    /// What is computed.
    pub plan: &'a Plan,
    /// When state is settled.
    pub boundaries: &'a Boundaries,
    /// By experiment id.
    pub definitions: &'a [Arc<ExperimentDefinition>],
    /// The last evaluation that a bounded run comes to by itself; `i64::MAX` while its sources are not exhausted.
    pub last_evaluation: i64,
}

/// What a shard hands over when its state has moved.
#[derive(Debug, Default)]
pub struct Settled {
    /// The windows that became final, in order.
    pub closed: Vec<ClosedWindow>,
    /// What evaluations see.
    pub changes: ShardChanges,
}

/// A row and one of its attribution classes.
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub(crate) struct Maturing {
    pub row: u32,
    pub class: u32,
}

/// Counts of what a shard has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ShardCounts {
    /// Outcomes whose subject had no exposure before them when the correction horizon had passed.
    pub outcomes_without_exposure: u64,
    /// Attributed outcomes that name another variant than their subject's.
    pub variant_mismatches: u64,
}

/// The state of a shard.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Shard {
    pub(crate) subjects: SubjectTable,
    pub(crate) rows: Rows,
    /// By experiment id.
    pub(crate) experiments: Vec<Option<ExperimentState>>,
    pub(crate) recent: RecentLog,
    /// Taken in anew when a shard is read back.
    #[serde(skip)]
    pending: Pending,
    /// By window kind.
    pub(crate) open: Vec<OpenWindows>,
    /// By window kind: the first window that is not final.
    pub(crate) next_window: Vec<i64>,
    /// By window kind: the windows that may count anybody.
    pub(crate) occupied: Vec<IndexRuns>,
    /// By boundary: whose attribution window closes by then.
    pub(crate) maturity: BTreeMap<i64, StateVec<Maturing>>,
    assigned: AssignedSubjects,
    /// Texts of segment values.
    pub(crate) segment_values: Names,
    /// The last boundary that was settled.
    pub(crate) settled: i64,
    pub(crate) counts: ShardCounts,
    /// References to a subject's recent records, reused.
    #[serde(skip)]
    pub(crate) scratch: Vec<u64>,
    /// Slots of the subjects of a segment, reused.
    #[serde(skip)]
    located: Vec<u32>,
}

impl Shard {
    /// A shard without state.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let kinds = plan.windows.len();
        Shard {
            open: (0..kinds).map(|_| OpenWindows::default()).collect(),
            next_window: vec![i64::MIN; kinds],
            occupied: vec![IndexRuns::default(); kinds],
            settled: i64::MIN,
            ..Shard::default()
        }
    }

    /// Takes a block's records of shard `shard` in that are not settled by `settled` (`i64::MIN` for a block just read); they wait until
    /// their slices are.
    pub fn ingest(&mut self, block: &SharedBlock, shard: usize, settled: i64) {
        if let Some(indices) = block.by_subject_shard.get(shard) {
            self.pending.ingest(block, indices.iter().copied(), settled);
        }
    }

    /// Lets go of what waits.
    pub(crate) fn forget_waiting(&mut self) {
        self.pending = Pending::default();
    }

    /// Gives a shard that was read back its indexes, and what the configuration says.
    pub(crate) fn rebuild(&mut self, definitions: &[Arc<ExperimentDefinition>]) {
        self.subjects.rebuild();
        self.rows.rebuild();
        self.segment_values.rebuild();
        self.open.iter_mut().for_each(OpenWindows::rebuild);
        for (state, definition) in self.experiments.iter_mut().zip(definitions) {
            if let Some(state) = state {
                state.rebuild(Arc::clone(definition));
            }
        }
    }

    /// The next boundary at which there is anything to do.
    #[must_use]
    pub fn next_boundary(&self, context: &ShardContext<'_>) -> Option<i64> {
        let due = self
            .next_evaluation(context)
            .filter(|boundary| *boundary <= context.last_evaluation);
        [self.pending.first(), self.next_final(context), due]
            .into_iter()
            .flatten()
            .min()
    }

    /// When an evaluation is due although no record comes: an attribution window closes, an outcome is judged, or something has changed
    /// at a boundary that is no evaluation.
    fn next_evaluation(&self, context: &ShardContext<'_>) -> Option<i64> {
        let matures = self.maturity.first_key_value().map(|(boundary, _)| *boundary);
        let judges = (!self.assigned.is_empty())
            .then(|| self.recent.first_slice())
            .flatten()
            .map(|slice| {
                context
                    .plan
                    .evaluation_at_or_after(slice.saturating_add(context.plan.memory()))
            });
        let changed =
            (self.settled != i64::MIN && self.has_changed()).then(|| context.plan.evaluation_at_or_after(self.settled));
        [matures, judges, changed].into_iter().flatten().min()
    }

    /// Moves the state over every boundary up to the watermark (`i64::MAX` at the end of a bounded run).
    pub fn settle(&mut self, context: &ShardContext<'_>, watermark: i64) -> Settled {
        let mut settled = Settled::default();
        while let Some(boundary) = self.next_boundary(context).filter(|boundary| *boundary <= watermark) {
            // Whatever became final before this boundary is out of reach for the records of its slice.
            self.advance_settled(context, context.boundaries.at_or_before(boundary - 1));
            self.mature_until(self.settled);
            self.forget(context, self.settled);
            let segments = self.pending.take(boundary);
            self.apply_slice(context, boundary, &segments);
            self.mature_until(boundary);
            self.close_windows(context, boundary, &mut settled.closed);
            self.advance_settled(context, boundary);
            self.forget(context, boundary);
            if context.plan.is_evaluation(boundary) && boundary <= context.last_evaluation {
                self.take_changes(boundary, &mut settled.changes);
            }
        }
        self.finish_round(context, watermark);
        settled
    }

    /// The cumulative results so far, and those over matured subjects.
    pub fn snapshot(&mut self) -> (Partials, Partials) {
        self.cumulative_partials()
    }

    /// What the shard has counted.
    #[must_use]
    pub fn counts(&self) -> ShardCounts {
        self.counts
    }

    /// How many subjects and rows it holds.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.subjects.len(), self.rows.len())
    }

    /// Whether a subject, a row or a record has no place any more: nothing may come of what was settled since.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.subjects.is_full() || self.rows.is_full() || self.recent.is_full()
    }

    /// Bytes of memory held, without records that wait for the watermark.
    #[must_use]
    pub fn memory(&self) -> usize {
        let experiments: usize = self.experiments.iter().flatten().map(ExperimentState::memory).sum();
        let open: usize = self.open.iter().map(OpenWindows::memory).sum();
        let maturity: usize = self
            .maturity
            .values()
            .map(|rows| rows.capacity() * size_of::<Maturing>())
            .sum();
        self.subjects.memory()
            + self.rows.memory()
            + experiments
            + open
            + maturity
            + self.recent.memory()
            + self.assigned.memory()
    }

    fn apply_slice(&mut self, context: &ShardContext<'_>, slice: i64, segments: &[Segment]) {
        let mut located = std::mem::take(&mut self.located);
        for segment in segments {
            self.locate(segment, &mut located);
            self.touch(context, segment, &located);
            for (&index, &slot) in segment.records.iter().zip(&located) {
                if segment.block.is_dropped(index) {
                    continue;
                }
                if let Some(record) = segment.block.records.get(index as usize) {
                    self.apply(context, slice, &segment.block, record, slot);
                }
            }
        }
        self.located = located;
    }

    fn apply(&mut self, context: &ShardContext<'_>, slice: i64, block: &SharedBlock, record: &RecordMeta, slot: u32) {
        use backplane_events::EventType;
        // it may have come with a record of this very slice
        let slot = if slot == NONE {
            let Some(slot) = self.subjects.find_or_insert(record.subject_hash) else {
                return;
            };
            slot
        } else {
            slot
        };
        match record.event_type {
            EventType::Exposure => self.apply_exposure(context, slice, block, record, slot),
            EventType::Outcome => self.apply_outcome(context, slice, block, record, slot),
            EventType::Assignment => self.apply_assignment(context, record, slot),
            EventType::AnalysisSignal | EventType::Error => {}
        }
    }

    fn apply_assignment(&mut self, context: &ShardContext<'_>, record: &RecordMeta, slot: u32) {
        if let Some(subject) = self.subjects.get_mut(slot) {
            subject.keep();
        }
        let (before, now) = self.assigned.assign(slot, record.experiment, record.time, record.name);
        let Some(state) = self.experiment(context, record.experiment) else {
            return;
        };
        for (entry, delta) in before.iter().map(|entry| (entry, -1)).chain([(&now, 1)]) {
            let counts = state.assigned.entry(entry.variant).or_default();
            counts.assigned += delta;
            counts.missing += delta * i64::from(entry.is_missing());
        }
        state.has_changed = true;
    }

    /// The state of an experiment, made at its first record.
    pub(crate) fn experiment(&mut self, context: &ShardContext<'_>, experiment: u32) -> Option<&mut ExperimentState> {
        let index = experiment as usize;
        let definition = context.definitions.get(index)?;
        if self.experiments.len() <= index {
            self.experiments.resize_with(index + 1, || None);
        }
        let place = self.experiments.get_mut(index)?;
        Some(place.get_or_insert_with(|| ExperimentState::new(Arc::clone(definition), context.plan)))
    }

    /// The row of (subject, experiment).
    pub(crate) fn find_row(&self, subject: u32, experiment: u32) -> Option<u32> {
        let mut rows = self.rows.from(self.subjects.get(subject)?.first_row);
        let found = rows.find(|(_, row)| row.kind.experiment == experiment)?;
        Some(found.0)
    }

    /// Closes the attribution windows that end by `boundary`.
    pub(crate) fn mature_until(&mut self, boundary: i64) {
        while let Some(entry) = self.maturity.first_entry() {
            if *entry.key() > boundary {
                break;
            }
            let maturing = entry.remove();
            ahead::touch_maturing(&maturing, &self.rows, &self.experiments);
            for maturing in &maturing {
                let class = maturing.class as u8;
                let Some(mut row) = self.rows.get(maturing.row) else {
                    continue;
                };
                let Some(Some(state)) = self.experiments.get_mut(row.kind.experiment as usize) else {
                    continue;
                };
                // The row's first exposure may have moved since; then another entry stands for it, or it is marked already.
                if row.first_time.saturating_add(state.definition.attribution(class)) <= boundary {
                    state.mature(&mut row, class);
                    self.rows.set(maturing.row, &row);
                }
            }
        }
    }

    /// Forgets what no record that is not too late can change any more, evaluation by evaluation: what is judged then depends on event time
    /// alone.
    fn forget(&mut self, context: &ShardContext<'_>, boundary: i64) {
        let evaluation = context.plan.evaluation_at_or_before(boundary);
        self.forget_until(evaluation.saturating_sub(context.plan.memory()));
    }

    /// Forgets records whose slices end by `until`, counting outcomes that never found their exposure.
    fn forget_until(&mut self, until: i64) {
        let Shard {
            subjects,
            rows,
            recent,
            experiments,
            assigned,
            counts,
            ..
        } = self;
        while let Some((first, records)) = recent.oldest(until) {
            ahead::touch_forgotten(records, subjects, rows);
            // outcomes: an exposure is regular, and its subject has a row from then on
            let others = records.iter().zip(first..).filter(|(record, _)| !record.is_regular());
            for (record, reference) in others {
                let Some(subject) = subjects.get_mut(record.subject) else {
                    continue;
                };
                let is_last = subject.latest() == Latest::of(reference);
                if is_last {
                    subject.set_latest(Latest::NONE);
                }
                let subject = *subject;
                let (is_exposed, is_mismatch) = judge_outcome(subject.first_row, rows, experiments, record);
                counts.outcomes_without_exposure += u64::from(!is_exposed);
                counts.variant_mismatches += u64::from(is_mismatch);
                if subject.is_kept() {
                    let named = (record.experiment != NO_NAME).then_some(record.experiment);
                    let is_exposed = |experiment| has_row(subject.first_row, rows, experiment);
                    assigned.mark_missing(record.subject, named, is_exposed, |lost| {
                        if let Some(Some(state)) = experiments.get_mut(lost.experiment as usize) {
                            state.assigned.entry(lost.variant).or_default().missing += 1;
                            state.has_changed = true;
                        }
                    });
                }
                if is_last && subject.first_row == NONE && !subject.is_kept() {
                    subjects.remove(record.subject);
                }
            }
            let forgotten = records.len();
            recent.forget(forgotten);
        }
    }

    /// Moves the settled instant on; windows that are final by then are closed to records from now on.
    fn advance_settled(&mut self, context: &ShardContext<'_>, boundary: i64) {
        if boundary <= self.settled {
            return;
        }
        self.settled = boundary;
        let ended_by = boundary.saturating_sub(context.plan.time.allowed_lateness);
        for ((next, occupied), window) in self
            .next_window
            .iter_mut()
            .zip(&mut self.occupied)
            .zip(&context.plan.windows)
        {
            *next = (*next).max(window.last_ended_by(ended_by) + 1);
            occupied.forget_before(*next);
        }
    }

    fn finish_round(&mut self, context: &ShardContext<'_>, watermark: i64) {
        if watermark == i64::MIN {
            return;
        }
        if watermark == i64::MAX {
            self.mature_until(i64::MAX);
            self.forget_until(i64::MAX);
            return;
        }
        self.advance_settled(context, context.boundaries.at_or_before(watermark));
        self.mature_until(self.settled);
        self.forget(context, self.settled);
    }
}

/// Whether a subject with these rows was exposed in an experiment.
fn has_row(first_row: u32, rows: &Rows, experiment: u32) -> bool {
    rows.from(first_row).any(|(_, row)| row.kind.experiment == experiment)
}

/// What an outcome came to, when nothing can change it any more: whether its subject was exposed to what it concerns, and whether it names
/// another variant.
fn judge_outcome(
    first_row: u32,
    rows: &Rows,
    experiments: &[Option<ExperimentState>],
    record: &RecentRecord,
) -> (bool, bool) {
    let (mut is_exposed, mut is_mismatch) = (false, false);
    for (_, row) in rows.from(first_row) {
        let experiment = row.kind.experiment;
        if record.experiment != NO_NAME && record.experiment != experiment {
            continue;
        }
        if let Some(Some(state)) = experiments.get(experiment as usize) {
            let verdict = Verdict::of(&row, &state.definition, record);
            is_exposed |= verdict.is_exposed;
            is_mismatch |= verdict.is_mismatch;
        }
    }
    (is_exposed, is_mismatch)
}
