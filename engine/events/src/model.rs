//! Envelopes as plain values: for producers, generators and tests, and as the step between a batch and JSON.
//!
//! The texts are of the type `S`: `String` where nothing else is said, `&str` for an envelope that borrows from a batch.

use crate::{AssignmentPolicy, EventTime, EventType, OutcomeType, Severity, SignalType};

/// The schema version that this engine writes.
pub const SCHEMA_VERSION: &str = "1.0.0";

/// An event with what all events have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope<S = String> {
    /// Unique per event: not empty, at most [`MAX_EVENT_ID_CHARACTERS`](crate::MAX_EVENT_ID_CHARACTERS) characters.
    pub event_id: S,
    /// The envelope's instant: the event time, unless the payload has one.
    pub timestamp: EventTime,
    /// `1.MINOR.PATCH`.
    pub schema_version: S,
    /// What happened.
    pub payload: Payload<S>,
    /// What ties events of one request together.
    pub correlation_id: Option<S>,
    /// A JSON object, as text in one line.
    pub metadata: Option<S>,
    /// Members that have no meaning here: JSON text `{"envelope":{…},"payload":{…}}`, each only if it has members.
    pub extra: Option<S>,
}

impl Envelope {
    /// An envelope of schema version [`SCHEMA_VERSION`] with only what is required.
    pub fn new(event_id: impl Into<String>, timestamp: EventTime, payload: impl Into<Payload>) -> Envelope {
        Envelope {
            event_id: event_id.into(),
            timestamp,
            schema_version: SCHEMA_VERSION.to_owned(),
            payload: payload.into(),
            correlation_id: None,
            metadata: None,
            extra: None,
        }
    }
}

impl<S> Envelope<S> {
    /// What the envelope carries.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        self.payload.event_type()
    }

    /// The payload's instant, else the envelope's.
    #[must_use]
    pub fn event_time(&self) -> EventTime {
        self.payload.timestamp().unwrap_or(self.timestamp)
    }
}

/// What happened: one of the five kinds of events.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload<S = String> {
    /// A subject was shown a variant.
    Exposure(Exposure<S>),
    /// A subject was assigned, or assigned anew, to a variant.
    Assignment(Assignment<S>),
    /// A measured value of a metric for a subject.
    Outcome(Outcome<S>),
    /// A finding of an analysis.
    AnalysisSignal(AnalysisSignal<S>),
    /// A failure of a variant.
    Error(ErrorEvent<S>),
}

impl<S> Payload<S> {
    /// The kind of event.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        match self {
            Payload::Exposure(_) => EventType::Exposure,
            Payload::Assignment(_) => EventType::Assignment,
            Payload::Outcome(_) => EventType::Outcome,
            Payload::AnalysisSignal(_) => EventType::AnalysisSignal,
            Payload::Error(_) => EventType::Error,
        }
    }

    /// The payload's own instant.
    #[must_use]
    pub fn timestamp(&self) -> Option<EventTime> {
        match self {
            Payload::Exposure(exposure) => exposure.timestamp,
            Payload::Assignment(assignment) => assignment.timestamp,
            Payload::Outcome(outcome) => outcome.timestamp,
            Payload::AnalysisSignal(signal) => signal.timestamp,
            Payload::Error(error) => error.timestamp,
        }
    }
}

macro_rules! payload_from {
    ($($kind:ident($event:ident)),+) => {
        $(impl<S> From<$event<S>> for Payload<S> {
            fn from(event: $event<S>) -> Payload<S> {
                Payload::$kind(event)
            }
        })+
    };
}
payload_from!(
    Exposure(Exposure),
    Assignment(Assignment),
    Outcome(Outcome),
    AnalysisSignal(AnalysisSignal),
    Error(ErrorEvent)
);

/// A subject was shown a variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposure<S = String> {
    /// The experiment's name.
    pub experiment: S,
    /// The variant that was shown.
    pub variant: S,
    /// Who was shown it, within the tenant.
    pub subject_id: S,
    /// What kind of subject that is.
    pub subject_type: Option<S>,
    /// Whose subject.
    pub tenant_id: Option<S>,
    /// When it was shown, if not at the envelope's instant.
    pub timestamp: Option<EventTime>,
    /// Why this variant.
    pub selection_reason: Option<S>,
    /// By which rule.
    pub rule_path: Option<S>,
    /// How firmly the assignment holds.
    pub assignment_policy: AssignmentPolicy,
    /// Whether the subject had been shown it before, as far as the producer knows.
    pub is_repeat_exposure: Option<bool>,
    /// A JSON object, as text in one line.
    pub attributes: Option<S>,
}

