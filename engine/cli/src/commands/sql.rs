//! `backplane sql`: questions to a lake.

mod history;
mod prompt;
mod rows;
mod statement;

use std::io::Read as _;
use std::time::Instant;

use backplane_queries::lineage;
use futures::StreamExt as _;

use super::{Context, lake_url};
use crate::args::{RowFormat, SqlArgs};
use crate::exit::{CliError, Outcome};
use crate::format::{counted, duration};
use crate::lakes::OpenLake;
use crate::ledger::{self, Shown};
use rows::RowWriter;

/// Answers one query, or those of a prompt.
///
/// # Errors
/// There is no lake, or the query failed.
pub fn execute(args: &SqlArgs, context: &Context) -> Result<Outcome, CliError> {
    if args.connect.is_some() {
        return Err(CliError::Usage(
            "--connect: jobs have no SQL port in this version; ask their lake with --lake".to_owned(),
        ));
    }
    if args.format == RowFormat::Parquet && context.terminal.shows_output() {
        return Err(CliError::Usage(
            "--format parquet: a terminal cannot show Parquet; send it to a file, e.g. > rows.parquet".to_owned(),
        ));
    }
    let url = lake_url(args.lake.as_deref(), args.config.as_deref())?;
    let is_prompt = args.query.is_none() && context.terminal.takes_input();
    let query = if is_prompt { None } else { Some(query_text(args)?) };
    let lake = OpenLake::open(&url)?;
    match query {
        Some(query) => lake.wait_for(answer(&lake, &query, args.format, context))?,
        None => prompt::converse(&lake, args.format, context)?,
    }
    Ok(Outcome::Done)
}

/// The query of the command line, else of standard input.
fn query_text(args: &SqlArgs) -> Result<String, CliError> {
    let text = match &args.query {
        Some(query) => query.clone(),
        None => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| CliError::file("the query cannot be read from standard input", error))?;
            text
        }
    };
    let query = statement::without_end(&text);
    if query.trim().is_empty() {
        return Err(CliError::Usage(
            "there is no query; write one, e.g. \"select * from experiments\"".to_owned(),
        ));
    }
    Ok(query.to_owned())
}

/// Runs a query and writes its rows to standard output.
///
/// # Errors
/// The query failed, or standard output cannot be written.
async fn answer(lake: &OpenLake, query: &str, format: RowFormat, context: &Context) -> Result<(), CliError> {
    let started = Instant::now();
    let explain = |error| CliError::from(lake.catalogue.explain(&error));
    let frame = lake.catalogue.query(query).await?;
    let look = lineage::look(&frame)?;
    let mut batches = frame.execute_stream().await.map_err(explain)?;
    let mut writer = RowWriter::new(
        format,
        batches.schema(),
        context.terminal.output(),
        context.terminal.line_width(),
    )?;
    let mut count = 0;
    let mut look = look;
    let mut recorded = None;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(explain)?;
        count += batch.num_rows() as u64;
        // before the first row is seen: whoever stops reading then has looked all the same
        if let Some(look) = look.take_if(|_| count > 0) {
            let shown = Shown { origin: "sql", query };
            recorded = Some(ledger::record(lake, &look, shown).await);
        }
        writer.write(&batch)?;
    }
    writer.finish()?;
    if format == RowFormat::Table {
        context.note(&format!("({}, {})", counted(count, "row"), duration(started.elapsed())));
    }
    match recorded {
        Some(Ok(effects)) if effects > 0 && format == RowFormat::Table => context.note(&format!(
            "this was a look at {}; it is recorded in the table looks",
            counted(effects as u64, "effect")
        )),
        Some(Ok(0)) if format == RowFormat::Table => context.note(
            "this was a look that nobody can count: the lake has no results of a job (metric_stats), only events",
        ),
        // whoever may only read has his answer
        Some(Err(error)) => context.note(&format!("this look could not be recorded: {error}")),
        _ => {}
    }
    Ok(())
}
