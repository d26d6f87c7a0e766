//! The join: exposures open rows, outcomes fold into them, and a late exposure sets right what was counted by then.

use std::ops::Range;

use backplane_events::{EventType, json_member};

use crate::block::{EventColumns, RecordMeta, SharedBlock, text_at};
use crate::crossover::{SeenExposure, Standing, VariantHistory};
use crate::names::NO_NAME;
use crate::panes::PaneOutcome;
use crate::plan::{ExperimentDefinition, Fold, Segment};
use crate::recent::{Latest, NewRecord, RecentRecord};
use crate::row::{Row, RowKind};
use crate::shard::{Maturing, Shard, ShardContext};
use crate::snapshot::CLOCK_SKEW;
use crate::subjects::{NONE, Subject};

/// An exposure that is applied.
#[derive(Clone, Copy)]
struct Exposure<'a> {
    block: &'a SharedBlock,
    record: &'a RecordMeta,
    /// The subject's slot.
    slot: u32,
    /// The allocation epoch it is in.
    epoch: u16,
}

impl Exposure<'_> {
    fn event_id(&self) -> &str {
        self.block.event_id(self.record)
    }
}

impl Shard {
    pub(crate) fn apply_exposure(
        &mut self,
        context: &ShardContext<'_>,
        slice: i64,
        block: &SharedBlock,
        record: &RecordMeta,
        slot: u32,
    ) {
        let Some(definition) = context.definitions.get(record.experiment as usize) else {
            return;
        };
        let exposure = Exposure {
            block,
            record,
            slot,
            epoch: definition.epoch_of(record.time),
        };
        let event_id = exposure.event_id();
        if let Some(state) = self.experiment(context, record.experiment) {
            state.tally.exposures += 1;
            state.has_changed = true;
        }
        let found = self.find_row(slot, record.experiment);
        match found {
            None => {
                let values = self.segment_values_of(context, block, record);
                self.open_row(context, &exposure, &values);
                self.remember(slice, slot, event_id, record);
                self.tally_recent_outcomes(slot, record.experiment, record.time);
                self.fold_recent_outcomes(context, slot, record.experiment);
            }
            Some(row_id) => {
                let Some(row) = self.rows.get(row_id) else {
                    return;
                };
                let is_earlier = record.time < row.first_time
                    || (record.time == row.first_time && self.precedes_first(slot, &row, event_id.as_bytes()));
                let differs = record.name != row.kind.variant || exposure.epoch != row.kind.epoch;
                if row.kind.has_history && !is_earlier {
                    self.extend_history(context, row_id, &row, &exposure);
                    self.remember(slice, slot, event_id, record);
                } else if is_earlier || differs {
                    self.correct_row(context, row_id, &exposure, is_earlier);
                    self.remember(slice, slot, event_id, record);
                    if is_earlier {
                        self.retally_recent_outcomes(slot, record.experiment, record.time..row.first_time);
                        self.fold_recent_outcomes(context, slot, record.experiment);
                    }
                } else {
                    self.remember(slice, slot, event_id, record);
                }
            }
        }
    }

    pub(crate) fn apply_outcome(
        &mut self,
        context: &ShardContext<'_>,
        slice: i64,
        block: &SharedBlock,
        record: &RecordMeta,
        slot: u32,
    ) {
        // ids are asked for only where the last of several outcomes counts
        let is_last_asked = matches!(context.plan.fold_of(record.name), Some((Fold::Last, _)));
        let event_id = if is_last_asked { block.event_id(record) } else { "" };
        self.remember(slice, slot, event_id, record);
        let latest = self.recent.reference(self.latest_of(slot));
        if record.experiment != NO_NAME {
            let row = self.find_row(slot, record.experiment);
            let first = row.and_then(|row| self.rows.get(row)).map(|row| row.first_time);
            if let Some(state) = self.experiment(context, record.experiment) {
                state.tally.outcomes += 1;
                state.has_changed = true;
                let is_before = first.is_some_and(|first| is_before(record.time, first));
                state.tally.outcomes_before_exposure += i64::from(is_before);
            }
            if let Some(row) = row {
                self.fold_into_row(context, row, latest);
            }
            return;
        }
        let mut next = self.subjects.get(slot).map_or(NONE, |subject| subject.first_row);
        while next != NONE {
            self.fold_into_row(context, next, latest);
            next = self.rows.get(next).map_or(NONE, |row| row.next);
        }
    }

