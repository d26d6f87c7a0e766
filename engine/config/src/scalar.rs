//! One scalar against its kind.

use std::net::SocketAddr;

use crate::{
    ByteSize, Micros, Segment, StorageUrl, Timestamp,
    diagnostic::nearest,
    shape::Kind,
    tree::{Node, Value},
};

/// Why a scalar is not of its kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub message: String,
    pub suggestion: Option<&'static str>,
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self {
            message,
            suggestion: None,
        }
    }
}

/// Checks a scalar; gives the documented spelling where another was written.
pub(crate) fn check(node: &Node, kind: Kind) -> Result<Option<&'static str>, Wrong> {
    let Value::Scalar { text, .. } = &node.value else {
        return Err(format!("{} is expected, this is {}", expected(kind), node.kind_in_words()).into());
    };
    let wrong = || {
        Wrong::from(format!(
            "{} is expected, not {}",
            expected(kind),
            shown(Some(node), text)
        ))
    };
    let fits = |fits: bool| if fits { Ok(None) } else { Err(wrong()) };
    match kind {
        Kind::Text => fits(!text.trim().is_empty()),
        Kind::Secret => fits(!text.is_empty()),
        Kind::Flag => flag(text).map(|_| None).ok_or_else(wrong),
        Kind::Integer { least, greatest } => {
            fits(integer(text).is_some_and(|value| value >= least && value <= greatest))
        }
        Kind::Real { least, greatest, open } => fits(real(text).is_some_and(|value| {
            if open {
                value > least && value < greatest
            } else {
                value >= least && value <= greatest
            }
        })),
        Kind::Duration { zero } => match Micros::parse(text) {
            Ok(Micros(0)) if !zero => Err("a duration longer than zero is expected".to_owned().into()),
            Ok(_) => Ok(None),
            Err(message) => Err(format!("{message}, not {}", shown(Some(node), text)).into()),
        },
        Kind::Size => match ByteSize::parse(text) {
            Ok(ByteSize(0)) => Err("a size greater than zero is expected".to_owned().into()),
            Ok(_) => Ok(None),
            Err(message) => Err(format!("{message}, not {}", shown(Some(node), text)).into()),
        },
        Kind::Instant => Timestamp::parse(text)
            .map(|_| None)
            .map_err(|message| format!("{message}, not {}", shown(Some(node), text)).into()),
        Kind::TimeSpan => fits(is_time_span(text)),
        Kind::TimeOfDay => fits(is_time_of_day(text)),
        Kind::Storage { remote: false } => StorageUrl::parse(text).map(|_| None).map_err(Wrong::from),
        Kind::Storage { remote: true } => StorageUrl::parse_remote(text).map(|_| None).map_err(Wrong::from),
        Kind::Address => fits(text.parse::<SocketAddr>().is_ok()),
        Kind::Segment => fits(Segment::parse(text).is_some()),
        Kind::Choice(names) => match names.iter().find(|name| name.eq_ignore_ascii_case(text)) {
            Some(name) => Ok(Some(name)),
            None => Err(Wrong {
                suggestion: nearest(text, names.iter().copied()),
                ..wrong()
            }),
        },
        _ => Err(wrong()),
    }
}

/// A value for a message: what was written, never what came from the environment, nothing of a secret.
pub(crate) fn shown(node: Option<&Node>, text: &str) -> String {
    let text = match node {
        Some(node) if node.secret => return "what stands there".to_owned(),
        Some(Node {
            substituted: Some(substituted),
            ..
        }) => &substituted.written,
        _ => text,
    };
    if text.chars().count() > 60 {
        format!("{:?}...", text.chars().take(57).collect::<String>())
    } else {
        format!("{text:?}")
    }
}

pub(crate) fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

