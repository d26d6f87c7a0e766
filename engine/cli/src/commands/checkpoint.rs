//! `backplane checkpoint`: what is kept of a job.

use std::sync::Arc;

use backplane_checkpoint::{CheckpointError, CheckpointStore, Lease, Manifest, PartRef, Writer};
use backplane_connector_api::Epoch;
use backplane_events::EventTime;
use serde::Serialize;

use super::{Context, load};
use crate::args::{CheckpointCommand, CheckpointEpochArgs, CheckpointResetArgs, FindingFormat, ListArgs};
use crate::epochs;
use crate::exit::{CliError, Outcome};
use crate::format::{bytes, counted, grouped, instant};
use crate::table::TextTable;

/// Carries one of the commands out.
///
/// # Errors
/// The configuration names no place for checkpoints, or that cannot be read.
pub fn execute(command: &CheckpointCommand, context: &Context) -> Result<Outcome, CliError> {
    match command {
        CheckpointCommand::List(args) => list(args, context),
        CheckpointCommand::Show(args) => show(args, context),
        CheckpointCommand::Verify(args) => verify(args, context),
        CheckpointCommand::Reset(args) => reset(args, context),
    }
}

/// An epoch in a list.
#[derive(Debug, Serialize)]
struct Row {
    epoch: u64,
    created: String,
    /// Up to where results were complete; none before any.
    watermark: Option<String>,
    records: u64,
    completed: bool,
    base_bytes: u64,
    change_parts: usize,
    change_bytes: u64,
}

impl Row {
    fn of(manifest: &Manifest) -> Self {
        let head = &manifest.head;
        let watermark = head["watermark"].as_i64().filter(|time| *time != i64::MIN);
        let length = |parts: &[PartRef]| parts.iter().map(|part| part.bytes).sum();
        Row {
            epoch: manifest.epoch.0,
            created: manifest.created.clone(),
            watermark: watermark.map(|time| instant(EventTime(time))),
            records: head["counters"]["records"].as_u64().unwrap_or(0),
            completed: head["isCompleted"].as_bool().unwrap_or(false),
            base_bytes: length(&manifest.base),
            change_parts: manifest.changes.len(),
            change_bytes: length(&manifest.changes),
        }
    }
}

fn list(args: &ListArgs, context: &Context) -> Result<Outcome, CliError> {
    let (store, job) = store_of(&args.config, &args.overrides.sets)?;
    let mut rows = Vec::new();
    for epoch in store.epochs()? {
        rows.push(Row::of(&store.manifest(epoch)?));
    }
    if args.format == FindingFormat::Json {
        let text = serde_json::to_string_pretty(&rows).map_err(CliError::internal)?;
        context.print(&(text + "\n"))?;
        return Ok(Outcome::Done);
    }
    if rows.is_empty() {
        context.print(&format!(
            "the job {job} has no checkpoints: its next run starts from the beginning\n"
        ))?;
        return Ok(Outcome::Done);
    }
    let mut table = TextTable::new()
        .right("epoch")
        .left("created")
        .left("complete up to")
        .right("records")
        .right("state")
        .right("changes since")
        .left("");
    for row in rows {
        table.row([
            row.epoch.to_string(),
            // to the second; the manifest has the rest
            row.created.get(..19).unwrap_or(&row.created).replace('T', " "),
            row.watermark.unwrap_or_default(),
            grouped(row.records),
            bytes(row.base_bytes),
            format!(
                "{} in {}",
                bytes(row.change_bytes),
                counted(row.change_parts as u64, "part")
            ),
            match (row.completed, row.base_bytes) {
                (true, _) => "came to its end",
                (false, 0) => "begun",
                (false, _) => "",
            }
            .to_owned(),
        ]);
    }
    context.print(&(table.folded(context.terminal.page_width()).join("\n") + "\n"))?;
    if let Some(owner) = store.owner()?.filter(|owner| !owner.released) {
        context.note(&format!("run by, or last run by, {owner}"));
    }
    Ok(Outcome::Done)
}

fn show(args: &CheckpointEpochArgs, context: &Context) -> Result<Outcome, CliError> {
    let (store, job) = store_of(&args.config, &args.overrides.sets)?;
    let epoch = match args.epoch {
        Some(epoch) => Epoch(epoch),
        None => store.epochs()?.last().copied().ok_or_else(|| none(&job))?,
    };
    let text = serde_json::to_string_pretty(&store.manifest(epoch)?).map_err(CliError::internal)?;
    context.print(&(text + "\n"))?;
    Ok(Outcome::Done)
}

fn verify(args: &CheckpointEpochArgs, context: &Context) -> Result<Outcome, CliError> {
    let (store, job) = store_of(&args.config, &args.overrides.sets)?;
    let epochs = match args.epoch {
        Some(epoch) => vec![Epoch(epoch)],
        None => store.epochs()?,
    };
    if epochs.is_empty() {
        return Err(none(&job));
    }
    let mut damaged = None;
    for epoch in epochs {
        match store.verify(epoch) {
            Ok(manifest) => {
                let length: u64 = manifest.parts().map(|part| part.bytes).sum();
                let parts = counted(manifest.parts().count() as u64, "part");
                context.print(&format!("epoch {}: whole, {} in {parts}\n", epoch.0, bytes(length)))?;
            }
            Err(error @ CheckpointError::Damaged { .. }) => {
                let error = error.with_last_good(store.last_good_before(epoch));
                context.print(&format!("epoch {}: {error}\n", epoch.0))?;
                damaged = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match damaged {
        None => Ok(Outcome::Done),
        Some(error) => Err(error.into()),
    }
}

fn reset(args: &CheckpointResetArgs, context: &Context) -> Result<Outcome, CliError> {
    let (store, job) = store_of(&args.config, &args.overrides.sets)?;
    let epochs = store.epochs()?;
    if !args.yes {
        context.print(&format!(
            "{} of the job {job} would be removed, and its next run would start from the beginning; what it has written stays where it is. \
             Say --yes to do it.\n",
            counted(epochs.len() as u64, "checkpoint")
        ))?;
        return Ok(Outcome::Done);
    }
    // a job that runs must not lose them under its feet
    let lease = Lease::take(&store, Writer::new())?;
    let removed = store.reset()?;
    drop(lease);
    context.print(&format!(
        "removed {} ({}) of the job {job}\n",
        counted(epochs.len() as u64, "checkpoint"),
        counted(removed as u64, "object")
    ))?;
    Ok(Outcome::Done)
}

/// The checkpoints of a configuration's job, and the job's name.
fn store_of(config: &std::path::Path, sets: &[String]) -> Result<(Arc<CheckpointStore>, String), CliError> {
    let loaded = load(config, sets)?;
    let job = loaded.config.engine.job.clone();
    let store = epochs::store_of(&loaded.config)?.ok_or_else(|| {
        CliError::Usage(format!(
            "{}: the job {job} keeps no checkpoints; name a folder for them in engine.checkpoint.url",
            config.display()
        ))
    })?;
    Ok((store, job))
}

fn none(job: &str) -> CliError {
    CliError::Usage(format!("the job {job} has no checkpoints"))
}
