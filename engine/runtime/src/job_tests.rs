//! The whole job over lines in memory.

mod faults;
mod hard_cases;
mod healthy;
mod looked_at;
mod occasional;
mod planted;
mod restored;
mod stream;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use backplane_config::{Config, Metric, Micros, Window};
use backplane_connector_api::Source;
use backplane_connector_api::memory::{MemorySink, MemorySource, MemoryStore};
use backplane_events::Table;
use backplane_generator::{GeneratorConfig, generate};

use crate::declared::plan_of;
use crate::{Ending, Job, JobOptions, Observer, Outlet, Progress, UserQueries, UserQuery};

const HOUR: i64 = 3_600_000_000;

fn options(parallelism: usize) -> JobOptions {
    JobOptions {
        parallelism,
        emit_every: Duration::ZERO,
        checkpoint_interval: Duration::from_millis(1),
    }
}

fn all_tables(store: &MemoryStore) -> Outlet {
    Outlet::new(
        Box::new(MemorySink::new("memory", store.clone())),
        Table::ALL.iter().copied(),
    )
}

fn hourly() -> Config {
    let mut config = Config {
        metrics: vec![Metric::new("purchase"), Metric::binary("click")],
        ..Config::default()
    };
    config.engine.windows = vec![Window::tumble("hourly", Micros::from_hours(1))];
    config.engine.time.max_out_of_orderness = Micros::from_secs(30);
    config
}

fn run(
    config: &Config,
    queries: Vec<UserQuery>,
    partitions: Vec<(String, Vec<u8>)>,
    threads: usize,
    block_bytes: usize,
) -> (MemoryStore, Progress) {
    let store = MemoryStore::new();
    let source = MemorySource::bounded("lines", partitions.into_iter().map(|(name, text)| (name, text.into())));
    let outlet = all_tables(&store).with_queries(queries.iter().map(|query| query.name.clone()));
    let mut job = job_of(config, queries, source, vec![outlet], threads).with_block_bytes(block_bytes);
    assert_eq!(job.run(&AtomicBool::new(false), &mut ()).unwrap(), Ending::Exhausted);
    (store, job.progress())
}

/// A job that has read nothing yet.
fn job_of(config: &Config, queries: Vec<UserQuery>, source: MemorySource, outlets: Vec<Outlet>, threads: usize) -> Job {
    job_over(config, queries, vec![Box::new(source)], outlets, threads)
}

fn job_over(
    config: &Config,
    queries: Vec<UserQuery>,
    sources: Vec<Box<dyn Source>>,
    outlets: Vec<Outlet>,
    threads: usize,
) -> Job {
    let plan = plan_of(config).unwrap();
    let queries = UserQueries::new(queries).unwrap();
    Job::new(plan, queries, sources, outlets, options(threads)).unwrap()
}

