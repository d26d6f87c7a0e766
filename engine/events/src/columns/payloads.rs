//! The columns of each event table that only it has.

use super::builders::{ChoiceColumn, DictionaryColumn, FlagColumn, NumberColumn, TextColumn, TimeColumn, Wanted};
use super::signal_data::SignalData;
use super::{Columns, Common, CommonColumns, PayloadColumns};
use crate::decode::fields::{Judged, Record, missing};
use crate::decode::members::Member;
use crate::{AssignmentPolicy, DecodedRecord, EventType, OutcomeType, Severity, SignalType};

#[derive(Debug)]
pub(super) struct ExposureColumns {
    experiment: DictionaryColumn,
    variant: DictionaryColumn,
    subject_id: TextColumn,
    subject_type: TextColumn,
    tenant_id: TextColumn,
    selection_reason: TextColumn,
    rule_path: TextColumn,
    assignment_policy: ChoiceColumn,
    is_repeat_exposure: FlagColumn,
    attributes: TextColumn,
}

impl ExposureColumns {
    pub(super) fn new(wanted: Wanted<'_>) -> ExposureColumns {
        ExposureColumns {
            experiment: wanted.dictionary("experiment"),
            variant: wanted.dictionary("variant"),
            subject_id: wanted.text("subject_id"),
            subject_type: wanted.text("subject_type"),
            tenant_id: wanted.text("tenant_id"),
            selection_reason: wanted.text("selection_reason"),
            rule_path: wanted.text("rule_path"),
            assignment_policy: wanted.choice::<AssignmentPolicy>("assignment_policy"),
            is_repeat_exposure: wanted.flag("is_repeat_exposure"),
            attributes: wanted.text("attributes"),
        }
    }
}

impl PayloadColumns for ExposureColumns {
    const EVENT_TYPE: EventType = EventType::Exposure;

    fn append(&mut self, columns: &mut CommonColumns, record: Record<'_>) -> Judged<DecodedRecord> {
        let common = Common::of(record)?;
        let experiment = record.name(Member::ExperimentName)?;
        let variant = record.name(Member::VariantKey)?;
        let subject_id = record.name(Member::SubjectId)?;
        let subject_type = record.text(Member::SubjectType)?;
        let tenant_id = record.name_or_null(Member::TenantId)?;
        let selection_reason = record.text(Member::SelectionReason)?;
        let rule_path = record.text(Member::RulePath)?;
        let assignment_policy = record
            .choice(Member::AssignmentPolicy)?
            .unwrap_or(AssignmentPolicy::BestEffort);
        let is_repeat_exposure = record.flag(Member::IsRepeatExposure)?;
        let attributes = record.object(Member::Attributes)?;

        columns.push(&common);
        let told = DecodedRecord {
            name: self.variant.push(variant),
            ..common.told(
                Self::EVENT_TYPE,
                tenant_id,
                Some(subject_id),
                self.experiment.push(experiment),
            )
        };
        self.subject_id.push(subject_id);
        self.subject_type.push_or_null(subject_type);
        self.tenant_id.push_or_null(tenant_id);
        self.selection_reason.push_or_null(selection_reason);
        self.rule_path.push_or_null(rule_path);
        self.assignment_policy.push(assignment_policy);
        self.is_repeat_exposure.push_or_null(is_repeat_exposure);
        self.attributes.push_or_null(attributes);
        Ok(told)
    }

    fn finish(&mut self, columns: &mut Columns) {
        columns.add(self.experiment.finish());
        columns.add(self.variant.finish());
        columns.add(self.subject_id.finish());
        columns.add(self.subject_type.finish());
        columns.add(self.tenant_id.finish());
        columns.add(self.selection_reason.finish());
        columns.add(self.rule_path.finish());
        columns.add(self.assignment_policy.finish());
        columns.add(self.is_repeat_exposure.finish());
        columns.add(self.attributes.finish());
    }
}

#[derive(Debug)]
pub(super) struct AssignmentColumns {
    experiment: DictionaryColumn,
    subject_id: TextColumn,
    tenant_id: TextColumn,
    previous_variant: DictionaryColumn,
    new_variant: DictionaryColumn,
    change_reason: TextColumn,
    assignment_policy: ChoiceColumn,
    attributes: TextColumn,
}

impl AssignmentColumns {
    pub(super) fn new(wanted: Wanted<'_>) -> AssignmentColumns {
        AssignmentColumns {
            experiment: wanted.dictionary("experiment"),
            subject_id: wanted.text("subject_id"),
            tenant_id: wanted.text("tenant_id"),
            previous_variant: wanted.dictionary("previous_variant"),
            new_variant: wanted.dictionary("new_variant"),
            change_reason: wanted.text("change_reason"),
            assignment_policy: wanted.choice::<AssignmentPolicy>("assignment_policy"),
            attributes: wanted.text("attributes"),
        }
    }
}

impl PayloadColumns for AssignmentColumns {
    const EVENT_TYPE: EventType = EventType::Assignment;

