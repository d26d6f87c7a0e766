//! Signals of looks: what people have read of results, and what they decided then.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use backplane_config::{Config, Micros, Plan};
use backplane_connector_api::memory::{MemorySource, MemoryStore};
use backplane_events::Table;

use super::stream::{Found, MINUTE, SECOND, START, Stream, halves, signals_of};
use super::{all_tables, job_of, lines, rows, texts};
use crate::{Ledger, LedgerRows, RuntimeError};

/// A ledger that gives its rows at every call.
struct Fixed(LedgerRows);

impl Ledger for Fixed {
    fn poll(&mut self) -> Result<Vec<LedgerRows>, RuntimeError> {
        Ok(vec![self.0.clone()])
    }
}

/// A look at `purchase` of b against a: (minutes since the start, subjects of each arm, p-value, logarithm of the e-value).
type PlantedLook = (i64, i64, f64, f64);

fn ledger(looks: &[PlantedLook], decided_hours_later: Option<i64>) -> Fixed {
    let count = looks.len();
    let same = |text: &str| Arc::new(StringArray::from(vec![text; count])) as ArrayRef;
    let times = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;
    let integers = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let reals = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let ids: Vec<String> = (0..count).map(|index| format!("look-{index}")).collect();
    let at = |look: &PlantedLook| START + look.0 * MINUTE;
    let columns = vec![
        Arc::new(StringArray::from(ids)) as ArrayRef,
        times(looks.iter().map(at).collect()),
        same("ada"),
        same("sql"),
        same("x"),
        same("purchase"),
        same("b vs a"),
        times(looks.iter().map(at).collect()),
        integers(looks.iter().map(|look| look.1).collect()),
        integers(looks.iter().map(|look| look.1).collect()),
        integers(looks.iter().map(|look| 2 * look.1).collect()),
        reals(looks.iter().map(|look| 1.0 / (look.1 as f64).sqrt()).collect()),
        reals(looks.iter().map(|look| look.2).collect()),
        reals(looks.iter().map(|look| look.3).collect()),
        same("0"),
    ];
    let decided = decided_hours_later.map(|hours| START + hours * 60 * MINUTE);
    let text = |text: &str| Arc::new(StringArray::from(vec![text; decided.iter().count()])) as ArrayRef;
    let decisions = vec![
        times(decided.into_iter().collect()),
        text("ada"),
        text("x"),
        text("ship"),
        text(""),
    ];
    Fixed(LedgerRows {
        looks: RecordBatch::try_new(Table::Looks.schema(), columns).unwrap(),
        decisions: RecordBatch::try_new(Table::Decisions.schema(), decisions).unwrap(),
        are_kept: true,
    })
}

/// Ten subjects a minute for so long, half of them in b, each with an outcome that has nothing to do with its variant.
fn read_stream(minutes: usize) -> Stream {
    let mut stream = Stream::default();
    for index in 0..minutes * 10 {
        let subject = stream.subject();
        stream.exposure("x", &subject, ["a", "b"][index % 2]);
        stream.outcome(stream.now + SECOND, &subject, [8.0, 8.0, 12.0, 12.0][index % 4]);
        stream.wait(6 * SECOND);
    }
    stream
}

/// Signals of a stream whose results are looked at.
fn found_with(config: &Config, stream: &Stream, ledger: Fixed) -> Vec<Found> {
    let store = MemoryStore::new();
    let source = MemorySource::bounded(
        "lines",
        lines(&stream.records)
            .into_iter()
            .map(|(name, text)| (name, text.into())),
    );
    let mut job = job_of(config, Vec::new(), source, vec![all_tables(&store)], 2).with_ledger(Box::new(ledger));
    job.run(&AtomicBool::new(false), &mut ()).unwrap();
    job.follow_up().unwrap();
    let mut found = signals_of(&store);
    found.sort_by_key(|signal| (signal.4, signal.0.clone()));
    found
}

