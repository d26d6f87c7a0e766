//! The whole job over streams that are hard on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use backplane_connector_api::memory::{MemorySource, MemoryStore};
use backplane_connector_api::{ConnectorError, Effect, Epoch, Output};
use backplane_events::Table;

use super::{all_tables, exposure, hourly, job_of, lines, outcome, results, rows, run, texts};
use crate::{Ending, Observer, Outlet, Progress, UserQuery};

/// `(n, sum, m2)` of the metric purchase in variant a, to date.
fn purchases(store: &MemoryStore, table: Table) -> (i64, f64, f64) {
    let batch = rows(store, table);
    let (variants, metrics, windows) = (
        texts(&batch, "variant"),
        texts(&batch, "metric"),
        texts(&batch, "window_name"),
    );
    let row = (0..batch.num_rows())
        .find(|row| {
            let is = |column: &[Option<String>], text: &str| column[*row].as_deref() == Some(text);
            is(&variants, "a") && is(&metrics, "purchase") && is(&windows, "cumulative")
        })
        .unwrap();
    let real = |column: &str| {
        batch
            .column_by_name(column)
            .unwrap()
            .as_primitive::<Float64Type>()
            .value(row)
    };
    let subjects = batch.column_by_name("subjects").unwrap().as_primitive::<Int64Type>();
    (subjects.value(row), real("sum"), real("m2"))
}

/// Forty subjects of variant a with small purchases.
fn small_purchases() -> Vec<String> {
    let mut records = Vec::new();
    for index in 0..40u32 {
        let subject = format!("s{index}");
        records.push(exposure(&format!("e{index}"), i64::from(index), &subject, "a"));
        let value = f64::from(index) * 0.0015;
        records.push(outcome(&format!("o{index}"), 100 + i64::from(index), &subject, value));
    }
    records
}

#[test]
fn an_outlier_that_leaves_takes_its_traces_with_it() {
    let (clean, _) = run(&hourly(), Vec::new(), lines(&small_purchases()), 1, 1 << 20);
    for huge in [1.7e15, 1e200, 1e308] {
        let mut records = vec![
            exposure("first", 0, "outlier", "a"),
            outcome("huge", 1, "outlier", huge),
            outcome("huge again", 2, "outlier", huge),
        ];
        records.extend(small_purchases());
        records.push(exposure("second", 200, "outlier", "b"));
        let (store, _) = run(&hourly(), Vec::new(), lines(&records), 1, 1 << 20);
        for table in [Table::MetricStats, Table::MaturedStats] {
            let (n, sum, m2) = purchases(&store, table);
            let (clean_n, clean_sum, clean_m2) = purchases(&clean, table);
            assert_eq!(n, clean_n);
            assert!((sum - clean_sum).abs() <= 1e-9 * clean_sum, "{sum} {clean_sum}");
            assert!((m2 - clean_m2).abs() <= 1e-9 * clean_m2, "{huge}: {m2} {clean_m2}");
        }
    }
}

#[test]
fn which_delivery_counts_does_not_depend_on_the_threads() {
    let mut config = hourly();
    config.engine.time.max_out_of_orderness = backplane_config::Micros::from_secs(2_000);
    config.engine.time.correction_horizon = backplane_config::Micros::from_secs(4_000);
    let partition = |name: &str, records: &[String]| (name.to_owned(), records.join("\n").into_bytes());
    let partitions = vec![
        partition(
            "one",
            &[
                exposure("f1", 1, "s1", "a"),
                exposure("f2", 2, "s2", "a"),
                exposure("f3", 3, "s3", "a"),
                exposure("again", 600, "s", "a"),
            ],
        ),
        partition(
            "two",
            &[exposure("again", 200, "s", "b"), exposure("again", 100, "s", "c")],
        ),
    ];
    let (alone, _) = run(&config, Vec::new(), partitions.clone(), 1, 1);
    let (together, _) = run(&config, Vec::new(), partitions, 4, 1);
    assert_eq!(results(&alone), results(&together));
    let variants = texts(&rows(&alone, Table::Exposures), "event_id");
    assert_eq!(variants.iter().filter(|id| id.as_deref() == Some("again")).count(), 1);
    let counted = texts(&rows(&alone, Table::AssignmentCounts), "variant");
    assert!(
        !counted.contains(&Some("c".to_owned())),
        "within a partition the first delivery counts"
    );
}