    fn append(&mut self, columns: &mut CommonColumns, record: Record<'_>) -> Judged<DecodedRecord> {
        let common = Common::of(record)?;
        let experiment = record.name(Member::ExperimentName)?;
        let subject_id = record.name(Member::SubjectId)?;
        let tenant_id = record.name_or_null(Member::TenantId)?;
        let previous_variant = record.name_or_null(Member::PreviousVariantKey)?;
        let new_variant = record.name(Member::NewVariantKey)?;
        let change_reason = record.text(Member::ChangeReason)?;
        let assignment_policy = record
            .choice(Member::AssignmentPolicy)?
            .unwrap_or(AssignmentPolicy::BestEffort);
        let attributes = record.object(Member::Attributes)?;

        columns.push(&common);
        let told = DecodedRecord {
            name: self.new_variant.push(new_variant),
            ..common.told(
                Self::EVENT_TYPE,
                tenant_id,
                Some(subject_id),
                self.experiment.push(experiment),
            )
        };
        self.subject_id.push(subject_id);
        self.tenant_id.push_or_null(tenant_id);
        self.previous_variant.push_or_null(previous_variant);
        self.change_reason.push_or_null(change_reason);
        self.assignment_policy.push(assignment_policy);
        self.attributes.push_or_null(attributes);
        Ok(told)
    }

    fn finish(&mut self, columns: &mut Columns) {
        columns.add(self.experiment.finish());
        columns.add(self.subject_id.finish());
        columns.add(self.tenant_id.finish());
        columns.add(self.previous_variant.finish());
        columns.add(self.new_variant.finish());
        columns.add(self.change_reason.finish());
        columns.add(self.assignment_policy.finish());
        columns.add(self.attributes.finish());
    }
}

#[derive(Debug)]
pub(super) struct OutcomeColumns {
    outcome_id: TextColumn,
    experiment: DictionaryColumn,
    variant: DictionaryColumn,
    subject_id: TextColumn,
    tenant_id: TextColumn,
    outcome_type: ChoiceColumn,
    metric: DictionaryColumn,
    value: NumberColumn,
    payload_metadata: TextColumn,
}

impl OutcomeColumns {
    pub(super) fn new(wanted: Wanted<'_>) -> OutcomeColumns {
        OutcomeColumns {
            outcome_id: wanted.text("outcome_id"),
            experiment: wanted.dictionary("experiment"),
            variant: wanted.dictionary("variant"),
            subject_id: wanted.text("subject_id"),
            tenant_id: wanted.text("tenant_id"),
            outcome_type: wanted.choice::<OutcomeType>("outcome_type"),
            metric: wanted.dictionary("metric"),
            value: wanted.number("value"),
            payload_metadata: wanted.text("payload_metadata"),
        }
    }
}

impl PayloadColumns for OutcomeColumns {
    const EVENT_TYPE: EventType = EventType::Outcome;

    fn append(&mut self, columns: &mut CommonColumns, record: Record<'_>) -> Judged<DecodedRecord> {
        let common = Common::of(record)?;
        let outcome_id = record.name_or_null(Member::OutcomeId)?;
        let experiment = record.name_or_null(Member::ExperimentName)?;
        let variant = record.name_or_null(Member::VariantKey)?;
        let subject_id = record.name(Member::SubjectId)?;
        let tenant_id = record.name_or_null(Member::TenantId)?;
        let outcome_type = record.choice(Member::OutcomeType)?.unwrap_or(OutcomeType::Continuous);
        let metric = record.name(Member::MetricName)?;
        let value = record.number(Member::Value)?;
        let payload_metadata = record.object(Member::PayloadMetadata)?;

        columns.push(&common);
        self.outcome_id.push_or_null(outcome_id);
        let told = DecodedRecord {
            name: self.metric.push(metric),
            other: self.variant.push_or_null(variant),
            value,
            is_binary: outcome_type == OutcomeType::Binary,
            ..common.told(
                Self::EVENT_TYPE,
                tenant_id,
                Some(subject_id),
                self.experiment.push_or_null(experiment),
            )
        };
        self.subject_id.push(subject_id);
        self.tenant_id.push_or_null(tenant_id);
        self.outcome_type.push(outcome_type);
        self.value.push(value);
        self.payload_metadata.push_or_null(payload_metadata);
        Ok(told)
    }

    fn finish(&mut self, columns: &mut Columns) {
        columns.add(self.outcome_id.finish());
        columns.add(self.experiment.finish());
        columns.add(self.variant.finish());
        columns.add(self.subject_id.finish());
        columns.add(self.tenant_id.finish());
        columns.add(self.outcome_type.finish());
        columns.add(self.metric.finish());
        columns.add(self.value.finish());
        columns.add(self.payload_metadata.finish());
    }
}

#[derive(Debug)]
pub(super) struct SignalColumns {
    experiment: DictionaryColumn,
    signal_type: ChoiceColumn,
    signal: TextColumn,
    severity: ChoiceColumn,
    state: TextColumn,
    message: TextColumn,
    data: TextColumn,
    window_name: TextColumn,
    window_start: TimeColumn,
    window_end: TimeColumn,
}

