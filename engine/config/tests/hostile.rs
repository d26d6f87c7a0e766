//! Text that means harm, or nothing at all.

// helpers of tests may panic as tests do
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use backplane_config::{Document, Syntax};
use proptest::prelude::*;

/// Loads whatever it is; true if it was accepted.
fn is_accepted(text: &str, syntax: Syntax) -> bool {
    match Document::parse("fuzz", text, syntax) {
        Ok(document) => document
            .load(&|name| Some(name.to_owned()))
            .map(|loaded| loaded.effective.to_string())
            .is_ok(),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

#[test]
fn hostile_documents_are_refused_quickly() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..100 {
        bomb.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            vec![format!("*a{}", level - 1); 10].join(", ")
        ));
    }
    let documents = [
        bomb,
        "[".repeat(2_000_000),
        "{a: ".repeat(500_000),
        "- ".repeat(500_000),
        "? ".repeat(500_000),
        (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
        "&a ".repeat(300_000),
        "!!str ".repeat(300_000),
        format!("metrics: [{}]", "{name: x},".repeat(200_000)),
        format!("engine: {{ job: {} }}", "${A}".repeat(200_000)),
        (0..90_000).map(|key| format!("k{key}: 1\n")).collect(),
        (0..40_000).map(|_| "engine: 1\n").collect(),
        format!("experiments: [{{ name: {} }}]", "x".repeat(3_000_000)),
        format!(
            "experiments: [{}]",
            (0..15_000)
                .map(|name| format!("{{ name: {} }},", name % 7))
                .collect::<String>()
        ),
        "a: \"".to_owned() + &"\\u0000".repeat(300_000),
    ];
    for document in documents {
        for syntax in [Syntax::Yaml, Syntax::Json] {
            let begin = processor_time();
            is_accepted(&document, syntax);
            let taken = processor_time().saturating_sub(begin);
            let head: String = document.chars().take(20).collect();
            assert!(taken < Duration::from_secs(5), "{head} took {taken:?}");
        }
    }
}

/// The processor time of this thread, so that a busy machine fails no test; where the system does not tell, the wall clock.
fn processor_time() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let ticks = |stat: &str| -> Option<u64> {
        // the fields after the command's name: the 12th and 13th are user and system time in hundredths of a second
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    };
    let stat = std::fs::read_to_string("/proc/thread-self/stat").ok();
    match stat.as_deref().and_then(ticks) {
        Some(ticks) => Duration::from_millis(ticks * 10),
        None => BEGIN.elapsed(),
    }
}

/// Text that looks like a configuration: known words among signs.
fn almost_a_document() -> impl Strategy<Value = String> {
    let words = [
        "engine",
        "metrics",
        "experiments",
        "windows",
        "sources",
        "sinks",
        "name",
        "type",
        "size",
        "slide",
        "options",
        "file",
        "lake",
        "tumble",
        "hop",
        "1h",
        "ratio",
        "numerator",
        "allocation",
        "shares",
        "from",
        "2026-01-05T00:00:00Z",
        "plan",
        "a",
        "0.5",
        "-1",
        "null",
        "true",
        "governance",
        "policies",
        "dataPlane",
        "backplane",
        "kafka",
        "trials",
        "deadLetter",
        "take",
        "${A}",
        "$",
        "${",
    ];
    let signs = [
        ": ", ":", "\n", "\n  ", "\n    ", "- ", ", ", "[", "]", "{", "}", "\"", "'", "#", "&a ", "*a", "|\n", "? ",
        "!!str ",
    ];
    let word = proptest::sample::select(words.to_vec());
    let sign = proptest::sample::select(signs.to_vec());
    proptest::collection::vec(prop_oneof![word, sign], 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}|(?s).{0,200}") {
        is_accepted(&text, Syntax::Yaml);
        is_accepted(&text, Syntax::Json);
    }

    #[test]
    fn no_almost_right_text_makes_the_reader_panic(text in almost_a_document()) {
        is_accepted(&text, Syntax::Yaml);
        is_accepted(&text, Syntax::Json);
    }

    #[test]
    fn no_override_makes_the_reader_panic(path in "[a-z.\\[\\]0-9\"]{0,20}", value in "\\PC{0,30}") {
        let mut document = Document::parse("job", "engine: { windows: [{ name: a }] }", Syntax::Yaml).unwrap();
        if document.set(&path, &value).is_ok() {
            let _ = document.load(&|_| None);
        }
    }

    /// A value that was accepted at a place for a secret, and an environment value anywhere, is in no output.
    #[test]
    fn what_came_from_the_environment_is_in_no_message(secret in "[!-~]{12,40}", place in 0usize..6) {
        let place = ["engine.job", "engine.memory", "engine.crossovers", "engine.windows[0].size", "metrics[0].type", "engine.time.idleTimeout"][place];
        let text = "metrics: [{ name: m }]\nengine: { windows: [{ name: w, type: tumble, size: 1h }] }";
        let mut document = Document::parse("job", text, Syntax::Yaml).unwrap();
        document.set(place, "'${SECRET}'").unwrap();
        if let Err(error) = document.load(&|_| Some(secret.clone())) {
            prop_assert!(!error.to_string().contains(&secret), "{}", error);
        }
    }
}
