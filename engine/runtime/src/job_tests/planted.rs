//! Each signal is raised once by what it is there to find, and is closed after the cause has ended.

use backplane_config::{Config, Experiment, Metric, Micros, Plan, Timestamp};
use backplane_events::Table;

use super::stream::{Found, MINUTE, SECOND, START, Stream, declared, halves, signals_of};
use super::{lines, rows, run, texts};

/// What a job finds in a stream; the same on one thread and on three, whatever the size of blocks.
fn found_in(config: &Config, stream: &Stream) -> Vec<Found> {
    let once = |threads, block_bytes| {
        let (store, progress) = run(config, Vec::new(), lines(&stream.records), threads, block_bytes);
        let found = signals_of(&store);
        let raised = found.iter().filter(|signal| signal.1 == "raised").count();
        assert_eq!(progress.counters.signals, raised as u64);
        found
    };
    let found = once(1, 1 << 20);
    assert_eq!(found, once(3, 700));
    found
}

/// That the stream raises this signal once, with this severity, and closes it; and nothing else.
fn assert_raised_and_closed(config: &Config, stream: &Stream, signal: &str, severity: &str, about: &str) {
    let found = found_in(config, stream);
    let [raised, closed] = found.as_slice() else {
        panic!("one raising and one closing are wanted: {found:?}");
    };
    assert_eq!(
        (&*raised.0, &*raised.1, &*raised.2, &*raised.3),
        (signal, "raised", severity, about)
    );
    assert_eq!(
        (&*closed.0, &*closed.1, &*closed.2, &*closed.3),
        (signal, "resolved", "Info", about)
    );
    assert!(closed.4 > raised.4 + 30, "closed {} after {}", closed.4, raised.4);
}

#[test]
fn a_broken_allocation_is_a_sample_ratio_mismatch_until_it_is_mended() {
    let mut stream = Stream::default();
    stream.expose(120, &["a", "a", "a", "a", "a", "a", "a", "a", "a", "b"]);
    stream.expose(2_400, &["a", "b"]);
    assert_raised_and_closed(&halves(), &stream, "srm", "Error", "");
}

#[test]
fn opposite_mismatches_of_two_segments_are_found_although_the_whole_is_in_order() {
    let mut config = halves();
    config.experiments[0].segments = vec![backplane_config::Segment::Attribute("os".to_owned())];
    let mut stream = Stream::default();
    let expose = |stream: &mut Stream, count: usize, pattern: &[(&str, &str)]| {
        for (variant, os) in pattern.iter().cycle().take(count) {
            let subject = stream.subject();
            let payload = format!(
                r#"{{"experimentName":"x","variantKey":"{variant}","subjectId":"{subject}","attributes":{{"os":"{os}"}}}}"#
            );
            stream.envelope(stream.now, "Exposure", &payload);
            stream.wait(SECOND / 2);
        }
    };
    let apart = [
        ("a", "mac"),
        ("b", "win"),
        ("a", "mac"),
        ("b", "win"),
        ("a", "mac"),
        ("b", "win"),
        ("b", "mac"),
        ("a", "win"),
    ];
    expose(&mut stream, 480, &apart);
    expose(
        &mut stream,
        9_600,
        &[("a", "mac"), ("b", "win"), ("b", "mac"), ("a", "win")],
    );
    let found = found_in(&config, &stream);
    let about: Vec<(&str, &str)> = found.iter().map(|signal| (&*signal.1, &*signal.3)).collect();
    for value in ["attributes.osmac", "attributes.oswin"] {
        let states: Vec<&str> = about
            .iter()
            .filter(|(_, about)| *about == value)
            .map(|(state, _)| *state)
            .collect();
        assert_eq!(states.last(), Some(&"resolved"), "{found:?}");
    }
    assert!(about.iter().all(|(_, about)| !about.is_empty()), "{found:?}");
}