pub(crate) fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A finite number.
pub(crate) fn real(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// `[d.]hh:mm[:ss[.fff]]`, or a number of days, as .NET reads a `TimeSpan`.
fn is_time_span(text: &str) -> bool {
    let is_number = |part: &str, least: usize, greatest: usize| {
        (least..=greatest).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let below = |part: &str, limit: u32| part.parse().is_ok_and(|value: u32| value < limit);
    let (days, clock) = match text.split_once(':') {
        None => return is_number(text, 1, 8),
        Some((head, _)) => match head.split_once('.') {
            Some((days, _)) => (days, text.get(days.len() + 1..).unwrap_or_default()),
            None => ("0", text),
        },
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let (whole_parts, fraction) = match parts.as_slice() {
        [hours, minutes] => ([*hours, *minutes, "0"], "0"),
        [hours, minutes, seconds] => {
            let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            ([*hours, *minutes, seconds], fraction)
        }
        _ => return false,
    };
    let [hours, minutes, seconds] = whole_parts;
    is_number(days, 1, 8)
        && is_number(fraction, 1, 7)
        && [(hours, 24), (minutes, 60), (seconds, 60)]
            .iter()
            .all(|(part, limit)| is_number(part, 1, 2) && below(part, *limit))
}

/// `hh:mm` or `h:mm`, or with seconds.
fn is_time_of_day(text: &str) -> bool {
    text.contains(':') && !text.split(':').next().is_some_and(|head| head.contains('.')) && is_time_span(text)
}

/// What a kind expects, in words.
fn expected(kind: Kind) -> String {
    let words = match kind {
        Kind::Flag => "true or false",
        Kind::Integer { least, greatest } => return expected_integer(least, greatest),
        Kind::Real { least, greatest, open } => return expected_real(least, greatest, open),
        Kind::Duration { .. } => "a duration such as 500ms, 30s, 5m, 1h or 7d",
        Kind::Size => "a size such as 64MiB, 4GiB or 10MB",
        Kind::Instant => "an instant such as 2026-01-05T00:00:00Z",
        Kind::TimeSpan => "a length of time such as 00:30:00 (hh:mm:ss)",
        Kind::TimeOfDay => "a time of day such as 09:00",
        Kind::Choice(names) => return format!("one of {}", names.join(", ")),
        Kind::Storage { .. } => "a path or URL",
        Kind::Address => "an address and port such as 127.0.0.1:8080",
        Kind::Segment => "tenantId, subjectType or attributes.NAME",
        _ => "text",
    };
    words.to_owned()
}

fn expected_integer(least: i64, greatest: i64) -> String {
    match greatest {
        i64::MAX => format!("a whole number, {least} or greater,"),
        _ => format!("a whole number from {least} to {greatest}"),
    }
}

fn expected_real(least: f64, greatest: f64, open: bool) -> String {
    let unbounded_above = greatest == f64::MAX;
    match (least == f64::MIN, unbounded_above, open) {
        (true, true, _) => "a number".to_owned(),
        (false, true, true) => format!("a number greater than {least}"),
        (false, true, false) => format!("a number, {least} or greater,"),
        (_, _, true) => format!("a number between {least} and {greatest}, both excluded,"),
        (_, _, false) => format!("a number from {least} to {greatest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Origin;

    fn message(text: &str, kind: Kind) -> String {
        match check(&Node::plain(text, Origin::Default), kind) {
            Ok(canonical) => format!("fine {canonical:?}"),
            Err(Wrong { message, suggestion }) => format!("{message} {suggestion:?}"),
        }
    }

    #[test]
    fn values_are_held_to_their_kinds() {
        assert_eq!(
            message("TUMBLE", Kind::Choice(&["tumble", "hop"])),
            "fine Some(\"tumble\")"
        );
        assert_eq!(
            message("hopp", Kind::Choice(&["tumble", "hop"])),
            "one of tumble, hop is expected, not \"hopp\" Some(\"hop\")"
        );
        assert_eq!(
            message("0", Kind::COUNT),
            "a whole number, 1 or greater, is expected, not \"0\" None"
        );
        assert_eq!(
            message("1", Kind::PROBABILITY),
            "a number between 0 and 1, both excluded, is expected, not \"1\" None"
        );
        assert_eq!(message("nan", Kind::NUMBER), "a number is expected, not \"nan\" None");
        assert_eq!(
            message("1e400", Kind::NUMBER),
            "a number is expected, not \"1e400\" None"
        );
        assert_eq!(
            message("yes", Kind::Flag),
            "true or false is expected, not \"yes\" None"
        );
        assert_eq!(
            message("0s", Kind::LENGTH),
            "a duration longer than zero is expected None"
        );
        assert_eq!(message("0s", Kind::LENGTH_OR_ZERO), "fine None");
        assert_eq!(
            message("localhost", Kind::Address),
            "an address and port such as 127.0.0.1:8080 is expected, not \"localhost\" None"
        );
    }

    #[test]
    fn time_spans_are_those_of_dotnet() {
        for fine in ["00:30:00", "1.02:03", "30", "9:00", "00:00:01.5"] {
            assert!(is_time_span(fine), "{fine}");
        }
        for wrong in ["10m", "24:00", "", "1:60", "a:b", "1.:00", "-1", "1:2:3:4"] {
            assert!(!is_time_span(wrong), "{wrong}");
        }
        assert!(is_time_of_day("09:00") && !is_time_of_day("9") && !is_time_of_day("1.09:00"));
    }

    #[test]
    fn a_message_never_shows_a_secret_or_what_came_from_the_environment() {
        let mut node = Node::plain("hunter2", Origin::Default);
        node.secret = true;
        assert_eq!(shown(Some(&node), "hunter2"), "what stands there");
    }
}
