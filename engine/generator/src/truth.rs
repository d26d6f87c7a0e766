//! What a stream holds, counted while it is written.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::config::{Fault, GeneratorConfig, micros};
use crate::envelope::EnvelopeWriter;
use crate::record::{Kind, NO_EXPERIMENT, Record};
use crate::simulate::allocation_at;

/// The truth about a stream: what was planted, and counts that any reader of the stream must arrive at.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Truth {
    /// The seed.
    pub seed: u64,
    /// Lines, of every kind.
    pub lines: u64,
    /// Bytes before compression.
    pub bytes: u64,
    /// Lines that are records.
    pub decoded: u64,
    /// Lines that are none.
    pub bad: u64,
    /// Deliveries of an event that has been delivered before, neither of them too late.
    pub duplicates: u64,
    /// Records beyond the correction horizon, as the configuration of the stream has it.
    pub too_late: u64,
    /// Counted records that are late for a window, by the window's name.
    pub late: BTreeMap<String, u64>,
    /// Records by event type, without dropped duplicates.
    pub by_type: BTreeMap<String, u64>,
    /// Counted outcomes that name no experiment.
    pub outcomes_without_experiment: u64,
    /// The least and the greatest event time, in microseconds since 1970.
    pub event_times: Option<(i64, i64)>,
    /// The truth of each experiment by name.
    pub experiments: BTreeMap<String, ExperimentTruth>,
}

/// The truth about one experiment. Counts leave out duplicates and records that are too late.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentTruth {
    /// Whether the configuration declares it.
    pub declared: bool,
    /// What is planted in it.
    pub fault: Option<Fault>,
    /// The real share of each variant, of the last allocation.
    pub real_shares: BTreeMap<String, f64>,
    /// The declared share of each variant, of the last allocation.
    pub declared_shares: BTreeMap<String, f64>,
    /// Planted relative lifts of the probability of an outcome, as `metric/variant`.
    pub lifts: BTreeMap<String, f64>,
    /// Planned subjects in each variant.
    pub planned_subjects_per_variant: Option<u64>,
    /// Subjects by the variant of their first exposure, crossovers included.
    pub first_exposures: BTreeMap<String, u64>,
    /// Subjects by variant without crossovers: the analysis population under `crossovers: exclude`.
    pub subjects: BTreeMap<String, u64>,
    /// Crossovers by the variant of their first exposure.
    pub crossovers: BTreeMap<String, u64>,
    /// Exposures.
    pub exposures: u64,
    /// Outcomes that name the experiment, by metric.
    pub outcomes: BTreeMap<String, u64>,
}

/// What is known of a subject in an experiment.
struct Seen {
    time: i64,
    id: u32,
    variant: u8,
    /// One bit for each variant, by allocation epoch.
    variants: Vec<(usize, u64)>,
}

/// Counts what is written, in the order of the lines.
pub(crate) struct Bookkeeper<'a> {
    config: &'a GeneratorConfig,
    ids: EnvelopeWriter<'a>,
    truth: Truth,
    maximum: Vec<Option<i64>>,
    delivered: HashSet<u32>,
    subjects: HashMap<(u16, u32), Seen>,
    outcomes: Vec<Vec<u64>>,
    exposures: Vec<u64>,
    by_kind: [u64; 5],
    late: Vec<u64>,
}

impl<'a> Bookkeeper<'a> {
    pub(crate) fn new(config: &'a GeneratorConfig) -> Self {
        Self {
            config,
            ids: EnvelopeWriter::new(config),
            truth: Truth {
                seed: config.seed,
                ..Truth::default()
            },
            maximum: vec![None; usize::from(config.partitions)],
            delivered: HashSet::new(),
            subjects: HashMap::new(),
            outcomes: vec![vec![0; config.metrics.len()]; config.experiments.len()],
            exposures: vec![0; config.experiments.len()],
            by_kind: [0; 5],
            late: vec![0; config.windows.len()],
        }
    }

    pub(crate) fn line(&mut self, record: &Record, bytes: usize) {
        self.truth.lines += 1;
        self.truth.bytes += bytes as u64;
        if record.kind == Kind::Bad {
            self.truth.bad += 1;
            return;
        }
        self.truth.decoded += 1;
        let (least, greatest) = self.truth.event_times.unwrap_or((record.time, record.time));
        self.truth.event_times = Some((least.min(record.time), greatest.max(record.time)));
        let Some(maximum) = self.maximum.get_mut(usize::from(record.partition)) else {
            return;
        };
        let before = *maximum;
        *maximum = Some(before.map_or(record.time, |before| before.max(record.time)));
        let horizon = micros(self.config.time.correction_horizon);
        if before.is_some_and(|before| before - record.time > horizon) {
            self.truth.too_late += 1;
            self.count_kind(record.kind);
            return;
        }
        if record.copied && !self.delivered.insert(record.id) {
            self.truth.duplicates += 1;
            return;
        }
        self.count_kind(record.kind);
        if let Some(before) = before {
            self.count_late(record.time, before);
        }
        self.count(record);
    }

