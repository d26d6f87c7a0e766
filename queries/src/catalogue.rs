//! The catalogue: every table under its name, the views on them, and the canonical queries.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use backplane_events::Table;
use datafusion::catalog::{MemorySchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::prelude::{DataFrame, SessionContext};

use crate::analysis::Views;
use crate::canonical;
use crate::error::QueryError;
use crate::session::plan_reading;

/// The tables of a job or of a lake, as SQL sees them.
///
/// - Event tables and declarations stand under their names.
/// - `assignment_counts`, `metric_stats` and `matured_stats` show the rows of the latest emission of each window;
///   `assignment_counts_history` and so on show every revision.
/// - `srm` and `scorecard` are views on the results; the schema `analysis` holds the canonical queries as views (see [`canonical`]).
pub struct Catalogue {
    context: SessionContext,
}

impl Catalogue {
    /// A catalogue without tables yet, in a session of [`crate::session`].
    #[must_use]
    pub fn new(context: SessionContext) -> Self {
        Catalogue { context }
    }

    /// The session.
    #[must_use]
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Registers the tables and all views on them, in the place of what was registered before. A table without a provider is there
    /// and empty. The providers of result tables hold every revision.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] if a provider lacks a column that a view reads.
    pub async fn register<S: BuildHasher>(
        &self,
        mut providers: HashMap<Table, Arc<dyn TableProvider>, S>,
    ) -> Result<(), QueryError> {
        for table in Table::ALL {
            let provider = match providers.remove(table) {
                Some(provider) => provider,
                None => empty(*table)?,
            };
            self.replace(TableReference::bare(physical_name(*table)), provider)?;
        }
        for table in WITH_REVISIONS {
            let view = latest_revision(table);
            self.register_view(TableReference::bare(table.name()), &view).await?;
        }
        self.register_canonical_queries()
    }

    /// Plans a query.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] with the position and a suggestion, where they are known.
    pub async fn query(&self, sql: &str) -> Result<DataFrame, QueryError> {
        plan_reading(&self.context, sql)
            .await
            .map_err(|error| self.explain(&error))
    }

    /// The error of a query of this catalogue in our words.
    #[must_use]
    pub fn explain(&self, error: &DataFusionError) -> QueryError {
        QueryError::explain(error, &self.table_names())
    }

    /// The names of all tables and views outside the schema `analysis`.
    #[must_use]
    pub fn table_names(&self) -> Vec<String> {
        let state = self.context.state_ref();
        let state = state.read();
        let defaults = &state.config_options().catalog;
        let catalogue = state.catalog_list().catalog(&defaults.default_catalog);
        let schema = catalogue.and_then(|catalogue| catalogue.schema(&defaults.default_schema));
        schema.map(|schema| schema.table_names()).unwrap_or_default()
    }

    /// The views on tables that are registered by now.
    fn register_canonical_queries(&self) -> Result<(), QueryError> {
        let defaults = self.context.copied_config().options().catalog.clone();
        let Some(catalogue) = self.context.catalog(&defaults.default_catalog) else {
            return Ok(());
        };
        let steps = Views::new(&self.context, canonical::ALL, Arc::new(MemorySchemaProvider::new()));
        catalogue.register_schema(canonical::SCHEMA, Arc::new(steps))?;
        if let Some(schema) = catalogue.schema(&defaults.default_schema) {
            let tables = match schema.downcast_ref::<Views>() {
                Some(views) => Arc::clone(views.tables()),
                None => schema,
            };
            let views = Views::new(&self.context, canonical::BESIDE_TABLES, tables);
            catalogue.register_schema(&defaults.default_schema, Arc::new(views))?;
        }
        Ok(())
    }

    async fn register_view(&self, name: TableReference, sql: &str) -> Result<(), QueryError> {
        let plan = self.query(sql).await?.into_unoptimized_plan();
        self.replace(name, Arc::new(ViewTable::new(plan, Some(sql.to_owned()))))
    }

    fn replace(&self, name: TableReference, provider: Arc<dyn TableProvider>) -> Result<(), QueryError> {
        self.context.deregister_table(name.clone())?;
        self.context.register_table(name, provider)?;
        Ok(())
    }
}

/// The tables whose rows are emitted again and again.
const WITH_REVISIONS: [Table; 3] = [Table::AssignmentCounts, Table::MetricStats, Table::MaturedStats];

/// The name that a table's own rows stand under: those of every revision are the table's history.
fn physical_name(table: Table) -> String {
    match table {
        table if WITH_REVISIONS.contains(&table) => format!("{}_history", table.name()),
        _ => table.name().to_owned(),
    }
}

fn empty(table: Table) -> Result<Arc<dyn TableProvider>, QueryError> {
    Ok(Arc::new(MemTable::try_new(table.schema(), vec![vec![]])?))
}

/// The rows of the latest emission of each window. An emission restates all rows of its window under one revision, so that a row which
/// has ceased to exist (of a subject that moved, say) is gone with the next one.
fn latest_revision(table: Table) -> String {
    let schema = table.schema();
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("\"{}\"", field.name()))
        .collect();
    let columns = columns.join(", ");
    let emissions: Vec<String> = emitted_with(table)
        .iter()
        .map(|table| {
            format!(
                "select window_name, window_start, revision from {}",
                physical_name(*table)
            )
        })
        .collect();
    let emissions = emissions.join(" union all ");
    format!(
        "select {columns} from {} where revision in \
         (select max(revision) from ({emissions}) group by window_name, window_start)",
        physical_name(table)
    )
}

/// The tables whose rows are emitted together, under the same revision; one of them may have none.
fn emitted_with(table: Table) -> &'static [Table] {
    match table {
        Table::MaturedStats => &[Table::MaturedStats],
        _ => &[Table::AssignmentCounts, Table::MetricStats],
    }
}
