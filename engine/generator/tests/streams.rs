//! What a stream promises, checked by reading it back with another JSON reader.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::collections::{HashMap, HashSet};
use std::io::Write;

use backplane_generator::{BenchShape, Fault, GeneratorConfig, GeneratorError, Truth, generate};
use serde_json::Value;

fn generated(config: &GeneratorConfig) -> (Vec<Vec<u8>>, Truth) {
    let mut partitions = vec![Vec::new(); usize::from(config.partitions)];
    let mut writers: Vec<&mut dyn Write> = partitions.iter_mut().map(|out| out as &mut dyn Write).collect();
    let truth = generate(config, &mut writers).unwrap();
    (partitions, truth)
}

fn lines(partitions: &[Vec<u8>]) -> Vec<&str> {
    partitions
        .iter()
        .flat_map(|bytes| std::str::from_utf8(bytes).unwrap().lines())
        .collect()
}

/// FNV-1a: a checksum that needs no crate.
fn checksum(partitions: &[Vec<u8>]) -> u64 {
    let bytes = partitions.iter().flatten();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn member<'a>(object: &'a Value, name: &str) -> &'a Value {
    let pascal = name[..1].to_uppercase() + &name[1..];
    object.get(name).or_else(|| object.get(&pascal)).unwrap_or(&Value::Null)
}

fn presets() -> Vec<GeneratorConfig> {
    let shape = BenchShape {
        subjects: 2000,
        ..BenchShape::default()
    };
    let mut presets = vec![
        GeneratorConfig::demo(20_000, 3),
        GeneratorConfig::bench_of(20_000, 3, shape),
    ];
    presets.extend((0..6).map(GeneratorConfig::property));
    presets
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    for config in presets() {
        let (first, truth) = generated(&config);
        let (second, _) = generated(&config);
        assert_eq!(checksum(&first), checksum(&second));
        let (other, _) = generated(&GeneratorConfig {
            seed: config.seed + 100,
            ..config.clone()
        });
        assert_ne!(checksum(&first), checksum(&other));
        assert_eq!(truth.bytes, first.iter().map(|bytes| bytes.len() as u64).sum::<u64>());
    }
}

#[test]
fn the_bytes_are_those_of_every_other_machine() {
    let (demo, _) = generated(&GeneratorConfig::demo(5000, 1));
    let (property, _) = generated(&GeneratorConfig::property(1));
    // written down once: a change here changes every stream that anybody has kept the seed of
    assert_eq!(
        (checksum(&demo), checksum(&property)),
        (DEMO_CHECKSUM, PROPERTY_CHECKSUM)
    );
}

const DEMO_CHECKSUM: u64 = 9_419_980_818_553_172_902;
const PROPERTY_CHECKSUM: u64 = 7_822_428_391_576_243_937;

#[test]
fn there_are_as_many_lines_as_asked_for() {
    for events in [1, 2, 17, 1000] {
        let (partitions, truth) = generated(&GeneratorConfig::demo(events, 5));
        assert_eq!(lines(&partitions).len() as u64, events);
        assert_eq!(truth.lines, events);
    }
}

#[test]
fn the_truth_counts_what_is_in_the_lines() {
    for config in presets() {
        let (partitions, truth) = generated(&config);
        let mut bad = 0;
        let mut deliveries: HashMap<String, u64> = HashMap::new();
        for line in lines(&partitions) {
            let record: Value = serde_json::from_str(line).unwrap_or_default();
            let id = member(&record, "eventId").as_str().unwrap_or_default();
            // the ids of bad lines say so
            if id.is_empty() || id.starts_with("bad-") {
                bad += 1;
            } else {
                *deliveries.entry(id.to_owned()).or_default() += 1;
            }
        }
        assert_eq!(bad, truth.bad);
        let decoded: u64 = deliveries.values().sum();
        assert_eq!(decoded, truth.decoded);
        assert_eq!(decoded, truth.by_type.values().sum::<u64>() + truth.duplicates);
        let repeated = decoded - deliveries.len() as u64;
        assert!(truth.duplicates <= repeated && repeated <= truth.duplicates + truth.too_late);
    }
}

