//! What a signal tells a person: what, how sure, and what to do. Never an effect's size or direction: an alert is no look at results.

use std::fmt::Write as _;

use backplane_events::Severity;
use serde_json::{Map, Value};

/// The numbers behind a signal.
pub type Evidence = Map<String, Value>;

/// The text of a signal that is raised. `part` names the part of the experiment it is about.
#[must_use]
pub fn raised(signal: &str, severity: Severity, part: &str, data: &Evidence) -> String {
    let of = if part.is_empty() {
        String::new()
    } else {
        format!(" ({part})")
    };
    let count = |name: &str| grouped(number(data, name));
    match signal {
        "srm" => sample_ratio_mismatch(&of, data),
        "sample.minimum" => format!(
            "every variant has its planned sample of {} subjects",
            count("threshold")
        ),
        "sample.power" => format!(
            "the sample gives the planned power of {} at the planned minimal effect{of}: {} and {} subjects whose outcomes are complete",
            share(number(data, "threshold")),
            count("nControl"),
            count("nTreatment")
        ),
        "sequential.boundary" => format!(
            "the sequential test has reached its boundary{of}: the difference is real at alpha {}, with {} and {} subjects; the \
             experiment may be decided now",
            plain(number(data, "alpha")),
            count("nControl"),
            count("nTreatment")
        ),
        "assignment.inconsistent" => format!(
            "{} of {} subjects ({}) were seen in several variants, more than {}; they are left out of or bias the results: check that \
             assignment is sticky and keyed by the same id everywhere",
            count("crossovers"),
            count("firstExposures"),
            share(number(data, "statistic")),
            share(number(data, "threshold"))
        ),
        "exposure.missing" => format!(
            "{} of {} assigned subjects bring outcomes and no exposure, and not alike in all variants ({}); evidence {} to 1: look for a \
             variant that loses its exposures (redirects, crashes, blocked requests)",
            count("missingSubjects"),
            count("assignedSubjects"),
            by_variant(data, "missing", "assigned", "of"),
            plain(number(data, "statistic"))
        ),
        "outcome.before_exposure" => format!(
            "{} of {} outcomes ({}) lie over 5 minutes before their subject's first exposure and are not counted: compare the clocks and \
             time zones of what publishes exposures and outcomes",
            count("outcomesBeforeExposure"),
            count("outcomes"),
            share(number(data, "statistic"))
        ),
        "data.late_dropped" => format!(
            "{} records ({}) came too late to count, beyond the correction horizon: raise engine.time.correctionHorizon or find what \
             delays them; `backplane replay` restates the results with them",
            count("tooLate"),
            share(number(data, "statistic"))
        ),
        "traffic.none" if number(data, "exposures") == 0.0 => {
            "no exposure has come for an hour since the experiment's start: check that it is switched on and that exposures are published"
                .to_owned()
        }
        "traffic.none" => format!(
            "exposures have stopped: none for an hour after {} in the hour before; check that the experiment still runs, or give it an end",
            count("exposuresHourBefore")
        ),
        "variant.missing" => format!(
            "variant {part} has no subjects at all, with {} in the others and a share of {}: check that it can be assigned and that it \
             publishes its exposures",
            count("statistic"),
            share(number(data, "share"))
        ),
        "variant.unknown" => format!(
            "{} of {} subjects came to variant {part}, which no allocation names: declare it or correct the name",
            count("statistic"),
            count("subjects")
        ),
        "variant.leak" => format!(
            "{} of {} subjects came to variant {part} while its share was 0: find what still assigns it",
            count("statistic"),
            count("subjects")
        ),
        "peek.premature_significance" => {
            let planned = match data.contains_key("plannedN") {
                true => format!("at {} of the planned sample", share(number(data, "plannedShare"))),
                false => "of an experiment without a planned sample".to_owned(),
            };
            format!(
                "a result was read {planned} that looks significant and may well be chance{of}: read again and again, alpha {} does not \
                 hold. Do not decide on it; wait for the planned sample, or read always-valid results",
                plain(number(data, "threshold"))
            )
        }
        "peek.early_stop" => format!(
            "a decision ({}) followed within a day on a look at a result that was significant too early{of}: its error rate is not the \
             planned one; treat it as unproven and measure again",
            data.get("decision").and_then(Value::as_str).unwrap_or_default()
        ),
        "peek.no_plan" => "results are read, and no sample was planned: declare `plan` (subjectsPerVariant), or read always-valid results \
                           only"
            .to_owned(),
        other => format!("{other} ({}){of}", severity.name()),
    }
}

