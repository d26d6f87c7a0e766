//! Log lines on standard error.

use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, LoggingArgs};
use crate::exit::CliError;
use crate::terminal::Terminal;

/// Where a person watches, progress is a line of its own and only trouble is logged.
const ON_A_TERMINAL: &str = "error,backplane=warn";
/// Elsewhere log lines are all there is.
const ELSEWHERE: &str = "error,backplane=info";

/// Begins to log as the command line says.
///
/// # Errors
/// [`CliError::Usage`] for a filter that is none.
pub fn start(args: &LoggingArgs, terminal: &Terminal) -> Result<LogFormat, CliError> {
    let usual = if terminal.shows_errors() {
        ON_A_TERMINAL
    } else {
        ELSEWHERE
    };
    let wanted = args
        .filter
        .as_deref()
        .filter(|filter| !filter.trim().is_empty())
        .unwrap_or(usual);
    let filter = EnvFilter::try_new(wanted).map_err(|_| {
        CliError::Usage(format!("{wanted} is no log filter; give error, warn, info, debug or trace, or directives such as warn,backplane=debug"))
    })?;
    let for_writer = terminal.clone();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(console::colors_enabled_stderr())
        .with_writer(move || for_writer.errors());
    let started = match args.log_format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
    };
    started.map_err(CliError::internal)?;
    Ok(args.log_format)
}
