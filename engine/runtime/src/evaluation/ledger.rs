//! What the job knows of an experiment at an evaluation: its shards' latest snapshots, added up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::about::{About, Part};
use super::paths::Evaluated;
use super::rows::{AssignmentRow, EvaluationRows, ExperimentRow, VariantRow};
use super::traffic::{HOUR, Traffic};
use crate::names::JobNames;
use crate::partial::{Counts, GroupPartial, PartialKey};
use crate::plan::{ExperimentDefinition, ExperimentPlan, SHARDS};
use crate::snapshot::{AssignedCounts, RecordTally, ShardChanges};

/// The most values of a segment that are followed: the largest.
const MOST_SEGMENT_VALUES: usize = 50;

/// The most variants that are followed besides the declared ones: more are no variants but a fault of whoever names them.
const MOST_OTHER_VARIANTS: usize = 100;

/// A segment's index and value; `None` for the experiment as a whole.
pub type SegmentKey = Option<(u16, Option<Arc<str>>)>;

/// A group of subjects, added up over shards.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct GroupLedger {
    /// By shard, as last heard of.
    parts: [GroupCounts; SHARDS],
    sum: GroupCounts,
    /// By shard: statistics over matured subjects.
    matured: [Option<GroupPartial>; SHARDS],
    /// The sum of those, once it was asked for.
    matured_sum: GroupPartial,
    is_summed: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct GroupCounts {
    #[serde(with = "crate::state::counts")]
    first_exposures: Counts,
    subjects: i64,
    crossovers: i64,
}

impl GroupCounts {
    fn add(&mut self, other: &GroupCounts, sign: i64) {
        if self.first_exposures.len() < other.first_exposures.len() {
            self.first_exposures.resize(other.first_exposures.len(), 0);
        }
        for (own, other) in self.first_exposures.iter_mut().zip(&other.first_exposures) {
            *own += sign * other;
        }
        self.subjects += sign * other.subjects;
        self.crossovers += sign * other.crossovers;
    }
}

/// A variant of an experiment, declared or seen.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Variant {
    /// The name.
    pub name: Arc<str>,
    /// The job's id, once it was seen.
    pub id: Option<u32>,
    /// By allocation epoch: its share, 0 where it has none.
    pub shares: Vec<f64>,
    /// Whether an allocation names it.
    pub is_declared: bool,
    /// The name of its comparison with the control; none of the control itself, and where there is none.
    pub pair: Option<Arc<str>>,
}

impl Variant {
    /// Whether it is meant to have subjects.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        self.shares.iter().any(|share| *share > 0.0)
    }
}

/// First exposures that came while their variant had no share.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
struct Strays {
    count: i64,
    last: Option<i64>,
}

/// An experiment, added up over shards.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct ExperimentLedger {
    /// The experiment's id.
    pub experiment: u32,
    /// Its name.
    pub name: Arc<str>,
    /// What was declared of it; given anew when a ledger is read back.
    #[serde(skip)]
    pub plan: ExperimentPlan,
    /// The same, as shards need it.
    #[serde(skip)]
    pub definition: Arc<ExperimentDefinition>,
    /// Its variants: the declared ones in their order, then others by name.
    pub variants: Vec<Variant>,
    /// Which of them is the control.
    control: Option<usize>,
    seen_variants: BTreeSet<u32>,
    /// How many of those no allocation names.
    other_variants: usize,
    tallies: [RecordTally; SHARDS],
    /// By shard: assigned subjects of variants.
    assigned: [Vec<(u32, AssignedCounts)>; SHARDS],
    groups: BTreeMap<SegmentKey, BTreeMap<u32, GroupLedger>>,
    /// Records of it beyond the correction horizon.
    pub too_late: i64,
    traffic: Traffic,
    /// Exposures that came before it was to start.
    exposures_before_start: i64,
    strays: BTreeMap<Arc<str>, Strays>,
    /// Variants that have no subjects, or some that are not theirs.
    noted: BTreeSet<Arc<str>>,
}

/// What changed in an experiment since its last evaluation.
#[derive(Debug, Default)]
pub struct Changes {
    /// The segment values (and `None`: all subjects) whose counts changed.
    pub segments: BTreeSet<SegmentKey>,
    /// Variants whose matured statistics changed.
    pub matured: BTreeSet<u32>,
}

