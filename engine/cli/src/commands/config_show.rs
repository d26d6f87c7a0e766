//! `backplane config show`: every value in force and where it came from.

use super::{Context, load};
use crate::args::{ConfigShowArgs, ShowFormat};
use crate::exit::{CliError, Outcome};

/// Prints the values.
///
/// # Errors
/// The configuration is wrong.
pub fn execute(args: &ConfigShowArgs, context: &Context) -> Result<Outcome, CliError> {
    let effective = load(&args.config, &args.overrides.sets)?.effective;
    let text = match args.format {
        ShowFormat::Yaml => effective.to_string(),
        ShowFormat::Json => serde_json::to_string_pretty(&effective.values()).map_err(CliError::internal)? + "\n",
    };
    context.print(&text)?;
    Ok(Outcome::Done)
}
