//! What a newcomer reads when the demonstration is over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use backplane_events::EventTime;
use backplane_generator::{ExperimentTruth, Fault, GeneratorConfig, Truth};
use console::style;

use super::findings::{Experiment, Findings, Signal, Variant, Verdict};
use super::folder::DemoFolder;
use crate::format::{bytes, change, counted, duration, grouped, instant, percent, real, wrapped};
use crate::summary::Summary;
use crate::table::TextTable;

/// What the sections of the page are made of.
pub struct Page<'a> {
    /// What the stream was made of.
    pub stream: &'a GeneratorConfig,
    /// What it holds.
    pub truth: &'a Truth,
    /// What the job has done.
    pub summary: &'a Summary,
    /// What the job found.
    pub findings: &'a Findings,
    /// Where everything is.
    pub folder: &'a DemoFolder,
}

impl Page<'_> {
    /// The page in lines of at most `width` characters, commands aside; `program` is the program's path, if its name is not enough.
    pub fn text(&self, width: usize, program: Option<&str>) -> String {
        let sections = [
            self.head(width),
            self.planted(width),
            self.counted(),
            self.subjects(width),
            self.means(width),
            self.signals(width),
            self.conclusions(width),
            self.run(width),
            self.next(program),
        ];
        sections.join("\n")
    }

    fn head(&self, width: usize) -> String {
        let truth = self.truth;
        let (from, until) = truth.event_times.unwrap_or_default();
        let of_type = |name: &str| truth.by_type.get(name).copied().unwrap_or(0);
        let text = format!(
            "{} ({}) in {}, event time {} to {} UTC: {}, {}, {} and {}, with disorder, second deliveries, late and bad records as in a \
             well-kept pipeline.",
            counted(truth.lines, "line"),
            bytes(truth.bytes),
            counted(u64::from(self.stream.partitions), "file"),
            instant(EventTime(from)),
            instant(EventTime(until)),
            counted(of_type("Exposure"), "exposure"),
            counted(of_type("Assignment"), "assignment"),
            counted(of_type("Outcome"), "outcome"),
            counted(of_type("Error"), "error"),
        );
        section(
            &format!("A shop's {}", counted(truth.experiments.len() as u64, "experiment")),
            &[wrapped(&text, width, 0)],
        )
    }

    /// The faults of the stream, which the numbers below show.
    fn planted(&self, width: usize) -> String {
        let mut lines = Vec::new();
        let mut healthy = 0;
        let widest = self.truth.experiments.keys().map(String::len).max().unwrap_or(0);
        for experiment in &self.findings.experiments {
            let Some(truth) = self.truth.experiments.get(&experiment.name) else {
                continue;
            };
            match story(experiment, truth) {
                Some(story) => {
                    let text = format!("{:<widest$}  {story}", experiment.name);
                    lines.push(wrapped(&text, width, widest + 2));
                }
                None => healthy += 1,
            }
        }
        lines.push(format!(
            "The other {} healthy.",
            if healthy == 1 {
                "one is".to_owned()
            } else {
                format!("{healthy} are")
            }
        ));
        section("Planted in it", &lines)
    }

    /// What was left out, beside what the generator knows.
    fn counted(&self) -> String {
        let counters = &self.summary.progress.counters;
        let mut table = TextTable::new()
            .left("left out")
            .right("found")
            .right("planted")
            .left("");
        let mut row = |name: String, found: u64, planted: u64| {
            let verdict = if found == planted {
                style("equal").green()
            } else {
                style("differs").red().bold()
            };
            table.row([name, grouped(found), grouped(planted), verdict.to_string()]);
        };
        row(
            "lines that are no records".to_owned(),
            counters.dead_letters,
            self.truth.bad,
        );
        row(
            "second deliveries".to_owned(),
            counters.duplicates,
            self.truth.duplicates,
        );
        for (window, planted) in &self.truth.late {
            let found = self.findings.late.get(window).copied().unwrap_or(0);
            row(
                format!("records late for the window {window}, counted later"),
                found,
                *planted,
            );
        }
        row(
            "records too late for every result".to_owned(),
            counters.too_late,
            self.truth.too_late,
        );
        section("Counted", &table.cut(None))
    }

    fn subjects(&self, width: usize) -> String {
        let mut table = TextTable::new()
            .key("experiment")
            .key("variant")
            .right("subjects")
            .right("share")
            .right("declared")
            .right("crossovers");
        for (experiment, variant, name) in self.variants() {
            let declared: Vec<String> = variant.declared.iter().map(|share| percent(*share)).collect();
            let is_broken = self
                .truth
                .experiments
                .get(&experiment.name)
                .and_then(|truth| truth.fault)
                == Some(Fault::BrokenAllocation);
            let share = percent(variant.share);
            table.row([
                name,
                variant.name.clone(),
                grouped(variant.subjects),
                if is_broken {
                    style(share).yellow().to_string()
                } else {
                    share
                },
                // a ramp has one share for each of its dates
                declared.join(" → "),
                grouped(variant.crossovers),
            ]);
        }
        let mut lines = table.folded(width);
        lines.push(String::new());
        lines.push(self.agreement());
        section("Subjects by variant", &lines)
    }

    /// Whether the job counts every variant as the generator does.
    fn agreement(&self) -> String {
        let mut compared = 0;
        let mut different = Vec::new();
        for (experiment, variant, _) in self.variants() {
            let Some(truth) = self.truth.experiments.get(&experiment.name) else {
                continue;
            };
            let known = |counts: &BTreeMap<String, u64>| counts.get(&variant.name).copied().unwrap_or(0);
            compared += 1;
            if (variant.subjects, variant.crossovers) != (known(&truth.subjects), known(&truth.crossovers)) {
                different.push(format!("{}/{}", experiment.name, variant.name));
            }
        }
        if different.is_empty() {
            return style(format!("All {compared} variants equal the stream's truth."))
                .green()
                .to_string();
        }
        style(format!(
            "These differ from the stream's truth, please report it: {}",
            different.join(", ")
        ))
        .red()
        .bold()
        .to_string()
    }

    fn means(&self, width: usize) -> String {
        let mut table = TextTable::new().key("experiment").key("variant");
        for metric in &self.findings.metrics {
            table = table.right(metric);
        }
        for (experiment, variant, name) in self.variants() {
            let control = experiment
                .control_variant()
                .filter(|control| control.name != variant.name);
            let cells = self.findings.metrics.iter().map(|metric| {
                let mean = variant
                    .means
                    .get(metric)
                    .map_or_else(|| "-".to_owned(), |mean| real(*mean));
                match control.and_then(|control| variant.change(metric, control)) {
                    Some(relative) => format!("{mean} {:>7}", change(relative)),
                    // so that means stand below each other
                    None => format!("{mean} {:7}", ""),
                }
            });
            table.row([name, variant.name.clone()].into_iter().chain(cells));
        }
        section(
            "Means of the metrics by subject, and how they differ from the control's",
            &table.folded(width),
        )
    }

    /// What the engine has told of by itself.
    fn signals(&self, width: usize) -> String {
        let signals = &self.findings.signals;
        let (milestones, alarms): (Vec<&Signal>, Vec<&Signal>) =
            signals.iter().partition(|signal| signal.is_milestone());
        let mut lines = Vec::new();
        for signal in alarms {
            let word = match signal.severity.as_str() {
                _ if signal.is_closing => style("CLOSED".to_owned()).green(),
                "Error" => style("ERROR".to_owned()).red().bold(),
                "Warning" => style("WARNING".to_owned()).yellow(),
                other => style(other.to_uppercase()),
            };
            lines.push(format!(
                "{} UTC  {word}  {}  {}",
                instant(signal.at),
                style(&signal.experiment).bold(),
                signal.signal
            ));
            lines.push(wrapped(&format!("  {}", signal.message), width, 2));
        }
        let reached: BTreeSet<&str> = milestones
            .iter()
            .filter(|signal| signal.signal == "sample.minimum")
            .map(|signal| signal.experiment.as_str())
            .collect();
        let mut text = match reached.len() {
            0 => "No experiment has its planned sample".to_owned(),
            _ => format!(
                "{} with the planned sample: {}",
                counted(reached.len() as u64, "experiment"),
                reached.into_iter().collect::<Vec<_>>().join(", ")
            ),
        };
        text.push_str(&format!("; {} in all.", counted(milestones.len() as u64, "milestone")));
        lines.push(wrapped(&text, width, 0));
        section("Signals, by the event time that raised them", &lines)
    }

    /// What a reader may conclude of each experiment, and what not yet.
    fn conclusions(&self, width: usize) -> String {
        let widest = self
            .findings
            .experiments
            .iter()
            .map(|experiment| experiment.name.len())
            .max()
            .unwrap_or(0);
        let lines: Vec<String> = self
            .findings
            .experiments
            .iter()
            .map(|experiment| {
                let verdicts = self
                    .findings
                    .verdicts
                    .get(&experiment.name)
                    .map_or(&[][..], Vec::as_slice);
                let text = format!("{:<widest$}  {}", experiment.name, concluded(verdicts));
                wrapped(&text, width, widest + 2)
            })
            .collect();
        section("What to conclude of the goals, purchase and click", &lines)
    }

    fn run(&self, width: usize) -> String {
        let progress = &self.summary.progress;
        let per_second = progress.counters.records as f64 / progress.elapsed.as_secs_f64().max(1e-9);
        let text = format!(
            "{} in {} ({} a second), {} closed, {} of state for {}. Everything is in {}: the lake (Delta tables, which DuckDB, polars and \
             Spark read as they are), the bad records, the configuration, and the stream with its truth.",
            counted(progress.counters.records, "record"),
            duration(progress.elapsed),
            grouped(per_second as u64),
            counted(self.summary.counts.windows.len() as u64, "window"),
            bytes(progress.memory as u64),
            counted(progress.subjects as u64, "subject"),
            self.folder.path().display(),
        );
        section("The run", &[wrapped(&text, width, 0)])
    }

    fn next(&self, program: Option<&str>) -> String {
        let path = |path: PathBuf| quoted(&path.display().to_string());
        let (lake, config) = (path(self.folder.lake()), path(self.folder.config()));
        let other_lake = quoted(&format!(
            "engine.sinks[0].options.url={}",
            self.folder.other_lake().display()
        ));
        let other_letters = quoted(&format!(
            "engine.deadLetter.options.path={}",
            self.folder.other_dead_letters().display()
        ));
        let commands = [
            (
                "the results by hour",
                format!(
                    "backplane sql --lake {lake} \"select window_start, variant, subjects, mean from metric_stats where experiment = \
                     'one-click-checkout' and metric = 'purchase' and window_name = 'hourly' and segment is null order by 1, 2\""
                ),
            ),
            (
                "the signals with the numbers behind them",
                format!(
                    "backplane sql --lake {lake} \"select event_time, experiment, signal, severity, state, data from signals where state is not null order by 1\""
                ),
            ),
            (
                "why records could not be read",
                format!(
                    "backplane sql --lake {lake} \"select reason, count(*) as records, min(detail) as example from dead_letters group by 1 \
                     order by 2 desc\""
                ),
            ),
            (
                "a prompt for questions of your own; \\d lists the tables",
                format!("backplane sql --lake {lake}"),
            ),
            (
                "the lake's events once more, with crossovers counted for their first variant",
                format!(
                    "backplane replay --from {lake} -c {config} --set engine.crossovers=firstVariant --set 'engine.sinks=[{{ type: terminal }}]'"
                ),
            ),
            (
                "what the configuration promises",
                format!("backplane validate {config}"),
            ),
            (
                "the whole job again, into a lake of its own",
                format!("backplane run {config} --set {other_lake} --set {other_letters}"),
            ),
        ];
        let mut lines: Vec<String> = program
            .map(|program| format!("alias backplane={}", quoted(program)))
            .into_iter()
            .collect();
        for (what, command) in commands {
            lines.push(style(format!("# {what}")).dim().to_string());
            lines.push(command);
        }
        section("Try next", &lines)
    }

    /// Every variant; the name of its experiment is empty but for the first of it.
    fn variants(&self) -> impl Iterator<Item = (&Experiment, &Variant, String)> {
        self.findings.experiments.iter().flat_map(|experiment| {
            experiment.variants.iter().enumerate().map(move |(index, variant)| {
                let name = if index == 0 {
                    experiment.name.clone()
                } else {
                    String::new()
                };
                (experiment, variant, name)
            })
        })
    }
}

