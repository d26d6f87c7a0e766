//! A schema of canonical queries as views, each planned when it is first named.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;

use crate::canonical::CanonicalQuery;

/// The views of one catalogue, beside the tables of a schema. They hold the tables as these were when a view was first named.
pub(crate) struct Views {
    /// The state of the session that the views are planned in, while it lives: it owns the catalogue that owns this.
    session: Box<dyn Fn() -> Option<SessionState> + Send + Sync>,
    queries: &'static [CanonicalQuery],
    tables: Arc<dyn SchemaProvider>,
    planned: Mutex<HashMap<&'static str, Arc<ViewTable>>>,
}

impl Views {
    /// The queries as views, none planned yet. A view hides a table of its name.
    pub(crate) fn new(
        session: &SessionContext,
        queries: &'static [CanonicalQuery],
        tables: Arc<dyn SchemaProvider>,
    ) -> Self {
        let session = session.state_weak_ref();
        Views {
            session: Box::new(move || session.upgrade().map(|state| state.read().clone())),
            queries,
            tables,
            planned: Mutex::default(),
        }
    }

    /// The tables that the views stand beside.
    pub(crate) fn tables(&self) -> &Arc<dyn SchemaProvider> {
        &self.tables
    }

    fn find(&self, name: &str) -> Option<&'static CanonicalQuery> {
        self.queries.iter().find(|query| query.name == name)
    }

    async fn plan(&self, query: &CanonicalQuery) -> Result<Arc<ViewTable>> {
        let gone = || DataFusionError::Internal("the session of a view is gone".to_owned());
        let state = (self.session)().ok_or_else(gone)?;
        let plan = state.create_logical_plan(query.sql).await?;
        Ok(Arc::new(ViewTable::new(plan, Some(query.sql.to_owned()))))
    }

    fn planned(&self) -> MutexGuard<'_, HashMap<&'static str, Arc<ViewTable>>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Views {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Views")
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for Views {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.tables.table_names();
        names.retain(|name| self.find(name).is_none());
        names.extend(self.queries.iter().map(|query| query.name.to_owned()));
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(query) = self.find(name) else {
            return self.tables.table(name).await;
        };
        let known = self.planned().get(query.name).cloned();
        let view = match known {
            Some(view) => view,
            // two that ask at once plan it twice and get the same
            None => {
                let view = self.plan(query).await?;
                self.planned().insert(query.name, Arc::clone(&view));
                view
            }
        };
        Ok(Some(view))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        match self.find(name) {
            Some(_) => Ok(Some(TableType::View)),
            None => self.tables.table_type(name).await,
        }
    }

    fn register_table(&self, name: String, table: Arc<dyn TableProvider>) -> Result<Option<Arc<dyn TableProvider>>> {
        self.tables.register_table(name, table)
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.tables.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some() || self.tables.table_exist(name)
    }
}
