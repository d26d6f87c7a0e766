//! `backplane vacuum`: files of a lake that no reader needs.

use backplane_config::Micros;

use super::{Context, lake_url};
use crate::args::VacuumArgs;
use crate::exit::{CliError, Outcome};
use crate::format::{bytes, counted, grouped};
use crate::lakes;
use crate::table::TextTable;

/// A job's epoch is in the lake's tables long before this.
const YOUNGEST: Micros = Micros::from_hours(1);

/// Removes the files, or counts them, and says by table what they were.
///
/// # Errors
/// There is no lake, it cannot be read or written, or the age is too small.
pub fn execute(args: &VacuumArgs, context: &Context) -> Result<Outcome, CliError> {
    let url = lake_url(args.lake.as_deref(), args.config.as_deref())?;
    if args.older_than < YOUNGEST && !args.force {
        return Err(CliError::Usage(format!(
            "--older-than {}: so young a file may be of an epoch that a running job has prepared and the lake's tables do not name yet; give \
             1h or more, or stop every job that writes this lake and add --force",
            args.older_than
        )));
    }
    let counts = lakes::vacuum(&url, args.older_than.to_std(), args.dry_run)?;
    if !counts.is_empty() {
        let mut table = TextTable::new().key("table").right("files").right("size");
        for (of, count) in &counts {
            table.row([of.name().to_owned(), grouped(count.files), bytes(count.bytes)]);
        }
        let lines = table.cut(context.terminal.line_width());
        context.print(&(lines.join("\n") + "\n"))?;
    }
    let files = counts.values().map(|count| count.files).sum();
    let size = counts.values().map(|count| count.bytes).sum();
    context.note(&match (files, args.dry_run) {
        (0, _) => format!("nothing is left over that is older than {}", args.older_than),
        (_, true) => format!("{} ({}) would be removed", counted(files, "file"), bytes(size)),
        (_, false) => format!("removed {} ({})", counted(files, "file"), bytes(size)),
    });
    Ok(Outcome::Done)
}
