//! Made streams of one experiment, and the signals that a job finds in them.

use backplane_config::{Config, Experiment, Metric, Micros};
use backplane_connector_api::memory::MemoryStore;
use backplane_events::{EventTime, Table};

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;

use super::{rows, texts};

/// 2026-01-05T00:00:00Z, microseconds.
pub const START: i64 = 1_767_571_200_000_000;
pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;

/// Records in the order of their coming, one a second or so.
#[derive(Default)]
pub struct Stream {
    pub records: Vec<String>,
    /// Where event time stands, microseconds since the start.
    pub now: i64,
    subjects: u32,
}

impl Stream {
    pub fn envelope(&mut self, at: i64, kind: &str, payload: &str) {
        let number = self.records.len();
        let time = EventTime(START + at);
        self.records.push(format!(
            r#"{{"eventId":"{number}","timestamp":"{time}","eventType":"{kind}","schemaVersion":"1.0.0","payload":{payload}}}"#
        ));
    }

    pub fn subject(&mut self) -> String {
        self.subjects += 1;
        format!("s{}", self.subjects)
    }

    pub fn exposure(&mut self, experiment: &str, subject: &str, variant: &str) {
        let payload =
            format!(r#"{{"experimentName":"{experiment}","variantKey":"{variant}","subjectId":"{subject}"}}"#);
        self.envelope(self.now, "Exposure", &payload);
    }

    pub fn assignment(&mut self, subject: &str, variant: &str) {
        let payload = format!(
            r#"{{"experimentName":"x","previousVariantKey":"","newVariantKey":"{variant}","subjectId":"{subject}"}}"#
        );
        self.envelope(self.now, "Assignment", &payload);
    }

    pub fn outcome(&mut self, at: i64, subject: &str, value: f64) {
        let payload =
            format!(r#"{{"experimentName":"x","subjectId":"{subject}","metricName":"purchase","value":{value}}}"#);
        self.envelope(at, "Outcome", &payload);
    }

    pub fn wait(&mut self, time: i64) {
        self.now += time;
    }

    /// So many new subjects, a second apart, in turn to each of these variants.
    pub fn expose(&mut self, count: usize, variants: &[&str]) {
        for variant in variants.iter().cycle().take(count) {
            let subject = self.subject();
            self.exposure("x", &subject, variant);
            self.wait(SECOND);
        }
    }
}

pub fn declared(experiment: Experiment) -> Config {
    let mut config = Config {
        metrics: vec![Metric::new("purchase")],
        experiments: vec![experiment],
        ..Config::default()
    };
    config.engine.time.max_out_of_orderness = Micros::from_secs(30);
    config
}

pub fn halves() -> Config {
    declared(Experiment::new("x").allocated([("a", 0.5), ("b", 0.5)]))
}

/// (signal, state, severity, what it is about beside the experiment, minutes since the start).
pub type Found = (String, String, String, String, i64);

/// The signals that a job has told, in the order of its telling.
pub fn signals_of(store: &MemoryStore) -> Vec<Found> {
    let batch = rows(store, Table::Signals);
    let times = batch.column_by_name("event_time").unwrap();
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let [signals, states, severities, data] = ["signal", "state", "severity", "data"].map(|name| texts(&batch, name));
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        let text = |column: &[Option<String>]| column[row].clone().unwrap();
        let data: serde_json::Value = serde_json::from_str(&text(&data)).unwrap();
        let about = ["metric", "pair", "segment", "segmentValue"].map(|name| data[name].as_str().unwrap_or_default());
        let minute = (times.value(row) - START) / MINUTE;
        found.push((text(&signals), text(&states), text(&severities), about.concat(), minute));
    }
    found
}
