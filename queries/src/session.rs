//! How sessions are configured.
//!
//! Every session speaks the same dialect (texts are `Utf8`, times are UTC, `information_schema` is there, plans remember where in the
//! query a name stood); what differs is how work is spread.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};

use crate::functions;

/// Partitions of a query over the lake: as many as the smallest machine has cores.
const LAKE_PARTITIONS: usize = 2;

/// A session for queries over the lake and for people's own: parallel, with all optimisations.
#[must_use]
pub fn lake(runtime: Arc<RuntimeEnv>) -> SessionContext {
    session(dialect().with_target_partitions(LAKE_PARTITIONS), runtime)
}

/// A session for bounded work inside the stream, a micro-batch or a closed window: one partition, nothing exchanged between threads,
/// and no filters that change while a plan runs, so that a plan may be kept and run again.
#[must_use]
pub fn micro_batch(runtime: Arc<RuntimeEnv>) -> SessionContext {
    let config = dialect()
        .with_target_partitions(1)
        .with_round_robin_repartition(false)
        .with_repartition_joins(false)
        .with_repartition_aggregations(false)
        .with_repartition_windows(false)
        .with_repartition_sorts(false)
        .with_repartition_file_scans(false);
    session(without_dynamic_filters(config), runtime)
}

/// Plans a query that only reads: whatever would make, change or write something is refused, and not carried out.
///
/// # Errors
/// [`DataFusionError::Plan`] for anything that does not only read, and what planning itself finds wrong.
pub async fn plan_reading(session: &SessionContext, sql: &str) -> Result<DataFrame, DataFusionError> {
    let plan = session.state().create_logical_plan(sql).await?;
    let only_reading = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    only_reading.verify_plan(&plan).map_err(|_| {
        let message = "tables are only read here: jobs write them, and --format writes rows to files";
        DataFusionError::Plan(message.to_owned())
    })?;
    session.execute_logical_plan(plan).await
}

fn session(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionContext {
    let context = SessionContext::new_with_config_rt(config, runtime);
    functions::register_all(&context);
    context
}

/// What all sessions have in common.
fn dialect() -> SessionConfig {
    let mut config = SessionConfig::new().with_information_schema(true);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.time_zone = Some("UTC".to_owned());
    config
}

fn without_dynamic_filters(mut config: SessionConfig) -> SessionConfig {
    let optimizer = &mut config.options_mut().optimizer;
    optimizer.enable_dynamic_filter_pushdown = false;
    optimizer.enable_topk_dynamic_filter_pushdown = false;
    optimizer.enable_join_dynamic_filter_pushdown = false;
    optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    config
}
