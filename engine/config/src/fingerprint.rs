//! What of a configuration decides the results, as hashes that can be compared across restarts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Config;

/// Hashes of the parts of a configuration that decide results, by part.
///
/// Two configurations with equal fingerprints give the same results from the same events, whatever their sources, sinks, threads and
/// memory. The hashes are stable over restarts and machines: XXH3 over the part's canonical JSON, as 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, String>);

impl Fingerprint {
    /// The hashes by part.
    #[must_use]
    pub fn parts(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The names of the parts that differ, in order; a part that only one of the two knows differs.
    #[must_use]
    pub fn changed_since<'a>(&'a self, earlier: &'a BTreeMap<String, String>) -> Vec<&'a str> {
        let names = self
            .0
            .keys()
            .chain(earlier.keys().filter(|name| !self.0.contains_key(*name)));
        let mut changed: Vec<&str> = names
            .filter(|name| self.0.get(*name) != earlier.get(*name))
            .map(String::as_str)
            .collect();
        changed.sort_unstable();
        changed
    }
}

impl Config {
    /// The fingerprint, with the parts `metrics`, `experiments`, `time` (what of it is event time), `crossovers`, `windows`,
    /// `evaluateEvery` and `signals`.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let engine = &self.engine;
        Fingerprint(BTreeMap::from([
            part("metrics", &self.metrics),
            part("experiments", &self.experiments),
            part(
                "time",
                &(
                    engine.time.max_out_of_orderness,
                    engine.time.allowed_lateness,
                    engine.time.correction_horizon,
                ),
            ),
            part("crossovers", &engine.crossovers),
            part("windows", &engine.windows),
            part("evaluateEvery", &engine.evaluate_every),
            part("signals", &engine.signals),
        ]))
    }
}

fn part(name: &str, value: &impl Serialize) -> (String, String) {
    // the model is made of maps with text keys, lists, texts and finite numbers, which JSON can always hold
    let json = serde_json::to_vec(value).unwrap_or_default();
    (name.to_owned(), format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&json)))
}

#[cfg(test)]
mod tests {
    use crate::{Config, Metric, Micros, Window};

    #[test]
    fn only_what_decides_results_changes_the_fingerprint() {
        let before = Config::default();
        let mut after = before.clone();
        after.engine.parallelism += 1;
        after.engine.job = "another".to_owned();
        assert_eq!(after.fingerprint(), before.fingerprint());
        after.metrics.push(Metric::binary("click"));
        after
            .engine
            .windows
            .push(Window::tumble("hourly", Micros::from_hours(1)));
        assert_eq!(
            after.fingerprint().changed_since(before.fingerprint().parts()),
            ["metrics", "windows"]
        );
    }

    #[test]
    fn a_fingerprint_is_the_same_on_every_machine() {
        let written = serde_json::to_value(Config::default().fingerprint()).unwrap();
        assert_eq!(written["crossovers"], "34d903bf094cd05b7e24648c4a3f541c");
    }
}