fn planned() -> Config {
    let mut config = halves();
    config.experiments[0].attribution_window = Some(Micros::from_mins(5));
    config.experiments[0].plan = Some(Plan {
        subjects_per_variant: Some(20_000),
        ..Plan::default()
    });
    config
}

fn told(found: &[Found]) -> Vec<(&str, &str, &str)> {
    found
        .iter()
        .map(|(signal, state, severity, ..)| (&**signal, &**state, &**severity))
        .collect()
}

#[test]
fn a_significance_that_is_read_too_early_is_told_and_forgotten_when_it_fades() {
    let looks = [(40, 200, 0.3, 0.1), (60, 300, 0.012, 0.8), (61, 305, 0.011, 0.9)];
    let found = found_with(&planned(), &read_stream(240), ledger(&looks, None));
    let premature = "peek.premature_significance";
    assert_eq!(
        told(&found),
        [(premature, "raised", "Warning"), (premature, "resolved", "Info")]
    );
    assert_eq!(found[0].4, 60);
    assert!(found[1].4 > 90, "{found:?}");
}

#[test]
fn a_decision_on_such_a_look_is_an_error_and_one_days_later_is_not() {
    let looks = [(60, 300, 0.012, 0.8)];
    let early = found_with(&planned(), &read_stream(240), ledger(&looks, Some(5)));
    assert!(
        told(&early).contains(&("peek.early_stop", "raised", "Error")),
        "{early:?}"
    );
    assert!(
        early
            .iter()
            .all(|signal| signal.0 != "peek.early_stop" || signal.4 == 60)
    );
    let late = found_with(&planned(), &read_stream(240), ledger(&looks, Some(26)));
    assert!(late.iter().all(|signal| signal.0 != "peek.early_stop"), "{late:?}");
}

#[test]
fn looks_that_are_proven_or_insignificant_or_at_the_planned_sample_are_no_fault() {
    for look in [
        (60, 300, 0.2, 0.0),
        (60, 300, 1e-9, 12.0),
        (60, 20_000, 0.01, 0.5),
        (60, 40, 0.001, 0.5),
    ] {
        let found = found_with(&planned(), &read_stream(120), ledger(&[look], Some(5)));
        assert_eq!(told(&found), [], "{look:?}");
    }
}

#[test]
fn reading_without_a_plan_is_told_once() {
    let mut config = planned();
    config.experiments[0].plan = None;
    let looks = [(40, 200, 0.3, 0.1), (60, 300, 0.5, 0.1)];
    let found = found_with(&config, &read_stream(120), ledger(&looks, None));
    assert_eq!(told(&found), [("peek.no_plan", "raised", "Info")]);
    assert_eq!(found[0].4, 40);
}

#[test]
fn results_in_a_sink_that_people_watch_are_looked_at() {
    let mut stream = Stream::default();
    for index in 0..600 {
        let subject = stream.subject();
        stream.exposure("x", &subject, ["a", "b"][index % 2]);
        // b has 0.35 more, with a standard deviation of 2: p is about 0.03
        let value = [8.0, 8.35, 12.0, 12.35][index % 4];
        stream.outcome(stream.now + SECOND, &subject, value);
        stream.wait(6 * SECOND);
    }
    let job = |is_watched: bool| {
        let store = MemoryStore::new();
        let partitions = lines(&stream.records)
            .into_iter()
            .map(|(name, text)| (name, text.into()));
        let source = MemorySource::bounded("lines", partitions);
        let outlet = all_tables(&store);
        let outlet = if is_watched {
            outlet.that_counts_as_look()
        } else {
            outlet
        };
        let mut job = job_of(&planned(), Vec::new(), source, vec![outlet], 2);
        job.run(&AtomicBool::new(false), &mut ()).unwrap();
        (rows(&store, Table::Looks), rows(&store, Table::Signals))
    };
    let (looks, signals) = job(true);
    assert_eq!(looks.num_rows(), 1);
    assert_eq!(texts(&looks, "principal"), [Some("memory".to_owned())]);
    assert_eq!(texts(&looks, "pair"), [Some("b vs a".to_owned())]);
    assert_eq!(
        texts(&signals, "signal"),
        [Some("peek.premature_significance".to_owned())]
    );
    let (looks, signals) = job(false);
    assert_eq!((looks.num_rows(), signals.num_rows()), (0, 0));
}

