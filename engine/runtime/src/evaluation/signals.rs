//! Signals as envelopes and as rows of the table `signals`.

use arrow::record_batch::RecordBatch;
use backplane_events::{AnalysisSignal, Decoder, Encoder, Envelope, EventTime, EventType, Severity, SignalType, Table};
use serde_json::{Value, json};
use uuid::Uuid;

use super::hysteresis::Turn;
use super::message::{self, Evidence};
use crate::error::RuntimeError;

/// What becomes of a signal, in names.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The experiment.
    pub experiment: String,
    /// The name, `data.signal`.
    pub signal: &'static str,
    /// The metric.
    pub metric: Option<String>,
    /// The comparison, or the variant.
    pub pair: Option<String>,
    /// The segment and its value.
    pub segment: Option<(String, Option<String>)>,
    /// What becomes of it.
    pub turn: Turn,
    /// The numbers behind it, where it is raised.
    pub evidence: Evidence,
}

/// The window that signals speak of: the experiment to date.
const WINDOW: &str = "cumulative";

/// The metadata by which signals of this engine are known.
pub const OWN_METADATA: &str = r#"{"source":"backplane"}"#;

impl Signal {
    /// Whether it is raised (else it is closed).
    #[must_use]
    pub fn is_raised(&self) -> bool {
        matches!(self.turn, Turn::Raised { .. })
    }

    /// When, microseconds of event time.
    #[must_use]
    pub fn at(&self) -> i64 {
        match self.turn {
            Turn::Raised { at, .. } | Turn::Resolved { at, .. } => at,
        }
    }

    /// What signals are ordered by: time, then names.
    #[must_use]
    pub fn order(&self) -> (i64, &str, &str, String) {
        (self.at(), &self.experiment, self.signal, self.name(0))
    }

    /// The name that its ids are made of; `onset` counts its raisings.
    fn name(&self, onset: u32) -> String {
        let segment = match &self.segment {
            None => String::new(),
            Some((name, None)) => name.clone(),
            Some((name, Some(value))) => format!("{name}={value}"),
        };
        format!(
            "{}|{}|{}|{}|{segment}|{WINDOW}|{onset}",
            self.experiment,
            self.signal,
            self.metric.as_deref().unwrap_or_default(),
            self.pair.as_deref().unwrap_or_default()
        )
    }

    /// The name that its id is made of.
    #[must_use]
    pub fn key(&self) -> String {
        match self.turn {
            Turn::Raised { onset, .. } => self.name(onset),
            Turn::Resolved { onset, .. } => format!("{}|resolved", self.name(onset)),
        }
    }

    /// What of the experiment it is about, for people.
    fn part(&self) -> String {
        let segment = self.segment.as_ref().map(|(name, value)| match value {
            Some(value) => format!("{name} = {value}"),
            None => format!("{name} absent"),
        });
        let parts: Vec<String> = [self.metric.clone(), self.pair.clone(), segment]
            .into_iter()
            .flatten()
            .collect();
        parts.join(", ")
    }

    /// The envelope.
    fn envelope(&self) -> Envelope {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:backplane:signal");
        let id = |name: String| Uuid::new_v5(&namespace, name.as_bytes()).to_string();
        // an evaluation at the end of the calendar may lie a moment behind it
        let at = EventTime(self.at()).writable();
        let mut data = Evidence::new();
        let mut put = |name: &str, value: Value| {
            data.insert(name.to_owned(), value);
        };
        put("signal", json!(self.signal));
        let (onset, severity) = match self.turn {
            Turn::Raised { onset, severity, .. } => {
                put("state", json!("raised"));
                (onset, severity)
            }
            Turn::Resolved {
                onset,
                raised_at,
                severity,
                ..
            } => {
                put("state", json!("resolved"));
                put("raisedAt", json!(EventTime(raised_at).writable().to_string()));
                put("raisedSeverity", json!(severity.name()));
                (onset, Severity::Info)
            }
        };
        put("onset", json!(onset));
        put("asOf", json!(at.to_string()));
        put("windowName", json!(WINDOW));
        if let Some(metric) = &self.metric {
            put("metric", json!(metric));
        }
        if let Some(pair) = &self.pair {
            put("pair", json!(pair));
        }
        if let Some((segment, value)) = &self.segment {
            put("segment", json!(segment));
            put("segmentValue", json!(value));
        }
        data.extend(self.evidence.clone());

        let (message, raising) = match self.turn {
            Turn::Raised { .. } => {
                let text = message::raised(self.signal, severity, &self.part(), &self.evidence);
                (text, None)
            }
            Turn::Resolved { raised_at, .. } => (
                message::resolved(self.signal, &self.part(), &EventTime(raised_at).to_string()),
                Some(id(self.name(onset))),
            ),
        };
        let payload = AnalysisSignal {
            data: Some(Value::Object(data).to_string()),
            ..AnalysisSignal::new(&self.experiment, type_of(self.signal), severity, message)
        };
        Envelope {
            correlation_id: raising,
            metadata: Some(OWN_METADATA.to_owned()),
            ..Envelope::new(id(self.key()), at, payload)
        }
    }
}