impl SignalColumns {
    pub(super) fn new(wanted: Wanted<'_>) -> SignalColumns {
        SignalColumns {
            experiment: wanted.dictionary("experiment"),
            signal_type: wanted.choice::<SignalType>("signal_type"),
            signal: wanted.text("signal"),
            severity: wanted.choice::<Severity>("severity"),
            state: wanted.text("state"),
            message: wanted.text("message"),
            data: wanted.text("data"),
            window_name: wanted.text("window_name"),
            window_start: wanted.time("window_start"),
            window_end: wanted.time("window_end"),
        }
    }
}

impl PayloadColumns for SignalColumns {
    const EVENT_TYPE: EventType = EventType::AnalysisSignal;

    fn append(&mut self, columns: &mut CommonColumns, record: Record<'_>) -> Judged<DecodedRecord> {
        let common = Common::of(record)?;
        let experiment = record.name(Member::ExperimentName)?;
        let signal_type: SignalType = record
            .choice(Member::SignalType)?
            .map_or_else(|| missing(Member::SignalType), Ok)?;
        let severity: Severity = record
            .choice(Member::Severity)?
            .map_or_else(|| missing(Member::Severity), Ok)?;
        let message = record.required_text(Member::Message)?;
        let data = record.object(Member::Data)?;
        let known = data.map(SignalData::of).unwrap_or_default();

        columns.push(&common);
        let told = common.told(Self::EVENT_TYPE, None, None, self.experiment.push(experiment));
        self.signal_type.push(signal_type);
        self.signal.push_or_null(known.signal.as_deref());
        self.severity.push(severity);
        self.state.push_or_null(known.state.as_deref());
        self.message.push(message);
        self.data.push_or_null(data);
        self.window_name.push_or_null(known.window_name.as_deref());
        self.window_start.push_or_null(known.window_start);
        self.window_end.push_or_null(known.window_end);
        Ok(told)
    }

    fn finish(&mut self, columns: &mut Columns) {
        columns.add(self.experiment.finish());
        columns.add(self.signal_type.finish());
        columns.add(self.signal.finish());
        columns.add(self.severity.finish());
        columns.add(self.state.finish());
        columns.add(self.message.finish());
        columns.add(self.data.finish());
        columns.add(self.window_name.finish());
        columns.add(self.window_start.finish());
        columns.add(self.window_end.finish());
    }
}

#[derive(Debug)]
pub(super) struct ErrorColumns {
    experiment: DictionaryColumn,
    variant: DictionaryColumn,
    subject_id: TextColumn,
    tenant_id: TextColumn,
    error_type: TextColumn,
    message: TextColumn,
    stack_trace: TextColumn,
    attributes: TextColumn,
}

impl ErrorColumns {
    pub(super) fn new(wanted: Wanted<'_>) -> ErrorColumns {
        ErrorColumns {
            experiment: wanted.dictionary("experiment"),
            variant: wanted.dictionary("variant"),
            subject_id: wanted.text("subject_id"),
            tenant_id: wanted.text("tenant_id"),
            error_type: wanted.text("error_type"),
            message: wanted.text("message"),
            stack_trace: wanted.text("stack_trace"),
            attributes: wanted.text("attributes"),
        }
    }
}

impl PayloadColumns for ErrorColumns {
    const EVENT_TYPE: EventType = EventType::Error;

    fn append(&mut self, columns: &mut CommonColumns, record: Record<'_>) -> Judged<DecodedRecord> {
        let common = Common::of(record)?;
        let experiment = record.name_or_null(Member::ExperimentName)?;
        let variant = record.name_or_null(Member::VariantKey)?;
        let subject_id = record.name_or_null(Member::SubjectId)?;
        let tenant_id = record.name_or_null(Member::TenantId)?;
        let error_type = record.required_text(Member::ErrorType)?;
        let message = record.required_text(Member::Message)?;
        let stack_trace = record.text(Member::StackTrace)?;
        let attributes = record.object(Member::Attributes)?;

        columns.push(&common);
        let told = common.told(
            Self::EVENT_TYPE,
            tenant_id,
            subject_id,
            self.experiment.push_or_null(experiment),
        );
        self.variant.push_or_null(variant);
        self.subject_id.push_or_null(subject_id);
        self.tenant_id.push_or_null(tenant_id);
        self.error_type.push(error_type);
        self.message.push(message);
        self.stack_trace.push_or_null(stack_trace);
        self.attributes.push_or_null(attributes);
        Ok(told)
    }

    fn finish(&mut self, columns: &mut Columns) {
        columns.add(self.experiment.finish());
        columns.add(self.variant.finish());
        columns.add(self.subject_id.finish());
        columns.add(self.tenant_id.finish());
        columns.add(self.error_type.finish());
        columns.add(self.message.finish());
        columns.add(self.stack_trace.finish());
        columns.add(self.attributes.finish());
    }
}
