//! The job's sinks, and which rows each takes.

use std::collections::BTreeSet;

use arrow::record_batch::RecordBatch;
use backplane_connector_api::{Effect, Epoch, Output, Sink};
use backplane_events::Table;

use crate::error::RuntimeError;

/// A sink and what it takes.
pub struct Outlet {
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// Tables whose rows it takes.
    pub tables: BTreeSet<Table>,
    /// Queries whose rows it takes.
    pub queries: BTreeSet<String>,
    /// Whether results that it takes are shown to a person, and so are looked at.
    pub counts_as_look: bool,
}

impl Outlet {
    /// A sink that takes rows of these tables.
    #[must_use]
    pub fn new(sink: Box<dyn Sink>, tables: impl IntoIterator<Item = Table>) -> Self {
        Outlet {
            sink,
            tables: tables.into_iter().collect(),
            queries: BTreeSet::new(),
            counts_as_look: false,
        }
    }

    /// Shows what it takes to a person: results in it are looked at.
    #[must_use]
    pub fn that_counts_as_look(mut self) -> Self {
        self.counts_as_look = true;
        self
    }

    /// Takes rows of these queries too.
    #[must_use]
    pub fn with_queries(mut self, queries: impl IntoIterator<Item = String>) -> Self {
        self.queries.extend(queries);
        self
    }

    fn takes(&self, output: &Output) -> bool {
        match output {
            Output::Rows { table, .. } => self.tables.contains(table),
            Output::Query { name, .. } => self.queries.contains(name),
        }
    }
}

/// All sinks of a job.
#[derive(Default)]
pub struct Outlets {
    outlets: Vec<Outlet>,
    last_epoch: u64,
}

impl Outlets {
    /// These sinks.
    #[must_use]
    pub fn new(outlets: Vec<Outlet>) -> Self {
        Outlets { outlets, last_epoch: 0 }
    }

    /// Whether any sink takes rows of a table.
    #[must_use]
    pub fn want(&self, table: Table) -> bool {
        self.outlets.iter().any(|outlet| outlet.tables.contains(&table))
    }

    /// The sinks by which results are looked at.
    pub fn looking(&self) -> impl Iterator<Item = &str> {
        let looking = |outlet: &&Outlet| outlet.counts_as_look && outlet.tables.contains(&Table::MetricStats);
        self.outlets.iter().filter(looking).map(|outlet| outlet.sink.name())
    }

    /// Hands rows of a table to every sink that takes them.
    ///
    /// # Errors
    /// A sink failed.
    pub fn rows(&mut self, table: Table, batch: RecordBatch) -> Result<(), RuntimeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.accept(&Output::Rows { table, batch })
    }

    /// Hands rows of a query to every sink that takes them.
    ///
    /// # Errors
    /// A sink failed.
    pub fn query_rows(&mut self, name: &str, batch: RecordBatch) -> Result<(), RuntimeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.accept(&Output::Query {
            name: name.to_owned(),
            batch,
        })
    }

    fn accept(&mut self, output: &Output) -> Result<(), RuntimeError> {
        for outlet in &mut self.outlets {
            if outlet.takes(output) {
                outlet.sink.accept(output)?;
            }
        }
        Ok(())
    }

    /// Makes everything accepted so far durable in every sink, then visible: all are prepared before the first is published.
    ///
    /// # Errors
    /// A sink failed. What the others have prepared and not published is taken back, as far as that can be done.
    pub fn commit(&mut self) -> Result<Epoch, RuntimeError> {
        self.last_epoch += 1;
        let epoch = Epoch(self.last_epoch);
        let mut effects: Vec<Effect> = Vec::with_capacity(self.outlets.len());
        for outlet in &mut self.outlets {
            match outlet.sink.prepare(epoch) {
                Ok(effect) => effects.push(effect),
                Err(error) => {
                    self.discard(epoch, &effects, 0);
                    return Err(error.into());
                }
            }
        }
        for (index, effect) in effects.iter().enumerate() {
            let published = self
                .outlets
                .get_mut(index)
                .map(|outlet| outlet.sink.publish(epoch, effect));
            if let Some(Err(error)) = published {
                self.discard(epoch, &effects, index);
                return Err(error.into());
            }
        }
        Ok(epoch)
    }

    /// Takes back what was prepared, from the sink at `from` on.
    fn discard(&mut self, epoch: Epoch, effects: &[Effect], from: usize) {
        for (outlet, effect) in self.outlets.iter_mut().zip(effects).skip(from) {
            outlet.sink.discard(epoch, effect);
        }
    }
}