#[test]
fn a_users_query_sees_the_statistics_of_a_window_without_first_exposures() {
    let query = UserQuery {
        name: "both".to_owned(),
        window: 0,
        sql: "select (select count(*) from outcomes) as outcomes, (select count(*) from metric_stats) as statistics"
            .to_owned(),
    };
    let records = [exposure("e", 10, "s", "a"), outcome("o", 3_600 + 10, "s", 1.0)];
    let (store, _) = run(&hourly(), vec![query], lines(&records), 1, 1 << 20);
    let second = store.query("both").get(1).unwrap().clone();
    let count = |column: &str| {
        second
            .column_by_name(column)
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(0)
    };
    assert_eq!((count("outcomes"), count("statistics")), (1, 2));
    assert_eq!(second.schema().field(0).name(), "window_start");
    assert!(second.column(0).is_valid(0));
}

/// Stops a job after the first round that takes anything in.
struct StopAtOnce<'a>(&'a AtomicBool);

impl Observer for StopAtOnce<'_> {
    fn round(&mut self, progress: &Progress) {
        self.0.store(progress.counters.records > 0, Ordering::Relaxed);
    }
}

#[test]
fn a_job_that_is_stopped_hands_over_what_its_results_are_of_and_counts_the_rest() {
    let records: Vec<String> = (0..200)
        .map(|index| exposure(&format!("e{index}"), index * 10, &format!("s{index}"), "a"))
        .collect();
    let store = MemoryStore::new();
    let text = records.join("\n").into_bytes();
    let source = MemorySource::bounded("lines", [("one".to_owned(), text.into())]);
    let mut job = job_of(&hourly(), Vec::new(), source, vec![all_tables(&store)], 1);
    let stop = AtomicBool::new(false);
    assert_eq!(job.run(&stop, &mut StopAtOnce(&stop)).unwrap(), Ending::Stopped);
    let progress = job.progress();
    let handed_over = rows(&store, Table::Exposures).num_rows();
    assert!(progress.waiting_records > 0 && handed_over > 0);
    assert_eq!(
        handed_over + progress.waiting_records,
        progress.counters.records as usize
    );
    let counts = rows(&store, Table::AssignmentCounts);
    let subjects = counts.column_by_name("subjects").unwrap().as_primitive::<Int64Type>();
    let windows = texts(&counts, "window_name");
    let to_date = windows
        .iter()
        .position(|name| name.as_deref() == Some("cumulative"))
        .unwrap();
    assert_eq!(subjects.value(to_date), handed_over as i64);
}

/// Fails at its first epoch.
struct Full;

impl backplane_connector_api::Sink for Full {
    fn name(&self) -> &str {
        "full"
    }

    fn accept(&mut self, _: &Output) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn prepare(&mut self, _: Epoch) -> Result<Effect, ConnectorError> {
        Err(ConnectorError::unavailable("full", "no space is left"))
    }

    fn publish(&mut self, _: Epoch, _: &Effect) -> Result<(), ConnectorError> {
        Ok(())
    }
}

/// Remembers which epochs were given up.
struct Witness(Arc<Mutex<Vec<Epoch>>>);

impl backplane_connector_api::Sink for Witness {
    fn name(&self) -> &str {
        "witness"
    }

    fn accept(&mut self, _: &Output) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn prepare(&mut self, _: Epoch) -> Result<Effect, ConnectorError> {
        Ok(Effect::Null)
    }

    fn publish(&mut self, _: Epoch, _: &Effect) -> Result<(), ConnectorError> {
        panic!("nothing of an epoch is published before all of it is prepared");
    }

    fn discard(&mut self, epoch: Epoch, _: &Effect) {
        self.0.lock().unwrap().push(epoch);
    }
}

#[test]
fn an_epoch_that_one_sink_cannot_prepare_is_given_up_by_the_others() {
    let given_up = Arc::new(Mutex::new(Vec::new()));
    let source = MemorySource::bounded(
        "lines",
        [("one".to_owned(), exposure("e", 0, "s", "a").into_bytes().into())],
    );
    let outlets = vec![
        Outlet::new(Box::new(Witness(Arc::clone(&given_up))), [Table::Exposures]),
        Outlet::new(Box::new(Full), [Table::Exposures]),
    ];
    let mut job = job_of(&hourly(), Vec::new(), source, outlets, 1);
    let error = job.run(&AtomicBool::new(false), &mut ()).unwrap_err();
    assert!(error.to_string().contains("no space is left"), "{error}");
    assert_eq!(*given_up.lock().unwrap(), [Epoch(1)]);
}
