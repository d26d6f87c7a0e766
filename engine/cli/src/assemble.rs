//! From a configuration to a job: the concrete sources and sinks behind the engine's traits, all of them checked before anything is read.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use backplane_config::{
    Config, DeadLetter, Loaded, Sink as ConfigSink, SinkKind, Source as ConfigSource, SourceKind, Take,
};
use backplane_connector_api::{Sink, Source};
use backplane_events::Table;
use backplane_file::{
    FileOptions, FileSource, LetterSource, NdjsonOptions, NdjsonSink, StdinSource, TerminalOptions, TerminalSink,
};
use backplane_lake::{LakeOptions, LakeSink, LakeSource};
use backplane_runtime::declared::declared_rows;
use backplane_runtime::{Job, JobOptions, Outlet, Start};
use chrono::Utc;

use crate::epochs;
use crate::exit::CliError;
use crate::lakes;
use crate::ledger::LakeLedger;
use crate::places::Places;
use crate::planning;
use crate::tally::{self, Tally};
use crate::terminal::Terminal;

/// The tables that a lake gets beside those it takes: what was declared.
const DECLARED: [Table; 4] = [Table::Experiments, Table::Allocations, Table::Metrics, Table::Windows];

/// The sink of records that cannot be read.
const DEAD_LETTER: &str = "deadLetter";
/// Names of sinks by which epochs know the engine's own.
const RESERVED: [&str; 2] = [DEAD_LETTER, tally::NAME];

/// What differs between the commands that run jobs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Files that are followed are read to what is their end now.
    pub until_end: bool,
    /// Records that cannot be read go to the lake only, not to a file.
    pub dead_letters_in_lake: bool,
    /// The job keeps its epochs, where the configuration has a place for them.
    pub keeps_epochs: bool,
    /// Where it begins, if that was said.
    pub start: Option<Start>,
}

/// Records that are tried again beside the sources of the configuration.
pub struct Again {
    /// The records.
    pub source: LetterSource,
    /// Their file, where that is not the dead-letter file: nobody else may read it, or write to it.
    pub file: Option<PathBuf>,
}

/// A job that is ready to run.
pub struct Assembled {
    /// The job.
    pub job: Job,
    /// What it hands to its sinks, counted.
    pub tally: Tally,
    /// Where records go that cannot be read.
    pub dead_letters: PathBuf,
}

/// Makes the job of a configuration. Nothing is read but the heads of files, and nothing is left behind where it fails.
///
/// # Errors
/// A source or sink cannot be used, two of them share a place, a query cannot be planned, or the lake holds an earlier run.
pub fn assemble(loaded: &Loaded, manner: Manner, terminal: &Terminal) -> Result<Assembled, CliError> {
    assemble_with(loaded, manner, None, terminal)
}

/// As [`assemble`], with records that are tried again: the job must go on from a checkpoint. One that starts anew would read them in its sources,
/// too.
///
/// # Errors
/// As of [`assemble`], and where there is no checkpoint.
pub fn assemble_with(
    loaded: &Loaded,
    manner: Manner,
    again: Option<Again>,
    terminal: &Terminal,
) -> Result<Assembled, CliError> {
    let (plan, queries) = planning::plan(loaded)?;
    let config = &loaded.config;
    let mut places = Places::default();
    let mut sources = sources(config, manner, terminal, &mut places)?;
    let goes_on_only = again.is_some();
    if let Some(again) = again {
        sources.push(source_of(again, &mut places)?);
    }
    let tally = Tally::default();
    let (mut outlets, dead_letters) = outlets(config, manner, terminal, &mut places)?;
    for outlet in &mut outlets {
        outlet.sink.check()?;
    }
    let kept = match manner.keeps_epochs {
        true => epochs::take(config, manner.start)?,
        false => None,
    };
    let folder = kept.as_ref().and_then(|kept| kept.checkpoints.store.folder());
    let folder = folder.map_or_else(std::env::temp_dir, Path::to_owned);
    backplane_memory::limit(config.engine.memory.get(), folder);
    let is_new = kept.as_ref().is_none_or(|kept| kept.recovery.from().is_none());
    if is_new && goes_on_only {
        return Err(epochs::nothing_to_go_on_from(&config.engine.job));
    }
    for sink in config.engine.sinks.iter().filter(|_| is_new) {
        if let SinkKind::Lake(lake) = &sink.kind {
            lakes::refuse_earlier_rows(&sink.name, &lake.url)?;
        }
    }
    outlets.push(tally.outlet());
    let options = JobOptions {
        parallelism: config.engine.parallelism,
        emit_every: config.engine.emit_every.to_std(),
        checkpoint_interval: config.engine.checkpoint.interval.to_std(),
    };
    let declared = declared_rows(config, &plan, Utc::now().timestamp_micros())?;
    let ledger = LakeLedger::of_config(config);
    let mut job = Job::new(plan, queries, sources, outlets, options)?.with_ledger(Box::new(ledger));
    if let Some(epochs::Kept { checkpoints, recovery }) = kept {
        job.resume(checkpoints, &recovery)?;
    }
    for (table, rows) in declared {
        job.declare(table, rows, is_new)?;
    }
    Ok(Assembled {
        job,
        tally,
        dead_letters,
    })
}

