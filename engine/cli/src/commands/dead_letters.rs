//! `backplane dead-letters`: records that could not be read.

mod replay;
mod show;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backplane_config::{Config, DeadLetter};
use backplane_events::EventTime;
use backplane_file::{Letter, Letters};
use serde::Serialize;

use self::show::visible;
use super::{Context, load};
use crate::args::{DeadLettersCommand, FindingFormat, ListArgs};
use crate::exit::{CliError, Outcome};
use crate::format::{counted, grouped, instant};
use crate::table::TextTable;

/// The name by which errors call the file, and checkpoints the source of what is tried again.
const DEAD_LETTERS: &str = "dead-letters";

/// Carries one of the commands out.
///
/// # Errors
/// The configuration is wrong, the file cannot be read, or the job failed.
pub fn execute(command: &DeadLettersCommand, context: &Context) -> Result<Outcome, CliError> {
    match command {
        DeadLettersCommand::List(args) => list(args, context),
        DeadLettersCommand::Show(args) => show::execute(args, context),
        DeadLettersCommand::Replay(args) => replay::execute(args, context),
    }
}

/// Where the dead letters of a job are.
fn file_of(config: &Config) -> &Path {
    let DeadLetter::File(file) = &config.engine.dead_letter;
    &file.path
}

/// Refuses a place that keeps nothing.
fn refuse_device(path: &Path) -> Result<(), CliError> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => Err(CliError::Usage(format!(
            "{} is a pipe or a device, which keeps no dead letters; name a file in engine.deadLetter.options.path",
            path.display()
        ))),
        // that it is not there, or is a folder, is said by whoever opens it
        _ => Ok(()),
    }
}

/// A pass over the letters of a file. Lines that are none are counted, and told at the end.
struct Pass {
    path: PathBuf,
    letters: Option<Letters>,
    /// Letters so far.
    count: u64,
    /// Lines that are no letters: how many, the first of them, and what is wrong with it.
    others: Option<(u64, u64, String)>,
}

impl Pass {
    fn over(path: &Path) -> Result<Self, CliError> {
        refuse_device(path)?;
        Ok(Pass {
            path: path.to_owned(),
            letters: Letters::open(DEAD_LETTERS, path)?,
            count: 0,
            others: None,
        })
    }

    /// The next letter and the number of its line.
    fn next(&mut self) -> Result<Option<(u64, Letter)>, CliError> {
        for line in self.letters.iter_mut().flatten() {
            let line = line?;
            match line.letter {
                Ok(letter) => {
                    self.count += 1;
                    return Ok(Some((line.number, letter)));
                }
                Err(reason) => self.others.get_or_insert((0, line.number, reason)).0 += 1,
            }
        }
        Ok(None)
    }

    /// Says what a reader of standard output would miss.
    fn tell(&self, context: &Context) {
        if self.count == 0 {
            let why = match self.letters {
                None => " is not there, or empty",
                Some(_) => " has none",
            };
            context.note(&format!("no dead letters: {}{why}", self.path.display()));
        }
        if let Some((count, first, reason)) = &self.others {
            context.note(&format!(
                "passed over in {}: {} that no job has written there, the first is line {first}: {reason}",
                self.path.display(),
                counted(*count, "line"),
            ));
        }
    }
}

/// Letters of a reason and a source.
#[derive(Debug, Serialize)]
struct Row {
    reason: String,
    source: String,
    count: u64,
    first: String,
    last: String,
    /// Where the last of them came from.
    example: String,
}

/// What is counted of them.
struct Count {
    count: u64,
    first: EventTime,
    last: EventTime,
    example: String,
}

fn list(args: &ListArgs, context: &Context) -> Result<Outcome, CliError> {
    let loaded = load(&args.config, &args.overrides.sets)?;
    let mut pass = Pass::over(file_of(&loaded.config))?;
    let mut counts: BTreeMap<(String, String), Count> = BTreeMap::new();
    while let Some((_, letter)) = pass.next()? {
        let count = counts.entry((letter.reason, letter.source)).or_insert(Count {
            count: 0,
            first: letter.time,
            last: letter.time,
            example: String::new(),
        });
        count.count += 1;
        count.first = count.first.min(letter.time);
        count.last = count.last.max(letter.time);
        count.example = letter.position;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| count.last);
    match args.format {
        FindingFormat::Json => {
            let rows: Vec<Row> = counts.into_iter().map(|(key, count)| Row::of(key, count)).collect();
            let text = serde_json::to_string_pretty(&rows).map_err(CliError::internal)?;
            context.print(&(text + "\n"))?;
        }
        FindingFormat::Human if counts.is_empty() => {}
        FindingFormat::Human => {
            let lines = table(&counts).cut(context.terminal.line_width());
            context.print(&(lines.join("\n") + "\n"))?;
        }
    }
    pass.tell(context);
    Ok(Outcome::Done)
}

impl Row {
    fn of((reason, source): (String, String), count: Count) -> Self {
        Row {
            reason,
            source,
            count: count.count,
            first: count.first.to_string(),
            last: count.last.to_string(),
            example: count.example,
        }
    }
}

fn table(counts: &[((String, String), Count)]) -> TextTable {
    let mut table = TextTable::new()
        .key("reason")
        .left("source")
        .right("records")
        .left("first")
        .left("last")
        .left("such as");
    for ((reason, source), count) in counts {
        table.row([
            visible(reason.as_bytes()),
            visible(source.as_bytes()),
            grouped(count.count),
            instant(count.first),
            instant(count.last),
            visible(count.example.as_bytes()),
        ]);
    }
    table
}