#[test]
fn a_decision_does_not_raise_a_premature_significance_again() {
    let looks = [(60, 300, 0.012, 0.8)];
    let found = found_with(&planned(), &read_stream(240), ledger(&looks, Some(3)));
    let premature: Vec<_> = told(&found)
        .into_iter()
        .filter(|signal| signal.0 == "peek.premature_significance")
        .collect();
    assert_eq!(
        premature.iter().filter(|signal| signal.1 == "raised").count(),
        1,
        "{found:?}"
    );
}

#[test]
fn looks_are_judged_in_the_order_of_what_they_saw_although_they_are_known_from_the_start() {
    // insignificant by matured subjects in between, so that the first is over before the second is made
    let looks = [(60, 300, 0.012, 0.8), (180, 900, 0.011, 0.9)];
    let found = found_with(&planned(), &read_stream(300), ledger(&looks, None));
    let premature = "peek.premature_significance";
    assert_eq!(
        told(&found),
        [
            (premature, "raised", "Warning"),
            (premature, "resolved", "Info"),
            (premature, "raised", "Warning"),
            (premature, "resolved", "Info"),
        ]
    );
    assert_eq!((found[0].4, found[2].4), (60, 180));
}

#[test]
fn results_that_have_not_moved_are_looked_at_once() {
    let (source, feed) = MemorySource::live("live");
    let store = MemoryStore::new();
    let outlet = all_tables(&store).that_counts_as_look();
    let mut job = job_of(&planned(), Vec::new(), source, vec![outlet], 2);
    let stop = AtomicBool::new(false);
    let stream = read_stream(60);
    let (first, second) = stream.records.split_at(stream.records.len() / 2);
    feed.append("p", format!("{}\n", first.join("\n")));
    let mut second = Some(second.join("\n"));
    let mut rounds = 0;
    let mut feeder = super::Feeder {
        step: 0,
        stop: &stop,
        on_round: Box::new(move |_, _| {
            rounds += 1;
            if rounds == 30
                && let Some(records) = second.take()
            {
                feed.append("p", format!("{records}\n"));
            }
            rounds > 60
        }),
    };
    job.run(&stop, &mut feeder).unwrap();
    let ids = texts(&rows(&store, Table::Looks), "look_id");
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), distinct.len());
    // one for each half of the events, and the first may be read in two pieces
    assert!((2..=3).contains(&ids.len()), "{}", ids.len());
}

#[test]
fn looks_of_a_lake_that_is_replayed_are_kept() {
    let kept = |are_kept: bool| {
        let store = MemoryStore::new();
        let stream = read_stream(120);
        let partitions = lines(&stream.records)
            .into_iter()
            .map(|(name, text)| (name, text.into()));
        let source = MemorySource::bounded("lines", partitions);
        let mut ledger = ledger(&[(40, 200, 0.3, 0.1), (60, 300, 0.5, 0.1)], Some(5));
        ledger.0.are_kept = are_kept;
        let job = job_of(&planned(), Vec::new(), source, vec![all_tables(&store)], 2);
        let mut job = job.with_ledger(Box::new(ledger));
        job.run(&AtomicBool::new(false), &mut ()).unwrap();
        let count = |table| rows(&store, table).num_rows();
        (count(Table::Looks), count(Table::Decisions))
    };
    assert_eq!(kept(false), (2, 1));
    assert_eq!(kept(true), (0, 0));
}