#[test]
fn an_assumed_allocation_is_at_most_a_warning() {
    let config = declared(Experiment::new("another"));
    let mut stream = Stream::default();
    stream.expose(400, &["a", "a", "a", "b"]);
    let found = found_in(&config, &stream);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&*found[0].0, &*found[0].2), ("srm", "Warning"));
}

#[test]
fn a_declared_change_of_the_allocation_is_no_mismatch() {
    let change = Timestamp(START + 20 * MINUTE);
    let experiment = Experiment::new("x")
        .allocated([("a", 0.9), ("b", 0.1)])
        .reallocated(change, [("a", 0.5), ("b", 0.5)]);
    let mut stream = Stream::default();
    stream.expose(1_200, &["a", "a", "a", "a", "a", "a", "a", "a", "a", "b"]);
    stream.expose(1_200, &["a", "b"]);
    assert_eq!(found_in(&declared(experiment), &stream), []);
}

#[test]
fn a_variant_without_subjects_is_missing() {
    let third = 1.0 / 3.0;
    let config = declared(Experiment::new("x").allocated([("a", third), ("b", third), ("c", third)]));
    let mut stream = Stream::default();
    stream.expose(60, &["a", "b"]);
    stream.expose(3_000, &["a", "b", "c"]);
    assert_raised_and_closed(&config, &stream, "variant.missing", "Warning", "c");
}

#[test]
fn a_variant_that_nobody_declared_is_unknown() {
    let mut stream = Stream::default();
    stream.expose(50, &["a", "b", "a", "b", "b2"]);
    stream.expose(3_000, &["a", "b"]);
    assert_raised_and_closed(&halves(), &stream, "variant.unknown", "Warning", "b2");
}

#[test]
fn a_variant_with_subjects_and_without_a_share_leaks() {
    let config = declared(Experiment::new("x").allocated([("a", 0.5), ("b", 0.5), ("off", 0.0)]));
    let mut stream = Stream::default();
    stream.expose(50, &["a", "b", "a", "b", "off"]);
    stream.expose(3_000, &["a", "b"]);
    assert_raised_and_closed(&config, &stream, "variant.leak", "Warning", "off");
}

#[test]
fn subjects_in_several_variants_make_the_assignment_inconsistent() {
    let mut stream = Stream::default();
    for _ in 0..20 {
        stream.expose(19, &["a", "b"]);
        let subject = stream.subject();
        stream.exposure("x", &subject, "b");
        stream.exposure("x", &subject, "a");
    }
    stream.expose(4_000, &["a", "b"]);
    assert_raised_and_closed(&halves(), &stream, "assignment.inconsistent", "Warning", "");
}

#[test]
fn a_variant_that_loses_its_exposures_is_found_by_its_assigned_subjects() {
    let mut stream = Stream::default();
    // in the first part every third subject of b loses its exposure
    let mut assigned = |count: usize, is_losing: bool| {
        for index in 0..count {
            let variant = ["a", "b"][index % 2];
            let subject = stream.subject();
            stream.assignment(&subject, variant);
            if variant == "a" || !is_losing || index / 2 % 3 != 1 {
                stream.exposure("x", &subject, variant);
            }
            stream.outcome(stream.now + SECOND, &subject, 1.0);
            stream.wait(2 * SECOND);
        }
    };
    assigned(400, true);
    assigned(7_000, false);
    assert_raised_and_closed(&halves(), &stream, "exposure.missing", "Warning", "");
}

#[test]
fn a_trigger_that_not_everybody_meets_is_no_missing_exposure() {
    let mut stream = Stream::default();
    for index in 0..2_000 {
        let variant = ["a", "b"][index % 2];
        let subject = stream.subject();
        stream.assignment(&subject, variant);
        if index % 10 < 4 {
            stream.exposure("x", &subject, variant);
        }
        stream.outcome(stream.now + SECOND, &subject, 1.0);
        stream.wait(3 * SECOND);
    }
    assert_eq!(found_in(&halves(), &stream), []);
}