    fn count_kind(&mut self, kind: Kind) {
        if let Some(count) = self.by_kind.get_mut(kind as usize) {
            *count += 1;
        }
    }

    fn count_late(&mut self, time: i64, maximum: i64) {
        let passed =
            maximum - micros(self.config.time.max_out_of_orderness) - micros(self.config.time.allowed_lateness);
        for (window, late) in self.config.windows.iter().zip(&mut self.late) {
            let first_end = micros(window.offset) + micros(window.size);
            let slide = micros(window.slide).max(1);
            let last_closed = first_end + (passed - first_end).div_euclid(slide) * slide;
            *late += u64::from(last_closed > time);
        }
    }

    fn count(&mut self, record: &Record) {
        let experiment = usize::from(record.experiment);
        match record.kind {
            Kind::Outcome if record.experiment == NO_EXPERIMENT => self.truth.outcomes_without_experiment += 1,
            Kind::Outcome => {
                let metrics = self.outcomes.get_mut(experiment);
                if let Some(count) = metrics.and_then(|metrics| metrics.get_mut(usize::from(record.metric))) {
                    *count += 1;
                }
            }
            Kind::Exposure => {
                if let Some(count) = self.exposures.get_mut(experiment) {
                    *count += 1;
                }
                self.count_exposure(record);
            }
            _ => {}
        }
    }

    fn count_exposure(&mut self, record: &Record) {
        let Some(plan) = self.config.experiments.get(usize::from(record.experiment)) else {
            return;
        };
        let declared = plan.declared_allocation.as_ref().unwrap_or(&plan.allocation);
        let since_start = record.time - self.config.start.timestamp_micros();
        let (epoch, _) = if plan.declared {
            allocation_at(declared, since_start)
        } else {
            (0, &[][..])
        };
        let bit = 1u64 << record.variant.min(63);
        let fresh = Seen {
            time: record.time,
            id: record.id,
            variant: record.variant,
            variants: Vec::new(),
        };
        let seen = self
            .subjects
            .entry((record.experiment, record.subject))
            .or_insert(fresh);
        let earlier = record.time < seen.time
            || record.time == seen.time && seen.id != record.id && {
                let own = self.ids.event_id_text(record.id).to_vec();
                own.as_slice() < self.ids.event_id_text(seen.id)
            };
        if earlier {
            (seen.time, seen.id, seen.variant) = (record.time, record.id, record.variant);
        }
        match seen.variants.iter_mut().find(|(known, _)| *known == epoch) {
            Some((_, variants)) => *variants |= bit,
            None => seen.variants.push((epoch, bit)),
        }
    }

    pub(crate) fn finish(mut self) -> Truth {
        let names = ["Exposure", "Assignment", "Outcome", "AnalysisSignal", "Error"];
        self.truth.by_type = names.into_iter().map(str::to_owned).zip(self.by_kind).collect();
        self.truth.late = self
            .config
            .windows
            .iter()
            .map(|window| window.name.clone())
            .zip(self.late)
            .collect();
        let mut experiments: Vec<ExperimentTruth> = Vec::new();
        for ((plan, outcomes), exposures) in self.config.experiments.iter().zip(&self.outcomes).zip(&self.exposures) {
            let metrics = self
                .config
                .metrics
                .iter()
                .map(|metric| metric.name.clone())
                .zip(outcomes.iter().copied());
            let lifts = plan
                .effects
                .iter()
                .map(|effect| (format!("{}/{}", effect.metric, effect.variant), effect.lift));
            let shares = |epochs: &[crate::config::AllocationEpoch]| {
                let shares = epochs.last().map_or(&[][..], |epoch| &epoch.shares);
                let total: f64 = shares.iter().sum();
                plan.variants
                    .iter()
                    .cloned()
                    .zip(shares.iter().map(|share| share / total))
                    .collect()
            };
            experiments.push(ExperimentTruth {
                declared: plan.declared,
                fault: Some(plan.fault),
                real_shares: shares(&plan.allocation),
                declared_shares: shares(plan.declared_allocation.as_ref().unwrap_or(&plan.allocation)),
                lifts: lifts.collect(),
                planned_subjects_per_variant: plan.plan.as_ref().map(|plan| plan.subjects_per_variant),
                exposures: *exposures,
                outcomes: metrics.filter(|(_, count)| *count > 0).collect(),
                ..ExperimentTruth::default()
            });
        }
        for ((experiment, _), seen) in &self.subjects {
            let index = usize::from(*experiment);
            let (Some(plan), Some(truth)) = (self.config.experiments.get(index), experiments.get_mut(index)) else {
                continue;
            };
            let Some(variant) = plan.variants.get(usize::from(seen.variant)) else {
                continue;
            };
            *truth.first_exposures.entry(variant.clone()).or_default() += 1;
            let crossed = seen.variants.iter().any(|(_, variants)| variants.count_ones() > 1);
            let counts = if crossed {
                &mut truth.crossovers
            } else {
                &mut truth.subjects
            };
            *counts.entry(variant.clone()).or_default() += 1;
        }
        let names = self.config.experiments.iter().map(|plan| plan.name.clone());
        self.truth.experiments = names.zip(experiments).collect();
        self.truth
    }
}