/// The text of a signal that is closed.
#[must_use]
pub fn resolved(signal: &str, part: &str, raised_at: &str) -> String {
    let of = if part.is_empty() {
        String::new()
    } else {
        format!(" ({part})")
    };
    let what = match signal {
        "srm" => "subjects are split as allocated again, all of them taken together",
        "assignment.inconsistent" => "subjects seen in several variants are few again",
        "exposure.missing" => "assigned subjects without exposure are few again",
        "outcome.before_exposure" => "outcomes before their exposure are few again",
        "data.late_dropped" => "records that come too late are few again",
        "traffic.none" => "exposures come again, or the experiment has ended",
        "variant.missing" => "the variant has subjects now, or no share any more",
        "peek.premature_significance" => {
            "the result is proven, or no longer looks significant, or has its planned sample"
        }
        "variant.unknown" | "variant.leak" => "no further subjects came to the variant",
        _ => "it is no longer so",
    };
    format!("resolved: {what}{of}; raised at {raised_at}")
}

fn sample_ratio_mismatch(of: &str, data: &Evidence) -> String {
    let mut text = format!(
        "subjects are not split as allocated{of}: {} of {}, {} off at most; evidence {} to 1, where {} to 1 is the threshold. ",
        by_variant(data, "observed", "expected", "for"),
        grouped(number(data, "subjects")),
        share(number(data, "shareDeviation")),
        plain(number(data, "statistic")),
        plain(number(data, "threshold"))
    );
    let assumed = data.get("assumed").and_then(Value::as_bool).unwrap_or(false);
    text.push_str(if assumed {
        "No allocation is declared and equal shares are assumed: declare it, or find which variant loses or gains subjects"
    } else {
        "Do not act on its results; find which variant loses or gains subjects"
    });
    text
}

/// `control 5,310 for 5,117, treatment 4,924 for 5,117`.
fn by_variant(data: &Evidence, counts: &str, others: &str, word: &str) -> String {
    let list = |name: &str| data.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut text = String::new();
    for ((variant, count), other) in list("variants").iter().zip(list(counts)).zip(list(others)) {
        let (count, other) = (count.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(0.0));
        if count == 0.0 && other == 0.0 {
            continue;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        let name = variant.as_str().unwrap_or_default();
        // writing to a text cannot fail
        let _ = write!(text, "{name} {} {word} {}", grouped(count), grouped(other.round()));
    }
    text
}

fn number(data: &Evidence, name: &str) -> f64 {
    data.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

/// A share of 1 as percent, three digits at most.
fn share(value: f64) -> String {
    format!("{} %", plain(value * 100.0))
}

/// A number as people write it: three significant digits, groups of thousands, powers of ten beyond a million.
fn plain(value: f64) -> String {
    if value >= 1e6 {
        return format!("{value:.1e}");
    }
    if value.abs() >= 1000.0 {
        return grouped(value);
    }
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A whole number in groups of three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evidence(value: Value) -> Evidence {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_mismatch_says_what_how_sure_and_what_to_do() {
        let data = evidence(json!({
            "variants": ["control", "treatment"], "observed": [5310, 4924], "expected": [5117.0, 5117.0], "subjects": 10234,
            "shareDeviation": 0.018858, "statistic": 12300.4, "threshold": 1000.0, "assumed": false,
        }));
        assert_eq!(
            raised("srm", Severity::Error, "", &data),
            "subjects are not split as allocated: control 5,310 for 5,117, treatment 4,924 for 5,117 of 10,234, 1.89 % off at most; \
             evidence 12,300 to 1, where 1,000 to 1 is the threshold. Do not act on its results; find which variant loses or gains subjects"
        );
        assert_eq!(
            resolved("srm", "tenantId = acme", "2026-01-05 10:00"),
            "resolved: subjects are split as allocated again, all of them taken together (tenantId = acme); raised at 2026-01-05 10:00"
        );
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let texts = [0.0, 0.00123, 0.05, 1.0, 2.5, 99.94, 1234.6, 2.3456e9].map(plain);
        assert_eq!(texts, ["0", "0.0012", "0.05", "1", "2.5", "99.9", "1,235", "2.3e9"]);
        assert_eq!(share(0.0123), "1.23 %");
        assert_eq!(grouped(-1_234_567.0), "-1,234,567");
    }
}
