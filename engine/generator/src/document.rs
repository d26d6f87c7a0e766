//! The configuration that fits a stream, so that a job, SQL and an oracle read the same declarations.

use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::config::{
    AllocationEpoch, CrossoverPolicy, ExperimentPlan, GeneratorConfig, MetricPlan, WindowPlan, micros,
};

impl GeneratorConfig {
    /// The declarations of this stream as a configuration document: metrics, experiments, times, crossovers, windows. It has
    /// neither sources nor sinks; add them under `experimentFramework.engine`.
    #[must_use]
    pub fn config_json(&self) -> Value {
        let policy = match self.crossovers {
            CrossoverPolicy::Exclude => "exclude",
            CrossoverPolicy::FirstVariant => "firstVariant",
            CrossoverPolicy::LastVariant => "lastVariant",
        };
        let metrics: Vec<Value> = self
            .metrics
            .iter()
            .filter(|metric| metric.declared)
            .map(metric)
            .collect();
        let declared = self.experiments.iter().filter(|plan| plan.declared);
        let experiments: Vec<Value> = declared.map(|plan| self.experiment(plan)).collect();
        json!({
            "experimentFramework": {
                "metrics": metrics,
                "experiments": experiments,
                "engine": {
                    "time": {
                        "maxOutOfOrderness": duration(self.time.max_out_of_orderness),
                        "allowedLateness": duration(self.time.allowed_lateness),
                        "correctionHorizon": duration(self.time.correction_horizon),
                    },
                    "crossovers": policy,
                    "windows": self.windows.iter().map(window).collect::<Vec<Value>>(),
                    "evaluateEvery": "1m",
                },
            }
        })
    }

    /// The same document as YAML.
    #[must_use]
    pub fn config_yaml(&self) -> String {
        yaml(&self.config_json())
    }

    fn experiment(&self, plan: &ExperimentPlan) -> Value {
        let mut entry = Map::new();
        entry.insert("name".to_owned(), json!(plan.name));
        let epochs = plan.declared_allocation.as_ref().unwrap_or(&plan.allocation);
        entry.insert("allocation".to_owned(), self.allocation(plan, epochs));
        if let Some(control) = plan.variants.first() {
            entry.insert("control".to_owned(), json!(control));
        }
        if let Some(metrics) = &plan.metrics {
            entry.insert("metrics".to_owned(), json!(metrics));
        }
        if let Some(window) = plan.attribution_window {
            entry.insert("attributionWindow".to_owned(), json!(duration(window)));
        }
        if !plan.segments.is_empty() {
            entry.insert("segments".to_owned(), json!(plan.segments));
        }
        if let Some(sample) = &plan.plan {
            entry.insert("startsAt".to_owned(), json!(self.instant(Duration::ZERO)));
            let planned = json!({
                "subjectsPerVariant": sample.subjects_per_variant,
                "endsAt": self.instant(sample.ends_after),
                "alpha": 0.05,
                "power": 0.8,
                "minimumEffect": sample.minimum_effect,
                "design": "fixed",
            });
            entry.insert("plan".to_owned(), planned);
        }
        Value::Object(entry)
    }

    fn allocation(&self, plan: &ExperimentPlan, epochs: &[AllocationEpoch]) -> Value {
        let shares = |epoch: &AllocationEpoch| -> Map<String, Value> {
            plan.variants
                .iter()
                .cloned()
                .zip(epoch.shares.iter().map(|share| json!(share)))
                .collect()
        };
        match epochs {
            [only] => Value::Object(shares(only)),
            dated => {
                let dated = dated.iter().map(|epoch| match epoch.from {
                    // the first may go without a date
                    Duration::ZERO => json!({"shares": shares(epoch)}),
                    from => json!({"from": self.instant(from), "shares": shares(epoch)}),
                });
                Value::Array(dated.collect())
            }
        }
    }

    fn instant(&self, since_start: Duration) -> String {
        let moved = self.start + since_start;
        moved.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }
}