    /// Makes the row of a first exposure and counts it.
    fn open_row(&mut self, context: &ShardContext<'_>, exposure: &Exposure<'_>, values: &[u32]) {
        let Exposure {
            record, slot, epoch, ..
        } = *exposure;
        let Some(state) = self.experiment(context, record.experiment) else {
            return;
        };
        let local = state.add_row(values);
        let next = self.subjects.get(slot).map_or(NONE, |subject| subject.first_row);
        let pushed = self.rows.push(&Row {
            first_time: record.time,
            next,
            local,
            kind: RowKind {
                experiment: record.experiment,
                variant: record.name,
                group: NONE,
                matured: 0,
                epoch,
                has_history: false,
            },
        });
        let Some(row_id) = pushed else { return };
        if let Some(subject) = self.subjects.get_mut(slot) {
            subject.first_row = row_id;
        }
        self.count_in(context, row_id, true);
    }

    /// Takes an exposure that is not the first into a row with a history; the row is counted anew only where that changes how it counts.
    fn extend_history(&mut self, context: &ShardContext<'_>, row_id: u32, row: &Row, exposure: &Exposure<'_>) {
        let before = self.standing(context, row_id, i64::MAX);
        self.observe(context, row_id, row, exposure);
        if self.standing(context, row_id, i64::MAX) != before {
            self.count_out(context, row_id, before);
            self.count_in(context, row_id, false);
        }
    }

    /// Takes an exposure into a row whose first exposure, variants or epochs it changes.
    fn correct_row(&mut self, context: &ShardContext<'_>, row_id: u32, exposure: &Exposure<'_>, is_earlier: bool) {
        let Exposure {
            block, record, epoch, ..
        } = *exposure;
        let standing = self.standing(context, row_id, i64::MAX);
        self.count_out(context, row_id, standing);
        let Some(row) = self.rows.get(row_id) else {
            return;
        };
        if row.kind.has_history || record.name != row.kind.variant || epoch != row.kind.epoch {
            self.observe(context, row_id, &row, exposure);
        }
        if is_earlier {
            let values = self.segment_values_of(context, block, record);
            if let Some(mut row) = self.rows.get(row_id) {
                row.first_time = record.time;
                row.kind.variant = record.name;
                row.kind.epoch = epoch;
                row.kind.matured = 0;
                self.rows.set(row_id, &row);
            }
            let slots = match self.experiment(context, record.experiment) {
                Some(state) => {
                    state.set_segment_values(row.local, &values);
                    state.clear_outcomes(row.local);
                    u32::try_from(state.columns.len()).unwrap_or(0)
                }
                None => 0,
            };
            for open in &mut self.open {
                open.clear(row_id, slots);
            }
        }
        self.count_in(context, row_id, is_earlier);
    }

