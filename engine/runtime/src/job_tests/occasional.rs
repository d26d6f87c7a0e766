//! Records that are tried again, beside the job's own sources in some of its runs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::AsArray;
use arrow::compute::max;
use arrow::datatypes::Int64Type;
use backplane_checkpoint::CheckpointStore;
use backplane_config::{Config, Micros};
use backplane_connector_api::Source;
use backplane_connector_api::memory::{MemorySource, MemoryStore};
use backplane_events::Table;

use super::restored::{epochs, resume, written};
use super::{Feeder, all_tables, exposure, hourly, job_over, outcome, rows, texts};
use crate::{Ending, Job, LEAST_JOURNAL, Progress};

const MINUTE: i64 = 60;

/// Partitions by name, as lines.
type Partitions<'a> = &'a [(&'a str, Vec<String>)];

fn memory(name: &str, partitions: Partitions<'_>) -> MemorySource {
    let partitions = partitions.iter().map(|(id, records)| {
        let text = records
            .iter()
            .map(|record| record.to_owned() + "\n")
            .collect::<String>();
        ((*id).to_owned(), text.into())
    });
    MemorySource::bounded(name, partitions.collect::<Vec<_>>())
}

/// One job over several runs.
struct Runs {
    config: Config,
    store: MemoryStore,
    epochs: Arc<CheckpointStore>,
}

impl Runs {
    fn new() -> Self {
        let mut config = hourly();
        config.engine.time.correction_horizon = Micros::from_hours(1);
        Runs {
            config,
            store: MemoryStore::new(),
            epochs: epochs(),
        }
    }

    fn job(&self, own: Partitions<'_>, again: Option<Partitions<'_>>) -> Job {
        let mut sources: Vec<Box<dyn Source>> = vec![Box::new(memory("own", own))];
        if let Some(again) = again {
            // the same name is not the same source
            sources.push(Box::new(memory("own", again).that_is_occasional()));
        }
        let job = job_over(&self.config, Vec::new(), sources, vec![all_tables(&self.store)], 2);
        let mut job = job.with_block_bytes(1_000);
        resume(&mut job, &self.epochs, LEAST_JOURNAL).unwrap();
        job
    }

    fn run(&self, own: Partitions<'_>, again: Option<Partitions<'_>>) -> (Ending, Progress) {
        let mut job = self.job(own, again);
        let ending = job.run(&AtomicBool::new(false), &mut ()).unwrap();
        (ending, job.progress())
    }

    /// Ids of events of a table, sorted.
    fn ids(&self, table: Table) -> Vec<String> {
        let mut ids: Vec<String> = texts(&rows(&self.store, table), "event_id")
            .into_iter()
            .flatten()
            .collect();
        ids.sort();
        ids
    }

    /// The results that were written last: to date, and of the windows that are final then.
    fn last_results(&self) -> Vec<String> {
        let mut results = Vec::new();
        for table in [Table::AssignmentCounts, Table::MetricStats] {
            for is_wanted in [true, false] {
                let of_kind = written(&self.store, table, |is_final, _| is_final == is_wanted);
                assert!(!of_kind.is_empty());
            }
            let revisions = rows(&self.store, table);
            let revisions = revisions.column_by_name("revision").unwrap();
            let last = max(revisions.as_primitive::<Int64Type>()).unwrap();
            results.extend(written(&self.store, table, |is_final, revision| {
                !is_final && revision == last
            }));
        }
        results.sort();
        results
    }
}

/// Two subjects a minute, one of each variant, with an outcome each.
fn minute(minute: i64) -> Vec<String> {
    let of = |variant: &str| {
        let subject = format!("{variant}{minute:03}");
        [
            exposure(&format!("e-{subject}"), minute * MINUTE, &subject, variant),
            outcome(&format!("o-{subject}"), minute * MINUTE + 1, &subject, minute as f64),
        ]
    };
    [of("a"), of("b")].concat()
}

fn minutes(range: std::ops::Range<i64>) -> Vec<String> {
    range.flat_map(minute).collect()
}

/// A stream of two hours in two partitions, and what is left out of it: minutes that lie within the horizon, the last one first.
fn with_gaps() -> ([(&'static str, Vec<String>); 2], Vec<String>) {
    let is_gap = |minute: i64| minute >= 70 && minute % 3 == 0;
    let of = |rest: i64| (0..120).filter(move |minute| minute % 2 == rest && !is_gap(*minute));
    let partition = |rest: i64| of(rest).flat_map(minute).collect::<Vec<_>>();
    let gaps = (0..120).rev().filter(|minute| is_gap(*minute)).flat_map(minute);
    ([("p", partition(0)), ("q", partition(1))], gaps.collect())
}

#[test]
fn what_comes_again_in_whatever_order_counts_as_if_it_had_come_in_time() {
    let whole = Runs::new();
    let all: Vec<String> = minutes(0..120);
    assert_eq!(whole.run(&[("p", all)], None).0, Ending::Exhausted);

    let runs = Runs::new();
    let (own, gaps) = with_gaps();
    assert_eq!(runs.run(&own, None).0, Ending::Exhausted);
    assert_ne!(runs.last_results(), whole.last_results());
    let (ending, progress) = runs.run(&own, Some(&[("letters", gaps.clone())]));
    assert_eq!((ending, progress.counters.too_late), (Ending::Exhausted, 0));
    assert_eq!(runs.ids(Table::Exposures), whole.ids(Table::Exposures));
    assert_eq!(runs.ids(Table::Outcomes), whole.ids(Table::Outcomes));
    assert_eq!(runs.last_results(), whole.last_results());

    // with it, without it and with it once more: it is read already
    let visible = runs.store.row_counts();
    for again in [Some(gaps.clone()), None, Some(gaps)] {
        let again = again.map(|lines| [("letters", lines)]);
        let again = again.as_ref().map(|partitions| &partitions[..]);
        assert_eq!(runs.run(&own, again).0, Ending::NothingNew);
    }
    assert_eq!(runs.store.row_counts(), visible);
}

#[test]
fn runs_without_it_carry_on_how_far_it_was_read() {
    let whole = Runs::new();
    let all: Vec<String> = minutes(0..125);
    whole.run(&[("p", all)], None);

    let runs = Runs::new();
    let (mut own, gaps) = with_gaps();
    runs.run(&own, None);
    // it breaks off where some of it is read
    let mut job = runs.job(&own, Some(&[("letters", gaps.clone())]));
    let stop = AtomicBool::new(false);
    let mut observer = Feeder {
        step: 0,
        stop: &stop,
        on_round: Box::new(|_, progress| progress.counters.records > progress.records_before),
    };
    assert_eq!(job.run(&stop, &mut observer).unwrap(), Ending::Stopped);
    let read = job.progress().counters.records - job.progress().records_before;
    assert!(read > 0 && read < gaps.len() as u64, "{read} of {}", gaps.len());
    drop(job);

    // its blocks wait still; others come behind it, also a partition that is new, and another of the same kind
    own[0].1.extend(minutes(120..121));
    let own = [own[0].clone(), own[1].clone(), ("r", minutes(121..122))];
    assert_eq!(runs.run(&own, None).0, Ending::Exhausted);
    assert_eq!(
        runs.run(&own, Some(&[("others", minutes(122..123))])).0,
        Ending::Exhausted
    );
    let mut grown = gaps;
    grown.extend(minutes(123..125));
    assert_eq!(runs.run(&own, Some(&[("letters", grown)])).0, Ending::Exhausted);
    assert_eq!(runs.ids(Table::Exposures), whole.ids(Table::Exposures));
    assert_eq!(runs.ids(Table::Outcomes), whole.ids(Table::Outcomes));
    assert_eq!(runs.last_results(), whole.last_results());
}

#[test]
fn what_comes_beyond_the_horizon_is_too_late_and_what_lies_in_the_future_is_refused() {
    let runs = Runs::new();
    let own = [("p", minutes(0..120))];
    runs.run(&own, None);
    let future = 500 * 365 * 24 * 60 * MINUTE;
    let again = vec![
        exposure("late", 30 * MINUTE, "s", "a"),
        exposure("future", future, "t", "a"),
        "no record".to_owned(),
        exposure("in-time", 65 * MINUTE, "u", "a"),
    ];
    let (ending, progress) = runs.run(&own, Some(&[("letters", again)]));
    assert_eq!((ending, progress.counters.too_late), (Ending::Exhausted, 1));
    assert_eq!(progress.subjects, 2 * 120 + 1);
    let exposures = runs.ids(Table::Exposures);
    assert_eq!(exposures.len(), 2 * 120 + 2);
    assert!(exposures.contains(&"late".to_owned()) && exposures.contains(&"in-time".to_owned()));
    assert_eq!(texts(&rows(&runs.store, Table::LateEvents), "window_name").len(), 2);
    let letters = rows(&runs.store, Table::DeadLetters);
    let told = |column: &str| texts(&letters, column).into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(told("reason"), ["invalid_json", "future_timestamp"]);
    assert_eq!(told("position"), ["own partition letters:3", "own partition letters:2"]);
    // time did not go on with it
    assert_eq!(runs.run(&[("p", minutes(0..121))], None).1.counters.too_late, 1);
}