impl ExperimentLedger {
    /// An experiment of which nothing was heard.
    #[must_use]
    pub fn new(experiment: u32, name: &str, plan: ExperimentPlan, definition: Arc<ExperimentDefinition>) -> Self {
        let mut ledger = ExperimentLedger {
            experiment,
            name: Arc::from(name),
            plan,
            definition,
            variants: Vec::new(),
            control: None,
            seen_variants: BTreeSet::new(),
            other_variants: 0,
            tallies: Default::default(),
            assigned: Default::default(),
            groups: BTreeMap::new(),
            too_late: 0,
            traffic: Traffic::default(),
            exposures_before_start: 0,
            strays: BTreeMap::new(),
            noted: BTreeSet::new(),
        };
        ledger.list_variants(&JobNames::default());
        ledger
    }

    /// Gives a ledger that was read back what the configuration says.
    pub fn rebuild(&mut self, plan: ExperimentPlan, definition: Arc<ExperimentDefinition>) {
        self.plan = plan;
        self.definition = definition;
    }

    /// Whether equal shares over the variants seen are assumed, because none are declared.
    #[must_use]
    pub fn is_assumed(&self) -> bool {
        self.plan.allocation.is_empty()
    }

    /// Takes in one of the snapshots of a shard.
    pub fn take_in(
        &mut self,
        shard: usize,
        of_shard: &ShardChanges,
        place: usize,
        names: &JobNames,
        changes: &mut Changes,
    ) {
        let Some(snapshot) = of_shard.snapshots().get(place) else {
            return;
        };
        let groups = of_shard.groups_of(snapshot);
        if let Some(tally) = self.tallies.get_mut(shard) {
            *tally = snapshot.tally;
        }
        let known = |ledger: &Self| {
            (
                ledger.seen_variants.len(),
                ledger.groups.get(&None).map_or(0, BTreeMap::len),
            )
        };
        let known_before = known(self);
        // by name, because ids depend on how the input was cut into blocks; first those that are exposed
        let mut new: Vec<(bool, &str, u32)> = snapshot
            .assigned
            .iter()
            .map(|(variant, _)| (true, *variant))
            .chain(groups.iter().map(|group| (false, group.key.variant)))
            .filter(|(_, variant)| !self.seen_variants.contains(variant))
            .map(|(is_assigned, variant)| (is_assigned, names.variants.name(variant), variant))
            .collect();
        new.sort_unstable();
        for (_, _, variant) in new {
            self.see(variant, names);
        }
        if let Some(assigned) = self.assigned.get_mut(shard) {
            assigned.clear();
            assigned.extend_from_slice(&snapshot.assigned);
        }
        for group in groups {
            let PartialKey { variant, segment, .. } = &group.key;
            let ledger = self
                .groups
                .entry(segment.clone())
                .or_default()
                .entry(*variant)
                .or_default();
            let new = GroupCounts {
                first_exposures: group.first_exposures.clone(),
                subjects: group.subjects,
                crossovers: group.crossovers,
            };
            if let Some(part) = ledger.parts.get_mut(shard).filter(|part| **part != new) {
                ledger.sum.add(part, -1);
                ledger.sum.add(&new, 1);
                *part = new;
                changes.segments.insert(segment.clone());
            }
            if let Some(matured) = of_shard.matured_of(group) {
                changes.matured.insert(*variant);
                if let Some(part) = ledger.matured.get_mut(shard) {
                    part.get_or_insert_default().set_matured(&matured);
                    ledger.is_summed = false;
                }
            }
        }
        if known(self) != known_before {
            self.list_variants(names);
            // a new variant changes what was to be expected of the others
            changes.segments.extend(self.groups.keys().cloned());
        }
    }

    /// Follows a variant, if there is room for it.
    fn see(&mut self, variant: u32, names: &JobNames) {
        if self.seen_variants.contains(&variant) {
            return;
        }
        let name = names.variants.name(variant);
        let is_declared = self
            .variants
            .iter()
            .any(|known| known.is_declared && &*known.name == name);
        if is_declared || self.other_variants < MOST_OTHER_VARIANTS {
            self.other_variants += usize::from(!is_declared);
            self.seen_variants.insert(variant);
        }
    }

    /// Notes the exposures that an evaluation is the first to see. Whether there are any.
    pub fn note_traffic(&mut self, at: i64) -> bool {
        let exposures = self.tally().exposures;
        if self.plan.starts_at.is_some_and(|start| at <= start) {
            self.exposures_before_start = exposures;
        }
        self.traffic.note(at, exposures)
    }