fn sources(
    config: &Config,
    manner: Manner,
    terminal: &Terminal,
    places: &mut Places,
) -> Result<Vec<Box<dyn Source>>, CliError> {
    let mut sources = Vec::new();
    for declared in &config.engine.sources {
        let mut source = source(declared, manner);
        if matches!(declared.kind, SourceKind::Stdin(_)) && terminal.takes_input() {
            // without this a new user waits for the program, and the program for the user
            let _ = writeln!(
                terminal.errors(),
                "reading events from standard input, one a line; Ctrl-D ends them"
            );
        }
        // finds what is missing, a folder, or not what its name says, before any sink is touched
        let partitions = source.discover()?;
        if let SourceKind::File(file) = &declared.kind {
            let who = format!("source {}", declared.name);
            places.reads_matches(&who, FileOptions::at_rest(file.paths.clone()));
            for partition in &partitions {
                places.reads(&who, Path::new(&source.describe(partition)));
            }
        }
        sources.push(source);
    }
    Ok(sources)
}

fn source_of(again: Again, places: &mut Places) -> Result<Box<dyn Source>, CliError> {
    let Again { mut source, file } = again;
    source.discover()?;
    if let Some(file) = &file {
        places.reads_alone("--records", file)?;
    }
    Ok(Box::new(source))
}

fn source(declared: &ConfigSource, manner: Manner) -> Box<dyn Source> {
    let name = declared.name.clone();
    match &declared.kind {
        SourceKind::File(file) => {
            let options = FileOptions {
                paths: file.paths.clone(),
                follow: file.follow,
            };
            let source = FileSource::new(name, options);
            Box::new(if manner.until_end { source.until_now() } else { source })
        }
        SourceKind::Stdin(_) => Box::new(StdinSource::new(name)),
        SourceKind::Lake(lake) => Box::new(LakeSource::new(name, LakeOptions::at(lake.url.as_str()))),
    }
}

/// The outlets, and where dead letters are.
fn outlets(
    config: &Config,
    manner: Manner,
    terminal: &Terminal,
    places: &mut Places,
) -> Result<(Vec<Outlet>, PathBuf), CliError> {
    let engine = &config.engine;
    let on_terminal = [ConfigSink::terminal()];
    let declared = if engine.sinks.is_empty() {
        &on_terminal[..]
    } else {
        &engine.sinks
    };
    if let Some(taken) = engine.sinks.iter().find(|sink| RESERVED.contains(&sink.name.as_str())) {
        return Err(CliError::Usage(format!(
            "engine.sinks: {} is the name of a sink of the engine itself; give yours another one",
            taken.name
        )));
    }
    let mut outlets = Vec::new();
    let mut dead_letters = PathBuf::new();
    for sink in declared {
        let who = format!("sink {}", sink.name);
        match &sink.kind {
            SinkKind::Lake(lake) => {
                if let Some(folder) = lake.url.local_path() {
                    places.writes_folder(who, &folder, backplane_lake::kinds_of_files())?;
                    dead_letters = folder.join(Table::DeadLetters.name());
                }
            }
            SinkKind::File(file) => places.writes(who, &file.path)?,
            SinkKind::Terminal(_) => {}
        }
        let mut tables: Vec<Table> = sink.take.iter().flat_map(|take| tables_of(*take)).copied().collect();
        if matches!(sink.kind, SinkKind::Lake(_)) {
            tables.extend(DECLARED);
            tables.push(Table::Looks);
        }
        let queries = engine
            .queries
            .iter()
            .filter(|query| query.sinks.contains(&sink.name))
            .map(|query| query.name.clone());
        let outlet = Outlet::new(concrete(sink, &engine.job, terminal)?, tables).with_queries(queries);
        outlets.push(if sink.counts_as_look {
            outlet.that_counts_as_look()
        } else {
            outlet
        });
    }
    if !manner.dead_letters_in_lake {
        let DeadLetter::File(file) = &engine.dead_letter;
        places.writes("the dead-letter file (engine.deadLetter)", &file.path)?;
        let sink = NdjsonSink::new(
            DEAD_LETTER,
            NdjsonOptions {
                path: file.path.clone(),
            },
        );
        outlets.push(Outlet::new(Box::new(sink), [Table::DeadLetters]));
        dead_letters.clone_from(&file.path);
    }
    Ok((outlets, dead_letters))
}

fn concrete(sink: &ConfigSink, job: &str, terminal: &Terminal) -> Result<Box<dyn Sink>, CliError> {
    let name = sink.name.clone();
    Ok(match &sink.kind {
        SinkKind::Lake(lake) => Box::new(LakeSink::new(name, job, &LakeOptions::at(lake.url.as_str()))?),
        SinkKind::File(file) => Box::new(NdjsonSink::new(
            name,
            NdjsonOptions {
                path: file.path.clone(),
            },
        )),
        SinkKind::Terminal(_) => Box::new(TerminalSink::new(name, TerminalOptions::default(), terminal.output())),
    })
}

/// The tables behind a word of `take`.
pub fn tables_of(take: Take) -> &'static [Table] {
    match take {
        Take::Events => &[
            Table::Exposures,
            Table::Assignments,
            Table::Outcomes,
            Table::Signals,
            Table::Errors,
        ],
        Take::Results => &[
            Table::AssignmentCounts,
            Table::MetricStats,
            Table::MaturedStats,
            Table::AssignmentPath,
            Table::EffectPath,
        ],
        Take::Signals => &[Table::Signals],
        Take::Late => &[Table::LateEvents],
        Take::DeadLetters => &[Table::DeadLetters],
    }
}
