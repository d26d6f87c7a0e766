//! Healthy streams raise nothing but milestones, and false alarms of sample ratio mismatch as seldom as promised.

use std::collections::BTreeMap;

use backplane_events::Table;
use backplane_generator::{Draws, Fault, GeneratorConfig, generate};

use super::{rows, run, texts};

/// Streams of so many seeds, side by side in one job.
const SEEDS: u64 = 60;

/// The demonstration's stream without its faults, and with the chance of independent draws; disorder, duplicates, crossovers, late
/// and bad records, and the declared change of an allocation stay. Its experiments and tenants carry the seed in their names.
fn healthy(seed: u64) -> GeneratorConfig {
    let mut stream = GeneratorConfig {
        draws: Draws::Independent,
        ..GeneratorConfig::demo(12_000, seed)
    };
    // so few that chance does not bring 1 % of a small experiment together, from which on assignment counts as inconsistent
    stream.rates.crossover = 0.001;
    for tenant in &mut stream.tenants {
        tenant.push_str(&format!("-{seed}"));
    }
    for experiment in &mut stream.experiments {
        experiment.name.push_str(&format!("-{seed}"));
        if let Some(declared) = experiment.declared_allocation.take() {
            experiment.allocation = declared;
        }
        experiment.effects.clear();
        experiment.fault = Fault::None;
    }
    stream
}

/// A raised signal: its name, severity, experiment, and whether it is about a segment.
type Raised = (String, String, String, bool);

fn raised() -> Vec<Raised> {
    let mut partitions = Vec::new();
    let mut document = serde_json::Value::Null;
    for seed in 0..SEEDS {
        let stream = healthy(seed);
        let mut text = Vec::new();
        generate(&stream, &mut [&mut text]).unwrap();
        partitions.push((format!("seed-{seed}"), text));
        let own = stream.config_json();
        if document.is_null() {
            document = own;
        } else {
            let experiments = own["experimentFramework"]["experiments"].as_array().unwrap().clone();
            document["experimentFramework"]["experiments"]
                .as_array_mut()
                .unwrap()
                .extend(experiments);
        }
    }
    document["experimentFramework"]["engine"]["evaluateEvery"] = "10m".into();
    let document =
        backplane_config::Document::parse("generated", &document.to_string(), backplane_config::Syntax::Json);
    let config = document.unwrap().load(&|_| None).unwrap().config;
    let (store, _) = run(&config, Vec::new(), partitions, 2, 1 << 20);
    let batch = rows(&store, Table::Signals);
    let [signals, states, severities, experiments, data] =
        ["signal", "state", "severity", "experiment", "data"].map(|name| texts(&batch, name).into_iter().flatten());
    signals
        .zip(states)
        .zip(severities.zip(experiments).zip(data))
        .filter(|((_, state), _)| state == "raised")
        .map(|((signal, _), ((severity, experiment), data))| {
            let of_segment = data.contains("\"segment\"");
            (signal, severity, experiment, of_segment)
        })
        .collect()
}

/// The greatest count that a binomial variable exceeds with a probability of less than 0.1 %.
fn binomial_bound(trials: u32, probability: f64) -> u32 {
    let mut mass = (1.0 - probability).powi(i32::try_from(trials).unwrap());
    let mut below = mass;
    let mut count = 0;
    while below < 0.999 {
        mass *= f64::from(trials - count) / f64::from(count + 1) * probability / (1.0 - probability);
        below += mass;
        count += 1;
    }
    count
}

#[test]
fn false_alarms_are_as_seldom_as_promised() {
    assert_eq!((binomial_bound(360, 0.01), binomial_bound(360, 0.001)), (11, 3));
    let found = raised();
    let others: Vec<_> = found
        .iter()
        .filter(|(signal, ..)| signal != "srm" && !signal.starts_with("sample."))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(found.iter().any(|(signal, ..)| signal == "sample.minimum"));

    // one e-process an experiment; those of its segments share one level, since their threshold grows with their number
    let mut alarms: BTreeMap<&str, BTreeMap<(&str, bool), u32>> = BTreeMap::new();
    for (signal, severity, experiment, of_segment) in &found {
        if signal == "srm" {
            let process = (experiment.as_str(), *of_segment);
            *alarms.entry(severity).or_default().entry(process).or_default() += 1;
        }
    }
    for of_segment in [false, true] {
        let processes = u32::try_from(SEEDS).unwrap() * if of_segment { 2 } else { 6 };
        for (severity, level) in [("Warning", 0.01), ("Error", 0.001)] {
            let alarmed = alarms.get(severity).into_iter().flatten();
            let count = alarmed.filter(|((_, segment), _)| *segment == of_segment).count();
            let bound = binomial_bound(processes, level);
            assert!(
                count <= bound as usize,
                "{count} {severity}s of {processes} healthy processes, {bound} allowed: {alarms:?}"
            );
        }
    }
}