#[test]
fn every_record_has_what_its_type_requires() {
    let required: HashMap<&str, &[&str]> = HashMap::from([
        ("exposure", ["experimentName", "variantKey", "subjectId"].as_slice()),
        ("assignment", &["experimentName", "subjectId", "newVariantKey"]),
        ("outcome", &["subjectId", "metricName", "value"]),
        (
            "analysissignal",
            &["experimentName", "signalType", "severity", "message"],
        ),
        ("error", &["errorType", "message"]),
    ]);
    let ordinals = ["exposure", "assignment", "outcome", "analysissignal", "error"];
    let mut seen = HashSet::new();
    for config in presets() {
        let (partitions, _) = generated(&config);
        for line in lines(&partitions) {
            let Ok(record) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let id = member(&record, "eventId").as_str().unwrap_or_default();
            if id.is_empty() || id.starts_with("bad-") {
                continue;
            }
            let event_type = match member(&record, "eventType") {
                Value::String(name) => name.to_lowercase(),
                ordinal => ordinals[usize::try_from(ordinal.as_u64().unwrap()).unwrap()].to_owned(),
            };
            for name in required[event_type.as_str()] {
                assert!(!member(member(&record, "payload"), name).is_null(), "{name} in {line}");
            }
            let instant = member(&record, "timestamp").as_str().unwrap();
            assert!(instant.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{instant}");
            seen.insert(event_type);
        }
    }
    assert_eq!(seen.len(), ordinals.len());
}

#[test]
fn the_property_stream_has_every_irregularity() {
    for seed in 0..6 {
        let (_, truth) = generated(&GeneratorConfig::property(seed));
        assert!(truth.bad > 0 && truth.duplicates > 0 && truth.too_late > 0 && truth.outcomes_without_experiment > 0);
        assert!(truth.late.values().all(|late| *late > 0), "{:?}", truth.late);
        let crossovers: u64 = truth
            .experiments
            .values()
            .flat_map(|truth| truth.crossovers.values())
            .sum();
        assert!(crossovers > 0);
    }
}

#[test]
fn the_demo_is_broken_only_where_it_says_so() {
    for (events, seed) in [(20_000, 1), (60_000, 2), (200_000, 3)] {
        let (_, truth) = generated(&GeneratorConfig::demo(events, seed));
        for (name, experiment) in &truth.experiments {
            let total: u64 = experiment.first_exposures.values().sum();
            // the ramp's two allocations cannot be judged together
            if name == "signup-form-length" {
                continue;
            }
            let chi_square: f64 = experiment
                .declared_shares
                .iter()
                .map(|(variant, share)| {
                    let expected = share * total as f64;
                    (experiment.first_exposures[variant] as f64 - expected).powi(2) / expected
                })
                .sum();
            if experiment.fault == Some(Fault::BrokenAllocation) {
                assert!(chi_square > 40.0, "{name}: {chi_square}");
            } else {
                assert!(chi_square < 4.0, "{name}: {chi_square}");
            }
            let crossovers: u64 = experiment.crossovers.values().sum();
            assert!(
                crossovers > 0 && (crossovers as f64) < 0.01 * total as f64,
                "{name}: {crossovers}"
            );
            let planned = experiment.planned_subjects_per_variant.unwrap();
            let fulfilled = experiment.subjects.values().all(|subjects| *subjects >= planned);
            assert_eq!(
                fulfilled,
                experiment.fault != Some(Fault::ReadEarly),
                "{name}: {planned}"
            );
        }
    }
}

/// The subjects of each arm and those of them with an outcome of the metric, both by experiment and variant.
fn converted(lines: &[&str], metric: &str) -> HashMap<(String, String), (HashSet<String>, HashSet<String>)> {
    let mut variants: HashMap<(String, String), String> = HashMap::new();
    let mut with_outcome: HashSet<(String, String)> = HashSet::new();
    for line in lines {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let payload = &record["payload"];
        let text = |name: &str| payload[name].as_str().unwrap_or_default().to_owned();
        let key = (text("experimentName"), text("subjectId"));
        match record["eventType"].as_str() {
            Some("Exposure") => _ = variants.entry(key).or_insert_with(|| text("variantKey")),
            Some("Outcome") if payload["metricName"] == metric => _ = with_outcome.insert(key),
            _ => {}
        }
    }
    let mut arms: HashMap<(String, String), (HashSet<String>, HashSet<String>)> = HashMap::new();
    for ((experiment, subject), variant) in variants {
        let (subjects, converted) = arms.entry((experiment.clone(), variant)).or_default();
        if with_outcome.contains(&(experiment, subject.clone())) {
            converted.insert(subject.clone());
        }
        subjects.insert(subject);
    }
    arms
}

#[test]
fn the_demos_planted_effects_show_and_no_others() {
    for (events, seed) in [(20_000, 11), (60_000, 12)] {
        let (partitions, truth) = generated(&GeneratorConfig::demo(events, seed));
        let lines = lines(&partitions);
        for metric in ["purchase", "click", "latency"] {
            let arms = converted(&lines, metric);
            for (name, experiment) in &truth.experiments {
                if name == "recommendation-carousel" || name == "signup-form-length" {
                    continue;
                }
                let arm = |variant: &str| {
                    let (subjects, converted) = &arms[&(name.clone(), variant.to_owned())];
                    (subjects.len() as f64, converted.len() as f64)
                };
                let ((n_c, x_c), (n_t, x_t)) = (arm("control"), arm("treatment"));
                let pooled = (x_c + x_t) / (n_c + n_t);
                let z = (x_t / n_t - x_c / n_c) / (pooled * (1.0 - pooled) * (1.0 / n_c + 1.0 / n_t)).sqrt();
                let planted = experiment.lifts.keys().any(|key| key.starts_with(metric));
                let expected = match (planted, experiment.fault) {
                    (true, Some(Fault::RealEffect)) => 5.0..9.0,
                    (true, Some(Fault::ReadEarly)) => 2.0..2.8,
                    _ => -0.6..0.6,
                };
                assert!(expected.contains(&z), "{name} {metric}: {z}");
            }
        }
    }
}

#[test]
fn a_bench_envelope_has_about_430_bytes() {
    let (_, truth) = generated(&GeneratorConfig::bench(50_000, 1));
    let mean = truth.bytes / truth.lines;
    assert!((415..=445).contains(&mean), "{mean}");
    assert_eq!(truth.experiments.len(), 20);
}

#[test]
fn the_configuration_reads_back_from_yaml_and_json_alike() {
    for config in presets() {
        let document = config.config_json();
        let declared = document["experimentFramework"]["experiments"].as_array().unwrap();
        let expected = config.experiments.iter().filter(|plan| plan.declared).count();
        assert_eq!(declared.len(), expected);
        assert!(config.config_yaml().starts_with("experimentFramework:\n"));
    }
}

#[test]
fn a_stream_that_contradicts_itself_is_refused() {
    let mut config = GeneratorConfig::demo(10, 1);
    config.experiments[0].allocation[0].shares.pop();
    let refused = generate(&config, &mut [&mut Vec::new()]);
    assert!(matches!(refused, Err(GeneratorError::InvalidConfig { .. })));
    let no_writer = generate(&GeneratorConfig::demo(10, 1), &mut []);
    assert!(matches!(no_writer, Err(GeneratorError::InvalidConfig { .. })));
}