fn metric(plan: &MetricPlan) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(plan.name));
    if let Some((numerator, denominator)) = &plan.ratio {
        entry.insert(
            "ratio".to_owned(),
            json!({"numerator": numerator, "denominator": denominator}),
        );
    } else {
        entry.insert("type".to_owned(), json!(plan.outcome_type.name()));
    }
    if let Some(aggregation) = &plan.aggregation {
        entry.insert("aggregation".to_owned(), json!(aggregation));
    }
    let (lower, upper) = plan.winsorize;
    let caps: Map<String, Value> = [("lower", lower), ("upper", upper)]
        .into_iter()
        .filter_map(|(name, cap)| cap.map(|cap| (name.to_owned(), json!(cap))))
        .collect();
    if !caps.is_empty() {
        entry.insert("winsorize".to_owned(), Value::Object(caps));
    }
    if let Some(window) = plan.attribution_window {
        entry.insert("attributionWindow".to_owned(), json!(duration(window)));
    }
    entry.insert("role".to_owned(), json!(plan.role));
    entry.insert("higherIsBetter".to_owned(), json!(plan.higher_is_better));
    Value::Object(entry)
}

fn window(plan: &WindowPlan) -> Value {
    let hops = plan.slide != plan.size;
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(plan.name));
    entry.insert("type".to_owned(), json!(if hops { "hop" } else { "tumble" }));
    entry.insert("size".to_owned(), json!(duration(plan.size)));
    if hops {
        entry.insert("slide".to_owned(), json!(duration(plan.slide)));
    }
    if !plan.offset.is_zero() {
        entry.insert("offset".to_owned(), json!(duration(plan.offset)));
    }
    Value::Object(entry)
}

/// The text of a duration in a configuration: whole milliseconds in the greatest unit that fits.
fn duration(duration: Duration) -> String {
    let millis = micros(duration) / 1000;
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis != 0 && millis % length == 0 {
            return format!("{}{unit}", millis / length);
        }
    }
    if millis == 0 {
        "0s".to_owned()
    } else {
        format!("{millis}ms")
    }
}

/// A JSON value as block-style YAML.
#[must_use]
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(_) | Value::Array(_) => block(&mut out, value, 0),
        scalar => out.push_str(&flow(scalar)),
    }
    out
}

fn block(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                out.push_str(&format!("{indent}{}:", plain_or_quoted(name)));
                nested(out, member, depth);
            }
        }
        Value::Array(items) => {
            for item in items {
                out.push_str(&format!("{indent}-"));
                nested(out, item, depth);
            }
        }
        scalar => out.push_str(&flow(scalar)),
    }
}

fn nested(out: &mut String, value: &Value, depth: usize) {
    let short = flow(value);
    let is_scalar = !value.is_object() && !value.is_array();
    if is_scalar || short.len() <= 110 && !has_objects(value) {
        out.push_str(&format!(" {short}\n"));
    } else {
        out.push('\n');
        block(out, value, depth + 1);
    }
}

fn has_objects(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().any(|member| member.is_object() || member.is_array()),
        Value::Array(items) => items.iter().any(Value::is_object),
        _ => false,
    }
}

/// One line: `{ a: 1, b: [x, y] }`.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, member)| format!("{}: {}", plain_or_quoted(name), flow(member)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<String>>().join(", ")),
        Value::String(text) => plain_or_quoted(text),
        other => other.to_string(),
    }
}

/// Letters, digits and a few harmless signs stand as they are; anything else as a double-quoted scalar, which JSON's strings are.
fn plain_or_quoted(text: &str) -> String {
    let begins_with_letter = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let is_duration = text.starts_with(|letter: char| letter.is_ascii_digit())
        && text.ends_with(['s', 'm', 'h', 'd'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let harmless = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if (begins_with_letter || is_duration) && harmless && !is_word {
        text.to_owned()
    } else {
        Value::String(text.to_owned()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_the_greatest_unit_that_fits() {
        for (seconds, text) in [
            (0.0, "0s"),
            (0.25, "250ms"),
            (90.0, "90s"),
            (3600.0, "1h"),
            (604_800.0, "7d"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn yaml_quotes_what_it_would_read_otherwise() {
        let document = json!({"a b": {"no": "no", "list": [1, "x", "1h"], "deep": {"d": {"e": "he said \"no\""}}}});
        let expected =
            "\"a b\":\n  \"no\": \"no\"\n  list: [1, x, 1h]\n  deep:\n    d: { e: \"he said \\\"no\\\"\" }\n";
        assert_eq!(yaml(&document), expected);
    }
}
