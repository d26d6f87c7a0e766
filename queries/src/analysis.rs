//! The schema `analysis`: the canonical queries as views, each planned when it is first named.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;

use crate::canonical::{self, CanonicalQuery};

/// The views of one catalogue. They hold the tables as these were when a view was first named.
pub(crate) struct Analysis {
    /// The state of the session that the views are planned in, while it lives: it owns the catalogue that owns this.
    session: Box<dyn Fn() -> Option<SessionState> + Send + Sync>,
    planned: Mutex<HashMap<&'static str, Arc<ViewTable>>>,
}

impl Analysis {
    pub(crate) fn new(session: &SessionContext) -> Self {
        let session = session.state_weak_ref();
        Analysis {
            session: Box::new(move || session.upgrade().map(|state| state.read().clone())),
            planned: Mutex::default(),
        }
    }

    async fn plan(&self, query: &CanonicalQuery) -> Result<Arc<ViewTable>, DataFusionError> {
        let gone = || DataFusionError::Internal("the session of a view is gone".to_owned());
        let state = (self.session)().ok_or_else(gone)?;
        let plan = state.create_logical_plan(query.sql).await?;
        Ok(Arc::new(ViewTable::new(plan, Some(query.sql.to_owned()))))
    }

    fn planned(&self) -> MutexGuard<'_, HashMap<&'static str, Arc<ViewTable>>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Analysis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Analysis").finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for Analysis {
    fn table_names(&self) -> Vec<String> {
        canonical::ALL.iter().map(|query| query.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(query) = canonical::find(name) else {
            return Ok(None);
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

    async fn table_type(&self, name: &str) -> Result<Option<TableType>, DataFusionError> {
        Ok(canonical::find(name).map(|_| TableType::View))
    }

    fn table_exist(&self, name: &str) -> bool {
        canonical::find(name).is_some()
    }
}