    fn list_variants(&mut self, names: &JobNames) {
        let epochs = self.plan.allocation.len().max(1);
        let mut listed: Vec<Variant> = Vec::new();
        for (epoch, shares) in self.plan.allocation.iter().enumerate() {
            for (name, share) in shares {
                let place = listed.iter().position(|variant| *variant.name == **name);
                let index = place.unwrap_or_else(|| {
                    listed.push(Variant {
                        name: Arc::from(name.as_str()),
                        id: None,
                        shares: vec![0.0; epochs],
                        is_declared: true,
                        pair: None,
                    });
                    listed.len() - 1
                });
                if let Some(place) = listed.get_mut(index).and_then(|variant| variant.shares.get_mut(epoch)) {
                    *place = *share;
                }
            }
        }
        let declared = listed.len();
        for id in &self.seen_variants {
            let name = names.variants.name(*id);
            match listed.iter_mut().find(|variant| &*variant.name == name) {
                Some(variant) => variant.id = Some(*id),
                None => listed.push(Variant {
                    name: Arc::from(name),
                    id: Some(*id),
                    shares: vec![0.0; epochs],
                    is_declared: false,
                    pair: None,
                }),
            }
        }
        if let Some(others) = listed.get_mut(declared..) {
            others.sort_by(|a, b| a.name.cmp(&b.name));
        }
        if self.is_assumed() {
            // of those that have subjects: some are assigned on purpose and never exposed
            let exposed = self.groups.get(&None);
            let is_exposed = |variant: &Variant| {
                exposed
                    .zip(variant.id)
                    .is_some_and(|(groups, id)| groups.contains_key(&id))
            };
            let share = 1.0 / listed.iter().filter(|variant| is_exposed(variant)).count().max(1) as f64;
            for variant in &mut listed {
                variant.shares = vec![if is_exposed(variant) { share } else { 0.0 }];
            }
        }
        let planned = listed.iter().filter(|variant| variant.is_planned());
        let control = self.plan.control_among(planned.map(|variant| &*variant.name));
        self.control = listed
            .iter()
            .position(|variant| variant.is_planned() && control == Some(&*variant.name));
        let control = self.control.and_then(|index| listed.get(index));
        if let Some(control) = control.map(|variant| Arc::clone(&variant.name)) {
            for variant in listed
                .iter_mut()
                .filter(|variant| variant.is_planned() && variant.name != control)
            {
                variant.pair = Some(Arc::from(format!("{} vs {control}", variant.name)));
            }
        }
        self.variants = listed;
    }

    /// The control.
    #[must_use]
    pub fn control(&self) -> Option<&Variant> {
        self.variants.get(self.control?)
    }

    fn tally(&self) -> RecordTally {
        let mut sum = RecordTally::default();
        for tally in &self.tallies {
            sum.add(tally);
        }
        sum
    }

    fn counts(&self, segment: &SegmentKey, variant: &Variant) -> Option<&GroupCounts> {
        let group = self.groups.get(segment)?.get(&variant.id?)?;
        Some(&group.sum)
    }

    /// Subjects of a variant.
    #[must_use]
    pub fn subjects(&self, variant: &Variant) -> i64 {
        self.counts(&None, variant).map_or(0, |counts| counts.subjects)
    }

    /// By allocation epoch and variant: first exposures.
    #[must_use]
    pub fn first_exposures(&self, segment: &SegmentKey) -> Vec<Vec<i64>> {
        let epochs = self.plan.allocation.len().max(1);
        let of = |epoch: usize, variant: &Variant| {
            let counts = self.counts(segment, variant);
            counts
                .and_then(|counts| counts.first_exposures.get(epoch).copied())
                .unwrap_or(0)
        };
        (0..epochs)
            .map(|epoch| self.variants.iter().map(|variant| of(epoch, variant)).collect())
            .collect()
    }

    /// By allocation epoch and variant: shares.
    #[must_use]
    pub fn shares(&self) -> Vec<Vec<f64>> {
        let epochs = self.plan.allocation.len().max(1);
        let of = |epoch: usize| {
            let shares = self.variants.iter().map(|variant| variant.shares.get(epoch));
            shares.map(|share| share.copied().unwrap_or(0.0)).collect()
        };
        (0..epochs).map(of).collect()
    }

