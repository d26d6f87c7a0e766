//! `backplane report`: what is known of an experiment, and what may be concluded.

mod facts;
mod page;

use backplane_queries::lineage::Look;

use super::{Context, lake_url};
use crate::args::{ReportArgs, ReportFormat};
use crate::exit::{CliError, Outcome};
use crate::lakes::OpenLake;
use crate::ledger::{self, Shown};
use facts::Facts;
use page::Page;

/// Shows the report and records it as a look.
///
/// # Errors
/// There is no lake, it knows no such experiment, or it cannot be read.
pub fn execute(args: &ReportArgs, context: &Context) -> Result<Outcome, CliError> {
    let lake = OpenLake::open(&lake_url(args.lake.as_deref(), args.config.as_deref())?)?;
    lake.check_experiment(&args.experiment)?;
    let facts = lake.wait_for(Facts::read(&lake, &args.experiment))?;
    let page = Page::of(&facts);
    context.print(&match args.format {
        ReportFormat::Terminal => page.terminal(context.terminal.page_width()),
        ReportFormat::Markdown => page.markdown(),
    })?;
    let look = Look {
        experiments: Some([args.experiment.clone()].into()),
        metrics: None,
    };
    let shown = Shown {
        origin: "report",
        query: &args.experiment,
    };
    if let Err(error) = lake.wait_for(ledger::record(&lake, &look, shown)) {
        context.note(&format!("this look could not be recorded: {error}"));
    }
    Ok(Outcome::Done)
}
