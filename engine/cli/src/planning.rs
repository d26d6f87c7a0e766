//! From a configuration to what the engine runs, with all that only the engine can find wrong, each finding at its place.

use backplane_config::{Config, ConfigError, Diagnostic, Loaded};
use backplane_runtime::declared::plan_of;
use backplane_runtime::plan::Plan;
use backplane_runtime::{RuntimeError, UserQueries, UserQuery};

use crate::exit::CliError;

/// The plan of a configuration, and the user's queries.
///
/// # Errors
/// All findings at once, where the plan does not hold or a query cannot be planned.
pub fn plan(loaded: &Loaded) -> Result<(Plan, UserQueries), CliError> {
    let at = |path: &str, message: String| loaded.effective.error(path, message);
    let refused = |findings: Vec<Diagnostic>| CliError::from(ConfigError::Invalid(findings));
    let plan = plan_of(&loaded.config).map_err(|error| refused(vec![at("experiments", error.to_string())]))?;
    let queries = user_queries(&loaded.config, &plan);
    match UserQueries::new(queries.clone()) {
        Ok(planned) => return Ok((plan, planned)),
        // that is the first of them: each is looked at alone
        Err(RuntimeError::Query { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    let finding = |(index, query): (usize, UserQuery)| match UserQueries::new(vec![query]) {
        Err(RuntimeError::Query { source, .. }) => {
            Some(at(&format!("engine.queries[{index}].sql"), source.to_string()))
        }
        _ => None,
    };
    Err(refused(queries.into_iter().enumerate().filter_map(finding).collect()))
}

/// The queries with the windows that they are run over; the configuration's own rules have seen to it that these exist.
fn user_queries(config: &Config, plan: &Plan) -> Vec<UserQuery> {
    let declared = config.engine.queries.iter();
    let planned = declared.filter_map(|query| {
        let window = plan.windows.iter().position(|window| window.name == query.window)?;
        Some(UserQuery {
            name: query.name.clone(),
            window,
            sql: query.sql.clone(),
        })
    });
    planned.collect()
}