#[test]
fn outcomes_long_before_their_exposure_are_found() {
    let mut stream = Stream::default();
    stream.wait(20 * MINUTE);
    let mut exposed = |count: usize, before: usize| {
        for index in 0..count {
            let subject = stream.subject();
            // a record of now, so that the one from before comes in disorder, as from another clock
            stream.exposure("x", &subject, ["a", "b"][index % 2]);
            let at = if index < before {
                stream.now - 10 * MINUTE
            } else {
                stream.now
            };
            stream.outcome(at, &subject, 1.0);
            stream.wait(SECOND);
        }
    };
    exposed(240, 20);
    exposed(2_600, 0);
    assert_raised_and_closed(&halves(), &stream, "outcome.before_exposure", "Warning", "");
}

#[test]
fn records_beyond_the_horizon_are_told_of() {
    let mut stream = Stream::default();
    stream.wait(120 * MINUTE);
    stream.expose(600, &["a", "b"]);
    for _ in 0..12 {
        let subject = stream.subject();
        stream.outcome(0, &subject, 1.0);
    }
    stream.expose(12_600, &["a", "b"]);
    assert_raised_and_closed(&halves(), &stream, "data.late_dropped", "Warning", "");
}

#[test]
fn exposures_that_stop_and_come_again_are_told_of() {
    let mut stream = Stream::default();
    let mut hours = |minutes: i64, is_up: bool| {
        for minute in 0..minutes * 2 {
            let subject = stream.subject();
            let variant = ["a", "b"][usize::try_from(minute % 2).unwrap()];
            stream.exposure("other", &subject, variant);
            if is_up {
                stream.exposure("x", &subject, variant);
            }
            stream.wait(30 * SECOND);
        }
    };
    hours(90, true);
    hours(100, false);
    hours(90, true);
    let found = found_in(&halves(), &stream);
    assert_eq!(found.len(), 2, "{found:?}");
    // the last exposure was 30 s before minute 90
    assert_eq!(
        (&*found[0].0, &*found[0].1, found[0].4),
        ("traffic.none", "raised", 150)
    );
    assert_eq!(
        (&*found[1].0, &*found[1].1, found[1].4),
        ("traffic.none", "resolved", 192)
    );
}

#[test]
fn an_experiment_that_does_not_start_is_told_of() {
    let mut config = halves();
    config.experiments[0].starts_at = Some(Timestamp(START + 10 * MINUTE));
    let mut stream = Stream::default();
    for _ in 0..120 {
        let subject = stream.subject();
        stream.exposure("other", &subject, "a");
        stream.wait(MINUTE);
    }
    for _ in 0..60 {
        stream.expose(2, &["a", "b"]);
        let subject = stream.subject();
        stream.exposure("other", &subject, "a");
        stream.wait(MINUTE);
    }
    let found = found_in(&config, &stream);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((&*found[0].0, &*found[0].1, found[0].4), ("traffic.none", "raised", 70));
    assert_eq!(&*found[1].1, "resolved");
}

#[test]
fn a_planned_sample_is_a_milestone() {
    let mut config = halves();
    config.experiments[0].attribution_window = Some(Micros::from_mins(5));
    config.experiments[0].plan = Some(Plan {
        subjects_per_variant: Some(300),
        minimum_effect: Some(0.1),
        ..Plan::default()
    });
    let mut stream = Stream::default();
    for index in 0..1_200 {
        let subject = stream.subject();
        stream.exposure("x", &subject, ["a", "b"][index % 2]);
        stream.outcome(stream.now + SECOND, &subject, [8.0, 8.0, 12.0, 12.0][index % 4]);
        stream.wait(3 * SECOND);
    }
    let found = found_in(&config, &stream);
    let told: Vec<(&str, &str, &str, &str)> = found
        .iter()
        .map(|signal| (&*signal.0, &*signal.1, &*signal.2, &*signal.3))
        .collect();
    let power = ("sample.power", "raised", "Info", "purchaseb vs a");
    assert_eq!(told, [power, ("sample.minimum", "raised", "Info", "")]);
    // a standard deviation of 2 around 10 shows a difference of 1 at power 0.8 from 64 subjects an arm on, but nothing is said before 100:
    // those are there after 10 minutes, and their outcomes are complete 5 minutes later
    assert_eq!(found[1].4, 30);
    assert_eq!(found[0].4, 15);
}