impl Exposure {
    /// An exposure with only what is required.
    pub fn new(experiment: impl Into<String>, variant: impl Into<String>, subject_id: impl Into<String>) -> Exposure {
        Exposure {
            experiment: experiment.into(),
            variant: variant.into(),
            subject_id: subject_id.into(),
            subject_type: None,
            tenant_id: None,
            timestamp: None,
            selection_reason: None,
            rule_path: None,
            assignment_policy: AssignmentPolicy::BestEffort,
            is_repeat_exposure: None,
            attributes: None,
        }
    }
}

/// A subject was assigned, or assigned anew, to a variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment<S = String> {
    /// The experiment's name.
    pub experiment: S,
    /// Who was assigned, within the tenant.
    pub subject_id: S,
    /// The variant before; none at the first assignment.
    pub previous_variant: Option<S>,
    /// The variant from now on.
    pub new_variant: S,
    /// When, if not at the envelope's instant.
    pub timestamp: Option<EventTime>,
    /// Why.
    pub change_reason: Option<S>,
    /// How firmly the assignment holds.
    pub assignment_policy: AssignmentPolicy,
    /// Whose subject.
    pub tenant_id: Option<S>,
    /// A JSON object, as text in one line.
    pub attributes: Option<S>,
}

impl Assignment {
    /// A first assignment with only what is required.
    pub fn new(
        experiment: impl Into<String>,
        subject_id: impl Into<String>,
        new_variant: impl Into<String>,
    ) -> Assignment {
        Assignment {
            experiment: experiment.into(),
            subject_id: subject_id.into(),
            previous_variant: None,
            new_variant: new_variant.into(),
            timestamp: None,
            change_reason: None,
            assignment_policy: AssignmentPolicy::BestEffort,
            tenant_id: None,
            attributes: None,
        }
    }
}

/// A measured value of a metric for a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<S = String> {
    /// The producer's own id of the outcome.
    pub id: Option<S>,
    /// The experiment's name; none for every experiment in which the subject is exposed.
    pub experiment: Option<S>,
    /// The variant that the producer saw; never used for analysis.
    pub variant: Option<S>,
    /// Whose outcome, within the tenant.
    pub subject_id: S,
    /// Whose subject.
    pub tenant_id: Option<S>,
    /// What kind of value it is.
    pub outcome_type: OutcomeType,
    /// What was measured.
    pub metric: S,
    /// The value, in the metric's own unit; finite.
    pub value: f64,
    /// When it was measured, if not at the envelope's instant.
    pub timestamp: Option<EventTime>,
    /// A JSON object, as text in one line.
    pub metadata: Option<S>,
}

impl Outcome {
    /// A continuous outcome with only what is required.
    pub fn new(subject_id: impl Into<String>, metric: impl Into<String>, value: f64) -> Outcome {
        Outcome {
            id: None,
            experiment: None,
            variant: None,
            subject_id: subject_id.into(),
            tenant_id: None,
            outcome_type: OutcomeType::Continuous,
            metric: metric.into(),
            value,
            timestamp: None,
            metadata: None,
        }
    }
}

/// A finding of an analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisSignal<S = String> {
    /// The experiment's name.
    pub experiment: S,
    /// What kind of finding.
    pub signal_type: SignalType,
    /// How grave it is.
    pub severity: Severity,
    /// Of which instant, if not the envelope's.
    pub timestamp: Option<EventTime>,
    /// What a person should know.
    pub message: S,
    /// The numbers behind it: a JSON object, as text in one line.
    pub data: Option<S>,
}

impl AnalysisSignal {
    /// A signal with only what is required.
    pub fn new(
        experiment: impl Into<String>,
        signal_type: SignalType,
        severity: Severity,
        message: impl Into<String>,
    ) -> AnalysisSignal {
        AnalysisSignal {
            experiment: experiment.into(),
            signal_type,
            severity,
            timestamp: None,
            message: message.into(),
            data: None,
        }
    }
}

/// A failure of a variant.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorEvent<S = String> {
    /// The experiment's name.
    pub experiment: Option<S>,
    /// The variant that failed.
    pub variant: Option<S>,
    /// For whom it failed, within the tenant.
    pub subject_id: Option<S>,
    /// Whose subject.
    pub tenant_id: Option<S>,
    /// When, if not at the envelope's instant.
    pub timestamp: Option<EventTime>,
    /// What kind of failure.
    pub error_type: S,
    /// What a person should know.
    pub message: S,
    /// Where in the producer's code.
    pub stack_trace: Option<S>,
    /// A JSON object, as text in one line.
    pub attributes: Option<S>,
}

impl ErrorEvent {
    /// A failure with only what is required.
    pub fn new(error_type: impl Into<String>, message: impl Into<String>) -> ErrorEvent {
        ErrorEvent {
            experiment: None,
            variant: None,
            subject_id: None,
            tenant_id: None,
            timestamp: None,
            error_type: error_type.into(),
            message: message.into(),
            stack_trace: None,
            attributes: None,
        }
    }
}