    /// The values of a segment that are followed: the largest by first exposures, ties by value.
    fn followed(&self, segment: u16) -> BTreeSet<SegmentKey> {
        let values = self.groups.iter().filter(|(key, _)| {
            let index = key.as_ref().map(|(index, _)| *index);
            index == Some(segment)
        });
        let size = |variants: &BTreeMap<u32, GroupLedger>| -> i64 {
            variants.values().flat_map(|group| &group.sum.first_exposures).sum()
        };
        let mut sized: Vec<(std::cmp::Reverse<i64>, &SegmentKey)> = values
            .map(|(key, variants)| (std::cmp::Reverse(size(variants)), key))
            .collect();
        if sized.len() > MOST_SEGMENT_VALUES {
            sized.select_nth_unstable(MOST_SEGMENT_VALUES);
            sized.truncate(MOST_SEGMENT_VALUES);
        }
        sized.into_iter().map(|(_, key)| key.clone()).collect()
    }

    /// Rows of first exposures: of all subjects and of the segment values that changed. Gives which, with what they are evaluated on.
    pub fn assignment_rows(
        &self,
        at: i64,
        changes: &Changes,
        rows: &mut EvaluationRows,
    ) -> Vec<(SegmentKey, Evaluated)> {
        let names: Vec<&str> = self.variants.iter().map(|variant| &*variant.name).collect();
        let weights = self.shares();
        let assumed_shares = weights.iter().flatten().filter(|weight| **weight > 0.0).count();
        let mut followed: BTreeMap<u16, BTreeSet<SegmentKey>> = BTreeMap::new();
        let mut written = Vec::new();
        for segment in &changes.segments {
            let (segment_values, part) = match segment {
                None => (1, Part::Whole),
                Some((index, value)) => {
                    let followed = followed.entry(*index).or_insert_with(|| self.followed(*index));
                    if !followed.contains(segment) {
                        continue;
                    }
                    (followed.len(), Part::Segment(*index, value.clone()))
                }
            };
            let segment_name = segment.as_ref().map(|(index, _)| {
                let segment = self.definition.segments.get(usize::from(*index));
                segment.map(|segment| segment.name()).unwrap_or_default()
            });
            let counts = self.first_exposures(segment);
            let row = AssignmentRow {
                segment: segment_name
                    .as_deref()
                    .zip(segment.as_ref().map(|(_, value)| value.as_deref())),
                assumed: self.is_assumed(),
                segment_values: i64::try_from(segment_values).unwrap_or(i64::MAX),
                variants: &names,
                counts: &counts,
                weights: &weights,
            };
            let about = About {
                experiment: self.experiment,
                part,
            };
            rows.assignment(at, &self.name, about, &row);
            let evaluated = Evaluated {
                variants: self.variants.iter().map(|variant| Arc::clone(&variant.name)).collect(),
                counts,
                assumed_shares: self.is_assumed().then_some(assumed_shares),
            };
            written.push((segment.clone(), evaluated));
        }
        written
    }

    /// The row of the experiment as a whole. `watched_since` is the first evaluation of the job.
    pub fn experiment_row(&self, at: i64, watched_since: i64, rows: &mut EvaluationRows) {
        let tally = self.tally();
        let names: Vec<&str> = self.variants.iter().map(|variant| &*variant.name).collect();
        let of_all = |of: fn(&GroupCounts) -> i64| -> i64 {
            let counts = self.variants.iter().filter_map(|variant| self.counts(&None, variant));
            counts.map(of).sum()
        };
        let planned = || self.variants.iter().filter(|variant| variant.is_planned());
        // one variant alone is no experiment yet
        let least_subjects = planned()
            .map(|variant| self.subjects(variant))
            .min()
            .filter(|_| planned().count() > 1);
        let assigned = |of: fn(&AssignedCounts) -> i64| -> Vec<i64> {
            let of_variant = |id: u32| {
                self.assigned
                    .iter()
                    .flatten()
                    .filter(move |(variant, _)| *variant == id)
            };
            let sum = |id: u32| of_variant(id).map(|(_, counts)| of(counts)).sum();
            self.variants.iter().map(|variant| variant.id.map_or(0, sum)).collect()
        };
        let (exposures_last_hour, exposures_hour_before) = self.traffic.last_hours(at);
        let has_started = self.plan.starts_at.map_or(tally.exposures > 0, |start| start <= at);
        let overdue = |start: i64| start.max(watched_since).saturating_add(HOUR) <= at;
        let row = ExperimentRow {
            variants: &names,
            exposures: tally.exposures - self.exposures_before_start,
            first_exposures: of_all(|counts| counts.first_exposures.iter().sum()),
            crossovers: of_all(|counts| counts.crossovers),
            least_subjects: least_subjects.unwrap_or(0),
            planned_subjects: self
                .plan
                .sample
                .subjects_per_variant
                .map(|planned| i64::try_from(planned).unwrap_or(i64::MAX)),
            assigned: assigned(|counts| counts.assigned),
            missing: assigned(|counts| counts.missing),
            outcomes: tally.outcomes,
            outcomes_before_exposure: tally.outcomes_before_exposure,
            records: tally.exposures + tally.outcomes,
            too_late: self.too_late,
            is_running: has_started && self.plan.sample.ends_at.is_none_or(|end| at <= end),
            is_awaited: self.plan.starts_at.is_some_and(overdue),
            exposures_last_hour,
            exposures_hour_before,
        };
        rows.experiment(at, &self.name, About::whole(self.experiment), &row);
    }