#[test]
fn a_sequential_design_is_told_when_it_may_be_decided() {
    let mut config = halves();
    config.experiments[0].attribution_window = Some(Micros::from_mins(1));
    config.experiments[0].plan = Some(Plan {
        design: backplane_config::Design::Sequential,
        ..Plan::default()
    });
    let mut stream = Stream::default();
    for index in 0..1_200 {
        let subject = stream.subject();
        stream.exposure("x", &subject, ["a", "b"][index % 2]);
        stream.outcome(stream.now + SECOND, &subject, [8.0, 9.0, 12.0, 13.0][index % 4]);
        stream.wait(SECOND);
    }
    let found = found_in(&config, &stream);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&*found[0].0, &*found[0].3), ("sequential.boundary", "purchaseb vs a"));
    assert!(found[0].4 >= 4, "not before 100 subjects of each arm: {found:?}");
}

#[test]
fn values_without_variance_or_beyond_all_range_and_a_thousand_variants_stop_nothing() {
    let mut config = declared(
        Experiment::new("x")
            .allocated([("a", 0.5), ("b", 0.5)])
            .reallocated(Timestamp(START + 10 * MINUTE), [("a", 0.4), ("b", 0.6)]),
    );
    config.experiments[0].attribution_window = Some(Micros::from_mins(1));
    config.experiments[0].plan = Some(Plan {
        minimum_effect: Some(0.1),
        subjects_per_variant: Some(1_000_000),
        ..Plan::default()
    });
    config.metrics = ["constant", "nearly", "huge", "zero"].map(Metric::new).to_vec();
    let mut stream = Stream::default();
    for index in 0..1_000_u32 {
        let subject = stream.subject();
        stream.exposure("x", &subject, ["a", "b"][index as usize % 2]);
        let values = [
            ("constant", 10.0),
            ("nearly", 10.0 + 1e-14 * f64::from(index % 3)),
            ("huge", if index % 2 == 0 { 1e300 } else { -1e300 }),
            ("zero", 0.0),
        ];
        for (metric, value) in values {
            let payload =
                format!(r#"{{"experimentName":"x","subjectId":"{subject}","metricName":"{metric}","value":{value}}}"#);
            stream.envelope(stream.now + SECOND, "Outcome", &payload);
        }
        let stray = stream.subject();
        stream.exposure("undeclared", &stray, &format!("variant-{index}"));
        if index % 3 == 0 {
            let stray = stream.subject();
            stream.exposure("x", &stray, &format!("stray-{index}"));
        }
        stream.wait(2 * SECOND);
    }
    let found = found_in(&config, &stream);
    assert!(found.iter().any(|signal| signal.0 == "variant.unknown"), "{found:?}");
    let reached: Vec<&str> = found
        .iter()
        .filter(|signal| signal.0 == "sample.power")
        .map(|signal| &*signal.3)
        .collect();
    assert_eq!(reached, ["nearlyb vs a"]);
}

#[test]
fn what_is_older_than_the_horizon_is_forgotten_wherever_blocks_are_cut() {
    let mut stream = Stream::default();
    let subjects: Vec<String> = (0..200).map(|_| stream.subject()).collect();
    for subject in &subjects {
        stream.outcome(stream.now, subject, 1.0);
        stream.wait(SECOND);
    }
    // records of nobody, over more than the horizon, so that the watermark may move in many steps or in one
    for _ in 0..240 {
        let payload = r#"{"errorType":"Timeout","message":"no answer"}"#;
        stream.envelope(stream.now, "Error", payload);
        stream.wait(MINUTE);
    }
    for (index, subject) in subjects.iter().enumerate() {
        stream.exposure("x", subject, ["a", "b"][index % 2]);
        stream.wait(SECOND);
    }
    // compares one thread and blocks of 1 MiB with three threads and blocks of 700 bytes
    assert_eq!(found_in(&halves(), &stream), []);
}

#[test]
fn exposures_that_stop_are_told_of_until_they_come_again_although_outcomes_go_on() {
    let mut stream = Stream::default();
    for minute in 0..420 {
        let subject = stream.subject();
        if !(90..300).contains(&minute) {
            for variant in ["a", "b"] {
                let subject = stream.subject();
                stream.exposure("x", &subject, variant);
            }
        }
        stream.outcome(stream.now, &subject, 1.0);
        stream.wait(MINUTE);
    }
    let found = found_in(&halves(), &stream);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((&*found[0].1, found[0].4), ("raised", 150));
    // the first evaluation that sees an exposure again is at minute 301
    assert_eq!((&*found[1].1, found[1].4), ("resolved", 302));
}

#[test]
fn a_variant_that_is_assigned_and_never_exposed_has_no_assumed_share() {
    let config = declared(Experiment::new("another"));
    let mut stream = Stream::default();
    for index in 0..600 {
        let subject = stream.subject();
        let variant = ["a", "b", "holdout"][index % 3];
        stream.assignment(&subject, variant);
        if variant != "holdout" {
            stream.exposure("x", &subject, variant);
        }
        stream.wait(SECOND);
    }
    assert_eq!(found_in(&config, &stream), []);
}

#[test]
fn a_live_job_finds_the_same_as_a_bounded_one() {
    use backplane_connector_api::memory::{MemorySource, MemoryStore};
    use std::sync::atomic::AtomicBool;
    let mut stream = Stream::default();
    stream.expose(120, &["a", "a", "a", "a", "a", "a", "a", "a", "a", "b"]);
    stream.expose(2_400, &["a", "b"]);
    // so that the watermark passes the closing in a live job too
    stream.wait(10 * MINUTE);
    stream.expose(1, &["a"]);
    let ids = |store: &MemoryStore| texts(&rows(store, Table::Signals), "event_id");
    let (bounded, _) = run(&halves(), Vec::new(), lines(&stream.records), 2, 1 << 20);
    assert_eq!(ids(&bounded).len(), 2);

    for pieces in [1, 7, 40] {
        let (source, feed) = MemorySource::live("live");
        let store = MemoryStore::new();
        let mut job = super::job_of(&halves(), Vec::new(), source, vec![super::all_tables(&store)], 2);
        let stop = AtomicBool::new(false);
        let mut left = stream.records.chunks(stream.records.len().div_ceil(pieces));
        let all = stream.records.len() as u64;
        let mut feeder = super::Feeder {
            step: 0,
            stop: &stop,
            on_round: Box::new(move |_, progress| {
                if let Some(records) = left.next() {
                    feed.append("p", format!("{}\n", records.join("\n")));
                }
                progress.counters.records == all && progress.counters.signals > 0
            }),
        };
        job.run(&stop, &mut feeder).unwrap();
        assert_eq!(ids(&store), ids(&bounded), "{pieces} pieces");
    }
}

#[test]
fn a_signal_of_a_live_job_does_not_wait_for_the_interval_of_checkpoints() {
    use backplane_connector_api::memory::{MemorySource, MemoryStore};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};
    let mut stream = Stream::default();
    stream.expose(600, &["a", "a", "a", "a", "a", "a", "a", "a", "a", "b"]);
    let (source, feed) = MemorySource::live("live");
    let store = MemoryStore::new();
    let options = crate::JobOptions {
        checkpoint_interval: Duration::from_secs(3_600),
        ..super::options(2)
    };
    let (plan, queries) = (
        super::plan_of(&halves()).unwrap(),
        super::UserQueries::new(Vec::new()).unwrap(),
    );
    let outlets = vec![super::all_tables(&store)];
    let mut job = super::Job::new(plan, queries, vec![Box::new(source)], outlets, options).unwrap();
    feed.append("p", format!("{}\n", stream.records.join("\n")));
    let stop = AtomicBool::new(false);
    let (seen, begin, visible) = (AtomicBool::new(false), Instant::now(), store.clone());
    let mut feeder = super::Feeder {
        step: 0,
        stop: &stop,
        on_round: Box::new(|_, _| {
            let is_seen = rows(&visible, Table::Signals).num_rows() > 0;
            seen.fetch_or(is_seen, Ordering::Relaxed);
            is_seen || begin.elapsed() > Duration::from_secs(60)
        }),
    };
    job.run(&stop, &mut feeder).unwrap();
    assert!(seen.load(Ordering::Relaxed));
}