fn type_of(signal: &str) -> SignalType {
    match signal {
        "srm" => SignalType::SampleRatioMismatch,
        "sequential.boundary" => SignalType::SequentialCheckpoint,
        "sample.minimum" => SignalType::MinimumSampleReached,
        "sample.power" => SignalType::PowerThresholdMet,
        peeking if peeking.starts_with("peek.") => SignalType::PeekingWarning,
        _ => SignalType::Custom,
    }
}

/// Rows of the table `signals`: what a reader of the envelopes would make of them. `ingest_time` is the wall clock, microseconds.
///
/// # Errors
/// [`RuntimeError::Internal`] if an envelope cannot be written and read again.
pub fn signal_rows(signals: &[Signal], ingest_time: i64) -> Result<RecordBatch, RuntimeError> {
    let encoder = Encoder::new();
    let mut lines = Vec::new();
    for signal in signals {
        encoder
            .encode(&signal.envelope(), &mut lines)
            .map_err(RuntimeError::internal)?;
        lines.push(b'\n');
    }
    let decoded = Decoder::new().decode(&lines, EventTime(ingest_time));
    if let Some(bad) = decoded.bad.first() {
        return Err(RuntimeError::internal(format!(
            "a signal is no envelope: {}",
            bad.detail
        )));
    }
    let of_signals = EventType::ALL
        .iter()
        .zip(decoded.batches)
        .find_map(|(event_type, batch)| batch.filter(|_| *event_type == EventType::AnalysisSignal));
    Ok(of_signals.unwrap_or_else(|| RecordBatch::new_empty(Table::Signals.schema())))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::compute::cast;
    use arrow::datatypes::DataType;

    use super::*;

    fn text(batch: &RecordBatch, column: &str, row: usize) -> String {
        let column = cast(batch.column_by_name(column).unwrap(), &DataType::Utf8).unwrap();
        column.as_string::<i32>().value(row).to_owned()
    }

    #[test]
    fn a_signal_has_the_id_of_its_name_and_its_closing_points_at_it() {
        let raised = Signal {
            experiment: "checkout".to_owned(),
            signal: "srm",
            metric: None,
            pair: None,
            segment: None,
            turn: Turn::Raised {
                at: 1_767_571_200_000_000,
                onset: 1,
                severity: Severity::Error,
            },
            evidence: Evidence::new(),
        };
        let resolved = Signal {
            turn: Turn::Resolved {
                at: 1_767_574_800_000_000,
                onset: 1,
                severity: Severity::Error,
                raised_at: 1_767_571_200_000_000,
            },
            ..raised.clone()
        };
        let rows = signal_rows(&[raised, resolved], 0).unwrap();
        // uuid5(uuid5(NAMESPACE_URL, "urn:backplane:signal"), "checkout|srm||||cumulative|1"), by Python's uuid module
        assert_eq!(text(&rows, "event_id", 0), "bf7cb97e-d3ed-5fd0-972e-2c48404e5e8e");
        assert_eq!(text(&rows, "correlation_id", 1), text(&rows, "event_id", 0));
        assert_ne!(text(&rows, "event_id", 1), text(&rows, "event_id", 0));
        let column = |name: &str| [0, 1].map(|row| text(&rows, name, row));
        assert_eq!(column("signal_type"), ["SampleRatioMismatch"; 2]);
        assert_eq!(column("signal"), ["srm"; 2]);
        assert_eq!(column("state"), ["raised", "resolved"]);
        assert_eq!(column("severity"), ["Error", "Info"]);
        assert_eq!(column("window_name"), ["cumulative"; 2]);
        assert!(rows.column_by_name("data").unwrap().is_valid(0));
    }
}