    /// Rows of variants that have no subjects, or some that are not theirs, and of those that were so before.
    pub fn variant_rows(&mut self, at: i64, rows: &mut EvaluationRows) {
        let counts = self.first_exposures(&None);
        let shares = self.shares();
        let subjects: i64 = counts.iter().flatten().sum();
        let (latest, in_latest) = latest_epoch(&counts, &shares);
        for (index, variant) in self.variants.iter().enumerate() {
            let in_epochs = || {
                counts
                    .iter()
                    .zip(&variant.shares)
                    .map(move |(counts, share)| (counts.get(index).copied().unwrap_or(0), *share))
            };
            let stray: i64 = in_epochs()
                .filter(|(_, share)| *share <= 0.0)
                .map(|(count, _)| count)
                .sum();
            let (first_exposures, share) = in_epochs().nth(latest).unwrap_or((0, 0.0));
            let is_notable = stray > 0 || (share > 0.0 && first_exposures == 0 && in_latest > 0);
            // what was notable once is judged once more when it is so no longer
            let was_notable = self.noted.remove(&variant.name);
            if is_notable {
                self.noted.insert(Arc::clone(&variant.name));
            } else if !was_notable {
                continue;
            }
            let strays = self.strays.entry(Arc::clone(&variant.name)).or_default();
            if stray > strays.count {
                strays.last = Some(at);
            }
            strays.count = stray;
            let about = About {
                experiment: self.experiment,
                part: Part::Variant(Arc::clone(&variant.name)),
            };
            let row = VariantRow {
                variant: &variant.name,
                is_declared: variant.is_declared || self.plan.allocation.is_empty(),
                share: (variant.is_declared).then_some(share),
                first_exposures,
                epoch_first_exposures: in_latest,
                stray_exposures: stray,
                last_stray: strays.last,
                subjects,
            };
            rows.variant(at, &self.name, about, &row);
        }
    }

    /// Adds up the statistics over matured subjects of all variants.
    pub fn sum_matured(&mut self) {
        for group in self.groups.get_mut(&None).into_iter().flat_map(BTreeMap::values_mut) {
            if !std::mem::replace(&mut group.is_summed, true) {
                group.matured_sum.add_up(group.matured.iter().flatten());
            }
        }
    }

    /// The statistics over matured subjects of a variant, as they were last added up; none where it has none.
    #[must_use]
    pub fn matured(&self, variant: u32) -> Option<&GroupPartial> {
        let group = self.groups.get(&None)?.get(&variant)?;
        group.matured.iter().any(Option::is_some).then_some(&group.matured_sum)
    }

    /// The metrics with an outcome of a matured subject, each with how many outcomes are not Binary.
    #[must_use]
    pub fn matured_outcomes(&self) -> BTreeMap<u32, i64> {
        let mut not_binary = BTreeMap::new();
        for group in self.groups.get(&None).into_iter().flat_map(BTreeMap::values) {
            for (metric, partial) in group.matured_sum.metrics.iter() {
                *not_binary.entry(metric).or_insert(0) += partial.totals.not_binary;
            }
        }
        not_binary
    }
}

/// The latest allocation epoch that has subjects of a variant with a share, and how many.
fn latest_epoch(counts: &[Vec<i64>], shares: &[Vec<f64>]) -> (usize, i64) {
    let of_shares = |(counts, shares): (&Vec<i64>, &Vec<f64>)| -> i64 {
        let with_share = counts.iter().zip(shares).filter(|(_, share)| **share > 0.0);
        with_share.map(|(count, _)| count).sum()
    };
    let subjects: Vec<i64> = counts.iter().zip(shares).map(of_shares).collect();
    let latest = subjects.iter().rposition(|count| *count > 0).unwrap_or(0);
    (latest, subjects.get(latest).copied().unwrap_or(0))
}