    /// Takes an exposure into a row's history, which begins with what is known of the row so far.
    fn observe(&mut self, context: &ShardContext<'_>, row_id: u32, row: &Row, exposure: &Exposure<'_>) {
        let policy = context.plan.crossovers;
        let mut earlier: Vec<SeenExposure> = Vec::new();
        if !row.kind.has_history {
            let latest = self.latest_of(exposure.slot);
            for (reference, seen) in self.recent.references_of_subject(exposure.slot, latest) {
                if seen.is_exposure() && seen.experiment == row.kind.experiment {
                    earlier.push(SeenExposure {
                        time: seen.time,
                        event_id: self.recent.event_id(reference).into(),
                        variant: seen.name,
                    });
                }
            }
            if !earlier.iter().any(|seen| seen.time == row.first_time) {
                // Its id is forgotten: nothing at the same instant can come any more.
                earlier.push(SeenExposure {
                    time: row.first_time,
                    event_id: Box::default(),
                    variant: row.kind.variant,
                });
            }
        }
        let new = SeenExposure {
            time: exposure.record.time,
            event_id: exposure.event_id().as_bytes().into(),
            variant: exposure.record.name,
        };
        let first_kept = self
            .settled
            .saturating_sub(context.plan.time.correction_horizon)
            .saturating_sub(context.plan.evaluate_every);
        let Some(state) = self.experiment(context, row.kind.experiment) else {
            return;
        };
        let history: &mut VariantHistory = state.histories.entry(row_id).or_default();
        for seen in earlier {
            history.observe(row.kind.epoch, seen, policy);
        }
        history.observe(exposure.epoch, new, policy);
        history.forget_before(first_kept);
        if let Some(mut row) = self.rows.get(row_id) {
            row.kind.has_history = true;
            self.rows.set(row_id, &row);
        }
    }

    /// Whether an exposure at the very instant of a row's first exposure comes before it by event id.
    fn precedes_first(&self, slot: u32, row: &Row, event_id: &[u8]) -> bool {
        let is_first = |seen: &RecentRecord| {
            seen.is_exposure() && seen.experiment == row.kind.experiment && seen.time == row.first_time
        };
        let first = self
            .recent
            .references_of_subject(slot, self.latest_of(slot))
            .filter(|(_, seen)| is_first(seen))
            .map(|(reference, _)| self.recent.event_id(reference))
            .min();
        first.is_some_and(|first| event_id < first)
    }

    fn remember(&mut self, slice: i64, slot: u32, event_id: &str, record: &RecordMeta) {
        let Some(subject) = self.subjects.get_mut(slot) else {
            return;
        };
        let new = NewRecord {
            time: record.time,
            value: record.value,
            event_id,
            subject: slot,
            experiment: record.experiment,
            name: record.name,
            other: record.other,
            is_exposure: record.event_type == EventType::Exposure,
            is_binary: record.binary,
        };
        let reference = self.recent.push(slice, new, subject.latest());
        subject.set_latest(Latest::of(reference));
    }

    /// The latest recent record of a subject.
    fn latest_of(&self, slot: u32) -> Latest {
        self.subjects.get(slot).map_or(Latest::NONE, Subject::latest)
    }

    /// Counts the outcomes that came before their subject's first exposure, at `first`.
    fn tally_recent_outcomes(&mut self, slot: u32, experiment: u32, first: i64) {
        let before = self.count_recent_outcomes(slot, experiment, |time| is_before(time, first));
        if let Some(Some(state)) = self.experiments.get_mut(experiment as usize) {
            state.tally.outcomes_before_exposure += before;
        }
    }

    /// Counts outcomes anew whose subject's first exposure moved back from the end of `moved` to its start.
    fn retally_recent_outcomes(&mut self, slot: u32, experiment: u32, moved: Range<i64>) {
        let no_longer = self.count_recent_outcomes(slot, experiment, |time| {
            is_before(time, moved.end) && !is_before(time, moved.start)
        });
        if let Some(Some(state)) = self.experiments.get_mut(experiment as usize) {
            state.tally.outcomes_before_exposure -= no_longer;
        }
    }