#[test]
fn a_signal_that_is_closed_is_not_raised_anew_by_what_would_have_kept_it_open() {
    let mut stream = Stream::default();
    for minute in 0..420 {
        // one exposure comes after the hour without any, and none any more
        if minute < 90 || minute == 190 {
            for variant in ["a", "b"] {
                let subject = stream.subject();
                stream.exposure("x", &subject, variant);
            }
        }
        // so that time goes on
        let elsewhere = stream.subject();
        stream.exposure("another", &elsewhere, ["a", "b"][minute % 2]);
        stream.wait(MINUTE);
    }
    let found = found_in(&halves(), &stream);
    let told: Vec<_> = found.iter().map(|signal| (&*signal.0, &*signal.1, signal.4)).collect();
    assert_eq!(
        told,
        [("traffic.none", "raised", 150), ("traffic.none", "resolved", 192)]
    );
}

#[test]
fn the_end_of_the_calendar_stops_no_job() {
    let mut stream = Stream::default();
    stream.now = 253_402_300_799 * SECOND - START;
    stream.expose(1, &["a"]);
    stream.now = 0;
    stream.expose(20, &["a", "b"]);
    let found = found_in(&halves(), &stream);
    let told: Vec<_> = found.iter().map(|signal| (&*signal.0, &*signal.1)).collect();
    assert_eq!(told, [("data.late_dropped", "raised")]);
}

