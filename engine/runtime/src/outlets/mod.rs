//! The job's sinks, and which rows each takes.

mod worker;

use std::collections::BTreeSet;
use std::thread::JoinHandle;

use arrow::record_batch::RecordBatch;
use backplane_connector_api::{Effect, Epoch, Output, Sink};
use backplane_events::Table;

use crate::error::RuntimeError;

pub use worker::{Answer, SinkHandle};

/// A sink and what it takes.
pub struct Outlet {
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// What it takes.
    takes: Takes,
}

/// What a sink takes.
#[derive(Debug, Default)]
struct Takes {
    /// Tables whose rows it takes.
    tables: BTreeSet<Table>,
    /// Queries whose rows it takes.
    queries: BTreeSet<String>,
    /// Whether results that it takes are shown to a person, and so are looked at.
    counts_as_look: bool,
}

impl Outlet {
    /// A sink that takes rows of these tables.
    #[must_use]
    pub fn new(sink: Box<dyn Sink>, tables: impl IntoIterator<Item = Table>) -> Self {
        let takes = Takes {
            tables: tables.into_iter().collect(),
            ..Takes::default()
        };
        Outlet { sink, takes }
    }

    /// Shows what it takes to a person: results in it are looked at.
    #[must_use]
    pub fn that_counts_as_look(mut self) -> Self {
        self.takes.counts_as_look = true;
        self
    }

    /// Takes rows of these queries too.
    #[must_use]
    pub fn with_queries(mut self, queries: impl IntoIterator<Item = String>) -> Self {
        self.takes.queries.extend(queries);
        self
    }
}

impl Takes {
    fn takes(&self, output: &Output) -> bool {
        match output {
            Output::Rows { table, .. } => self.tables.contains(table),
            Output::Query { name, .. } => self.queries.contains(name),
        }
    }
}

/// All sinks of a job, each on a thread of its own.
pub struct Outlets {
    outlets: Vec<(SinkHandle, Takes)>,
    /// Ended last: sinks tidy up when they go.
    threads: Vec<JoinHandle<()>>,
}

impl Outlets {
    /// These sinks.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn new(outlets: Vec<Outlet>) -> Result<Self, RuntimeError> {
        let mut started = Outlets {
            outlets: Vec::with_capacity(outlets.len()),
            threads: Vec::new(),
        };
        for Outlet { sink, takes } in outlets {
            let (handle, thread) = SinkHandle::start(sink)?;
            started.outlets.push((handle, takes));
            started.threads.push(thread);
        }
        Ok(started)
    }

    /// Whether any sink takes rows of a table.
    #[must_use]
    pub fn want(&self, table: Table) -> bool {
        self.outlets.iter().any(|(_, takes)| takes.tables.contains(&table))
    }

    /// The sinks by which results are looked at.
    pub fn looking(&self) -> impl Iterator<Item = &str> {
        let looking =
            |(_, takes): &&(SinkHandle, Takes)| takes.counts_as_look && takes.tables.contains(&Table::MetricStats);
        self.outlets.iter().filter(looking).map(|(sink, _)| sink.name())
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
        for (sink, takes) in &self.outlets {
            if takes.takes(output) {
                sink.accept(output.clone())?;
            }
        }
        Ok(())
    }

    /// The sinks, for whoever commits what they were given.
    #[must_use]
    pub fn sinks(&self) -> Vec<SinkHandle> {
        self.outlets.iter().map(|(sink, _)| sink.clone()).collect()
    }

    /// Has every sink make durable what it was given.
    #[must_use]
    pub fn prepare(&self, epoch: Epoch) -> Vec<Answer<Effect>> {
        self.outlets.iter().map(|(sink, _)| sink.prepare(epoch)).collect()
    }
}

impl Drop for Outlets {
    fn drop(&mut self) {
        self.outlets.clear();
        for thread in self.threads.drain(..) {
            // a sink that panicked has said so
            drop(thread.join());
        }
    }
}