/// What the goals of an experiment come to.
fn concluded(verdicts: &[Verdict]) -> String {
    let is = |verdict: &Verdict, name: &str| verdict.verdict == name;
    if verdicts.iter().any(|verdict| is(verdict, "broken")) {
        return "nothing: its subjects are not split as allocated, and no result of it is to be believed".to_owned();
    }
    let proven: Vec<String> = verdicts
        .iter()
        .filter(|verdict| is(verdict, "significant") || is(verdict, "significant_always_valid"))
        .map(|verdict| {
            let direction = if verdict.difference > 0.0 { "raises" } else { "lowers" };
            format!("{} {direction} {}", verdict.variant, verdict.metric)
        })
        .collect();
    if !proven.is_empty() {
        return format!("{}; that is proven", proven.join(", "));
    }
    if let Some(early) = verdicts
        .iter()
        .find(|verdict| is(verdict, "planned_sample_not_reached"))
    {
        return format!(
            "nothing yet: {} of the planned sample are there, whatever p says",
            percent(early.planned_share)
        );
    }
    match verdicts.is_empty() {
        true => "nothing: no goal has outcomes".to_owned(),
        false => "no difference was found with the planned sample".to_owned(),
    }
}

/// What is planted in an experiment; nothing where it is healthy.
fn story(experiment: &Experiment, truth: &ExperimentTruth) -> Option<String> {
    let lifts: Vec<String> = truth
        .lifts
        .iter()
        .filter_map(|(what, lift)| what.split_once('/').map(|(metric, variant)| (metric, variant, lift)))
        .map(|(metric, variant, lift)| format!("{variant} raises {metric} by {}", percent(*lift)))
        .collect();
    match truth.fault? {
        Fault::None => None,
        Fault::BrokenAllocation => {
            let variant = experiment.control.clone().unwrap_or_default();
            let share = |shares: &BTreeMap<String, f64>| percent(shares.get(&variant).copied().unwrap_or(0.0));
            let (real, declared) = (share(&truth.real_shares), share(&truth.declared_shares));
            Some(format!(
                "a broken allocation: {real} of the subjects get {variant}, where {declared} is declared"
            ))
        }
        Fault::RealEffect => Some(format!("a real effect: {}", lifts.join(", "))),
        Fault::ReadEarly => {
            let planned = truth.planned_subjects_per_variant.unwrap_or(0).max(1);
            let has = experiment
                .variants
                .iter()
                .map(|variant| variant.subjects)
                .min()
                .unwrap_or(0);
            Some(format!(
                "read too early: {}, a small effect of which chance could be the cause, with {} of the planned {} in each variant",
                lifts.join(", "),
                percent(has as f64 / planned as f64),
                counted(planned, "subject")
            ))
        }
    }
}

/// A section of the page.
fn section(title: &str, lines: &[String]) -> String {
    let mut text = format!("{}\n", style(title).bold());
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell_where_they_need_it() {
        assert_eq!(quoted("backplane-demo/lake"), "backplane-demo/lake");
        assert_eq!(quoted("my demo"), "'my demo'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