#[test]
fn with_few_expected_the_exact_test_stands_beside_chi_square() {
    let mut stream = Stream::default();
    stream.expose(120, &["a", "a", "b"]);
    let config = declared(Experiment::new("x").allocated([("a", 0.97), ("b", 0.03)]));
    let (store, _) = run(&config, Vec::new(), lines(&stream.records), 1, 1 << 20);
    let data = texts(&rows(&store, Table::Signals), "data");
    let data: serde_json::Value = serde_json::from_str(data[0].as_ref().unwrap()).unwrap();
    let subjects = data["subjects"].as_f64().unwrap();
    assert!(
        subjects >= 100.0 && data["expected"][1].as_f64().unwrap() < 5.0,
        "{data}"
    );
    assert!(data["exactPValue"].as_f64().unwrap() < 1e-10, "{data}");
}

#[test]
fn a_stray_subject_is_told_of_although_signals_may_be_closed_at_once() {
    let mut config = halves();
    config.engine.signals.resolve_after = Micros::from_secs(0);
    let mut stream = Stream::default();
    stream.expose(600, &["a", "b"]);
    stream.expose(1, &["stray"]);
    stream.expose(600, &["a", "b"]);
    let found = found_in(&config, &stream);
    let told: Vec<_> = found.iter().map(|signal| (&*signal.0, &*signal.1)).collect();
    assert_eq!(told, [("variant.unknown", "raised"), ("variant.unknown", "resolved")]);
}