    /// How many recent outcomes of a subject name an experiment and are at such times.
    fn count_recent_outcomes(&self, slot: u32, experiment: u32, at: impl Fn(i64) -> bool) -> i64 {
        let counts = |seen: &&RecentRecord| !seen.is_exposure() && seen.experiment == experiment && at(seen.time);
        let count = self
            .recent
            .of_subject(slot, self.latest_of(slot))
            .filter(counts)
            .count();
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// Folds all recent outcomes of a subject into its row of an experiment: those that waited for their exposure, or that a correction
    /// has taken out. Every outcome that can be attributed is still here: none lies before the exposure, and no exposure that counts
    /// lies before the correction horizon.
    fn fold_recent_outcomes(&mut self, context: &ShardContext<'_>, slot: u32, experiment: u32) {
        let Some(row) = self.find_row(slot, experiment) else {
            return;
        };
        let latest = self.latest_of(slot);
        let mut outcomes = std::mem::take(&mut self.scratch);
        outcomes.clear();
        let concerns = |seen: &RecentRecord| seen.experiment == experiment || seen.experiment == NO_NAME;
        outcomes.extend(
            self.recent
                .references_of_subject(slot, latest)
                .filter(|(_, seen)| !seen.is_exposure() && concerns(seen))
                .map(|(reference, _)| reference),
        );
        for outcome in outcomes.iter().rev() {
            self.fold_into_row(context, row, *outcome);
        }
        self.scratch = outcomes;
    }

    /// Attributes the outcome that `reference` refers to to a row, if it is in its attribution window, and folds it into the row and into the
    /// open windows.
    fn fold_into_row(&mut self, context: &ShardContext<'_>, row_id: u32, reference: u64) {
        let Some(outcome) = self.recent.get(reference).copied() else {
            return;
        };
        let Some(row) = self.rows.get(row_id) else {
            return;
        };
        let Some(Some(state)) = self.experiments.get_mut(row.kind.experiment as usize) else {
            return;
        };
        let verdict = Verdict::of(&row, &state.definition, &outcome);
        // what names no experiment is judged by all rows of its subject, when no more can come
        let is_regular = outcome.experiment != NO_NAME && verdict.is_exposed && !verdict.is_mismatch;
        if is_regular != outcome.is_regular() {
            self.recent.note_regular(reference, is_regular);
        }
        if !verdict.is_attributed {
            return;
        }
        let Some(slot) = state.slot_of(outcome.name, context.plan) else {
            return;
        };
        let fold = state.columns.get(slot as usize).map_or(Fold::Sum, |column| column.fold);
        state.fold_outcome(&row, slot, &outcome, reference, &self.recent);
        let pane_outcome = PaneOutcome {
            row: row_id,
            slot,
            fold,
            outcome: &outcome,
            reference,
        };
        for (kind, window) in context.plan.windows.iter().enumerate() {
            let next = self.next_window.get(kind).copied().unwrap_or(i64::MIN);
            let Some(open) = self.open.get_mut(kind) else { continue };
            let first = window.first_ending_after(outcome.time).max(next);
            for index in first..=window.last_starting_before(outcome.time.saturating_add(1)) {
                open.fold(index, &pane_outcome, &self.recent);
            }
        }
    }

    /// Counts a row in everything. Where its first exposure is new, plans the closing of its attribution windows.
    fn count_in(&mut self, context: &ShardContext<'_>, row_id: u32, first_is_new: bool) {
        let settled = self.settled;
        let standing = self.standing(context, row_id, i64::MAX);
        let Some(mut row) = self.rows.get(row_id) else {
            return;
        };
        let Some(Some(state)) = self.experiments.get_mut(row.kind.experiment as usize) else {
            return;
        };
        let classes = if first_is_new {
            state.definition.attribution_classes.as_slice()
        } else {
            &[]
        };
        for (class, attribution) in (0u8..).zip(classes) {
            let closes = row.first_time.saturating_add(*attribution);
            if closes <= settled {
                row.kind.matured |= 1 << class;
            } else {
                let boundary = context.boundaries.after(closes.saturating_sub(1));
                let maturing = Maturing {
                    row: row_id,
                    class: u32::from(class),
                };
                self.maturity.entry(boundary).or_default().push(maturing);
            }
        }
        state.count_row(&mut row, standing.analysed, standing.is_crossover, 1);
        self.rows.set(row_id, &row);
        self.count_in_windows(context, row_id, 1);
    }

    /// Counts a row, which counted as `standing` says, out of everything.
    fn count_out(&mut self, context: &ShardContext<'_>, row_id: u32, standing: Standing) {
        self.count_in_windows(context, row_id, -1);
        let Some(mut row) = self.rows.get(row_id) else {
            return;
        };
        let Some(Some(state)) = self.experiments.get_mut(row.kind.experiment as usize) else {
            return;
        };
        state.count_row(&mut row, standing.analysed, standing.is_crossover, -1);
        self.rows.set(row_id, &row);
    }

    /// How a row counts by its exposures before `end`.
    pub(crate) fn standing(&self, context: &ShardContext<'_>, row_id: u32, end: i64) -> Standing {
        let Some(Row { kind, .. }) = self.rows.get(row_id) else {
            return Standing {
                analysed: None,
                is_crossover: false,
            };
        };
        if !kind.has_history {
            return Standing {
                analysed: Some(kind.variant),
                is_crossover: false,
            };
        }
        let history = self
            .experiments
            .get(kind.experiment as usize)
            .and_then(Option::as_ref)
            .and_then(|state| state.histories.get(&row_id));
        match history {
            Some(history) => history.standing_before(end, kind.variant, context.plan.crossovers),
            None => Standing {
                analysed: Some(kind.variant),
                is_crossover: false,
            },
        }
    }

    /// The shard's ids of an exposure's segment values.
    fn segment_values_of(&mut self, context: &ShardContext<'_>, block: &SharedBlock, record: &RecordMeta) -> Vec<u32> {
        let Some(definition) = context.definitions.get(record.experiment as usize) else {
            return Vec::new();
        };
        if definition.segments.is_empty() {
            return Vec::new();
        }
        let Some(columns) = block.columns_of(record.event_type) else {
            return vec![NONE; definition.segments.len()];
        };
        definition
            .segments
            .iter()
            .map(|segment| match segment_value(segment, columns, record.row) {
                Some(value) => self.segment_values.intern(&value),
                None => NONE,
            })
            .collect()
    }
}

/// What an outcome is to a row of its subject.
#[derive(Clone, Copy)]
pub(crate) struct Verdict {
    /// It did not come before the first exposure.
    pub is_exposed: bool,
    /// It is in the attribution window.
    pub is_attributed: bool,
    /// It is, and names another variant than the row's.
    pub is_mismatch: bool,
}

impl Verdict {
    pub(crate) fn of(row: &Row, definition: &ExperimentDefinition, outcome: &RecentRecord) -> Self {
        let attribution = definition.attribution(definition.class_of(outcome.name));
        let is_exposed = outcome.time >= row.first_time;
        let is_attributed = is_exposed && outcome.time < row.first_time.saturating_add(attribution);
        Verdict {
            is_exposed,
            is_attributed,
            is_mismatch: is_attributed && outcome.other != NO_NAME && outcome.other != row.kind.variant,
        }
    }
}

/// Whether an outcome came before an exposure, by more than clocks may differ.
fn is_before(outcome: i64, exposure: i64) -> bool {
    outcome < exposure.saturating_sub(CLOCK_SKEW)
}

/// A segment's value in the exposure at a row; `None` where it is absent.
fn segment_value(segment: &Segment, columns: &EventColumns, row: u32) -> Option<String> {
    match segment {
        Segment::Tenant => text_at(columns.tenant_id.as_ref(), row)
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        Segment::SubjectType => text_at(columns.subject_type.as_ref(), row)
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        // the decoder lets only objects through
        Segment::Attribute(name) => json_member(text_at(columns.attributes.as_ref(), row)?, name).ok()?,
    }
}