fn time(seconds: i64) -> String {
    let start = chrono::DateTime::from_timestamp(1_767_571_200 + seconds, 0).unwrap();
    start.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn exposure(id: &str, seconds: i64, subject: &str, variant: &str) -> String {
    let at = time(seconds);
    format!(
        r#"{{"eventId":"{id}","timestamp":"{at}","eventType":"Exposure","schemaVersion":"1.0.0","payload":{{"experimentName":"x","variantKey":"{variant}","subjectId":"{subject}"}}}}"#
    )
}

fn outcome(id: &str, seconds: i64, subject: &str, value: f64) -> String {
    let at = time(seconds);
    format!(
        r#"{{"eventId":"{id}","timestamp":"{at}","eventType":"Outcome","schemaVersion":"1.0.0","payload":{{"experimentName":"x","subjectId":"{subject}","metricName":"purchase","value":{value}}}}}"#
    )
}

fn lines(records: &[String]) -> Vec<(String, Vec<u8>)> {
    vec![("one".to_owned(), records.join("\n").into_bytes())]
}

fn rows(store: &MemoryStore, table: Table) -> RecordBatch {
    concat_batches(&table.schema(), &store.rows(table)).unwrap()
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = cast(batch.column_by_name(column).unwrap(), &DataType::Utf8).unwrap();
    column
        .as_string::<i32>()
        .iter()
        .map(|value| value.map(str::to_owned))
        .collect()
}

/// Results as sorted texts: all columns but those that tell when a thing was done, reals as bits.
fn results(store: &MemoryStore) -> Vec<String> {
    let mut found = Vec::new();
    for table in [
        Table::AssignmentCounts,
        Table::MetricStats,
        Table::MaturedStats,
        Table::AssignmentPath,
        Table::EffectPath,
        Table::Signals,
        Table::LateEvents,
    ] {
        for batch in store.rows(table) {
            for row in 0..batch.num_rows() {
                let mut text = table.name().to_owned();
                for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                    if matches!(field.name().as_str(), "as_of" | "revision" | "ingest_time") {
                        continue;
                    }
                    text.push('|');
                    if column.is_null(row) {
                        continue;
                    }
                    let column = match column.data_type() {
                        DataType::Dictionary(..) => &cast(column, &DataType::Utf8).unwrap(),
                        _ => column,
                    };
                    if let Some(values) = column.as_string_opt::<i32>() {
                        text.push_str(values.value(row));
                    } else if let Some(values) = column.as_primitive_opt::<Float64Type>() {
                        text.push_str(&format!("{:016x}", values.value(row).to_bits()));
                    } else if let Some(values) = column.as_primitive_opt::<Int64Type>() {
                        text.push_str(&values.value(row).to_string());
                    } else if let Some(values) = column.as_primitive_opt::<TimestampMicrosecondType>() {
                        text.push_str(&values.value(row).to_string());
                    } else if let Some(values) = column.as_any().downcast_ref::<BooleanArray>() {
                        text.push_str(&values.value(row).to_string());
                    }
                }
                found.push(text);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn results_are_the_same_to_the_last_bit_whatever_the_reading_and_the_threads() {
    let generator = GeneratorConfig {
        partitions: 2,
        ..GeneratorConfig::property(17)
    };
    let mut texts = [Vec::new(), Vec::new()];
    let [first, second] = &mut texts;
    generate(&generator, &mut [first, second]).unwrap();
    let document = backplane_config::Document::parse(
        "generated",
        &generator.config_json().to_string(),
        backplane_config::Syntax::Json,
    );
    let config = document.unwrap().load(&|_| None).unwrap().config;
    let partitions: Vec<(String, Vec<u8>)> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| (format!("p{index}"), text.clone()))
        .collect();
    let reference = results(&run(&config, Vec::new(), partitions.clone(), 1, 1 << 20).0);
    assert!(reference.len() > 100);
    for (threads, block_bytes) in [(1, 1), (2, 5_000), (4, 300), (3, 1 << 20)] {
        let other = results(&run(&config, Vec::new(), partitions.clone(), threads, block_bytes).0);
        assert_eq!(
            reference.len(),
            other.len(),
            "{threads} threads, blocks of {block_bytes} bytes"
        );
        assert!(reference == other, "{threads} threads, blocks of {block_bytes} bytes");
    }
}

#[test]
fn an_outcome_before_its_exposure_waits_for_it() {
    let records = [
        outcome("o1", 100, "s", 3.0),
        outcome("o0", 50, "s", 100.0),
        exposure("e", 70, "s", "a"),
    ];
    let (store, progress) = run(&hourly(), Vec::new(), lines(&records), 2, 1);
    let stats = rows(&store, Table::MetricStats);
    let purchase: Vec<usize> = texts(&stats, "metric")
        .iter()
        .enumerate()
        .filter(|(_, metric)| metric.as_deref() == Some("purchase"))
        .map(|(row, _)| row)
        .collect();
    let sums = stats.column_by_name("sum").unwrap().as_primitive::<Float64Type>();
    assert_eq!(
        sums.value(*purchase.last().unwrap()),
        3.0,
        "the outcome after the exposure counts, the one before it does not"
    );
    assert_eq!(progress.counters.outcomes_without_exposure, 1);
}

#[test]
fn a_record_that_is_late_for_a_window_counts_to_date_only_and_is_told_of() {
    let mut config = hourly();
    config.engine.time.allowed_lateness = Micros::from_mins(5);
    let records = [
        exposure("e1", 10, "s1", "a"),
        exposure("e2", 3_600 + 331, "s2", "a"),
        exposure("late", 20, "s3", "a"),
        exposure("too-late", 0, "s4", "a"),
        exposure("e3", 3_600 * 3, "s5", "a"),
        exposure("hopeless", 30, "s6", "a"),
    ];
    config.engine.time.correction_horizon = Micros(3_600_000_000 + 325_000_000);
    let (store, progress) = run(&config, Vec::new(), lines(&records), 1, 1 << 20);
    let late = rows(&store, Table::LateEvents);
    let ids = texts(&late, "event_id");
    let names = texts(&late, "window_name");
    let told: Vec<(&str, &str)> = ids
        .iter()
        .zip(&names)
        .map(|(id, name)| (id.as_deref().unwrap(), name.as_deref().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("late", "hourly"),
            ("too-late", "hourly"),
            ("too-late", "cumulative"),
            ("hopeless", "hourly"),
            ("hopeless", "cumulative")
        ]
    );
    assert_eq!((progress.counters.late, progress.counters.too_late), (1, 2));
    let counts = rows(&store, Table::AssignmentCounts);
    let subjects = counts.column_by_name("subjects").unwrap().as_primitive::<Int64Type>();
    let by_window: Vec<(Option<String>, i64)> = texts(&counts, "window_name")
        .into_iter()
        .zip(subjects.values().iter().copied())
        .collect();
    assert_eq!(
        by_window.first(),
        Some(&(Some("hourly".to_owned()), 1)),
        "the first hour has the one that came in time"
    );
    assert_eq!(by_window.last(), Some(&(Some("cumulative".to_owned()), 4)));
    assert_eq!(
        rows(&store, Table::Exposures).num_rows(),
        6,
        "all of them are in the lake"
    );
}

#[test]
fn a_second_delivery_counts_once_and_is_not_handed_over() {
    let records = [
        exposure("e", 10, "s", "a"),
        outcome("o", 20, "s", 2.0),
        outcome("o", 20, "s", 2.0),
        exposure("e", 10, "s", "a"),
    ];
    let (store, progress) = run(&hourly(), Vec::new(), lines(&records), 2, 1);
    assert_eq!(progress.counters.duplicates, 2);
    assert_eq!(rows(&store, Table::Outcomes).num_rows(), 1);
    assert_eq!(rows(&store, Table::Exposures).num_rows(), 1);
}

#[test]
fn a_bad_record_goes_to_the_dead_letters_with_its_place_and_the_stream_goes_on() {
    let records = [
        exposure("e", 10, "s", "a"),
        "{\"eventId\": 7}".to_owned(),
        exposure("f", 11, "t", "a"),
    ];
    let (store, progress) = run(&hourly(), Vec::new(), lines(&records), 1, 1 << 20);
    let letters = rows(&store, Table::DeadLetters);
    assert_eq!(texts(&letters, "position"), [Some("lines partition one:2".to_owned())]);
    assert_eq!(
        letters.column_by_name("raw").unwrap().as_binary::<i32>().value(0),
        b"{\"eventId\": 7}"
    );
    assert_eq!((progress.counters.records, progress.counters.dead_letters), (2, 1));
}

#[test]
fn a_users_query_sees_the_events_of_its_window_and_no_late_ones() {
    let query = UserQuery {
        name: "outcomes".to_owned(),
        window: 0,
        sql: "select (select count(*) from outcomes) as outcomes, (select sum(subjects) from assignment_counts) as subjects".to_owned(),
    };
    let records = [
        exposure("e1", 10, "s1", "a"),
        outcome("o1", 20, "s1", 1.0),
        outcome("o2", 3_600 * 2, "s1", 1.0),
        outcome("late", 30, "s1", 1.0),
    ];
    let mut config = hourly();
    config.engine.time.correction_horizon = Micros::from_hours(3);
    let (store, _) = run(&config, vec![query], lines(&records), 2, 1);
    let first = store.query("outcomes").first().unwrap().clone();
    let value = |column: &str| {
        first
            .column_by_name(column)
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(0)
    };
    assert_eq!((value("outcomes"), value("subjects")), (1, 1));
}

#[test]
fn a_query_with_a_typing_error_is_refused_before_the_first_event() {
    let query = UserQuery {
        name: "q".to_owned(),
        window: 0,
        sql: "select varient from exposures".to_owned(),
    };
    let error = UserQueries::new(vec![query]).err().unwrap().to_string();
    assert!(error.contains("query q") && error.contains("varient"), "{error}");
}

/// Gets the step and how far the job is; whether to go on to the next step.
type OnRound<'a> = Box<dyn FnMut(usize, &Progress) -> bool + Send + 'a>;

/// Feeds a live job step by step, and stops it when it has seen enough.
struct Feeder<'a> {
    step: usize,
    stop: &'a AtomicBool,
    on_round: OnRound<'a>,
}

impl Observer for Feeder<'_> {
    fn round(&mut self, progress: &Progress) {
        if (self.on_round)(self.step, progress) {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.step += 1;
        assert!(self.step < 2_000, "the job does not come on: {progress:?}");
    }
}

#[test]
fn an_idle_partition_does_not_hold_a_live_job_up_and_what_it_brings_back_is_late() {
    let (source, feed) = MemorySource::live("live");
    let mut config = hourly();
    config.engine.time.idle_timeout = Micros::from_millis(50);
    config.engine.time.correction_horizon = Micros::from_hours(2);
    let store = MemoryStore::new();
    let mut job = job_of(&config, Vec::new(), source, vec![all_tables(&store)], 2);
    let stop = AtomicBool::new(false);
    feed.append("quick", exposure("e1", 10, "s1", "a"));
    feed.append("silent", exposure("e2", 11, "s2", "a"));
    let mut brought_back_at = None;
    let mut feeder = Feeder {
        step: 0,
        stop: &stop,
        on_round: Box::new(|step, progress| {
            // one partition goes on speaking, the other has fallen silent
            let seconds = 2 * 3_600 + i64::try_from(step).unwrap();
            feed.append(
                "quick",
                exposure(&format!("q{step}"), seconds, &format!("q{step}"), "a"),
            );
            if brought_back_at.is_none() && progress.watermark.0 > 1_767_571_200_000_000 + HOUR + HOUR / 2 {
                feed.append("silent", exposure("e4", 12, "s4", "a"));
                brought_back_at = Some(step);
            }
            brought_back_at.is_some_and(|at| step > at + 20)
        }),
    };
    assert_eq!(job.run(&stop, &mut feeder).unwrap(), Ending::Stopped);
    let counts = rows(&store, Table::AssignmentCounts);
    let finals = counts
        .column_by_name("is_final")
        .unwrap()
        .as_any()
        .downcast_ref::<BooleanArray>()
        .unwrap();
    let subjects = counts.column_by_name("subjects").unwrap().as_primitive::<Int64Type>();
    let final_subjects: Vec<i64> = (0..counts.num_rows())
        .filter(|row| finals.value(*row))
        .map(|row| subjects.value(row))
        .collect();
    assert_eq!(
        final_subjects,
        [2],
        "the first hour became final once, with what had come by then"
    );
    assert!(
        (0..counts.num_rows()).any(|row| !finals.value(row)),
        "a live job shows provisional rows"
    );
}

#[test]
fn a_live_record_far_ahead_of_the_clock_is_refused_and_moves_nothing() {
    let (source, feed) = MemorySource::live("live");
    let store = MemoryStore::new();
    let mut job = job_of(&hourly(), Vec::new(), source, vec![all_tables(&store)], 1);
    let stop = AtomicBool::new(false);
    let far = 60 * 60 * 24 * 365 * 200;
    feed.append(
        "p",
        format!("{}\n{}", exposure("e1", 10, "s1", "a"), exposure("far", far, "s2", "a")),
    );
    let mut feeder = Feeder {
        step: 0,
        stop: &stop,
        on_round: Box::new(|_, progress| progress.counters.dead_letters == 1),
    };
    job.run(&stop, &mut feeder).unwrap();
    let letters = rows(&store, Table::DeadLetters);
    assert_eq!(texts(&letters, "reason"), [Some("future_timestamp".to_owned())]);
    assert_eq!(texts(&letters, "position"), [Some("live partition p:2".to_owned())]);
    assert_eq!(job.progress().last_event_time.0, (1_767_571_200 + 10) * 1_000_000);
}
