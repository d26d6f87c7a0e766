//! `backplane schema`: the JSON Schema of the configuration.

use super::Context;
use crate::exit::{CliError, Outcome};

/// Prints the schema.
///
/// # Errors
/// Standard output cannot be written.
pub fn execute(context: &Context) -> Result<Outcome, CliError> {
    let schema = serde_json::to_string_pretty(&backplane_config::schema()).map_err(CliError::internal)?;
    context.print(&format!("{schema}\n"))?;
    Ok(Outcome::Done)
}
