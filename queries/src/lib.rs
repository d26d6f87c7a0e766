//! The analysis in SQL: the catalogue of tables and views, the functions, and the canonical queries.
//!
//! - [`Catalogue`]: every table of the engine under its name, with the views on it. The same for the live job and for a lake; only
//!   the providers differ.
//! - [`functions`]: windows over event time and sufficient statistics, as DataFusion functions.
//! - [`BatchQueries`]: queries inside the stream, over the rows of a closed window.
//! - [`StandingQueries`] and [`evaluation`]: the signal queries of `sql/signals/`, planned once and run at every evaluation.
//! - [`lineage`]: which queries are looks at the variants' outcomes.
//! - [`canonical`]: the queries of `sql/`, which define the result tables by the events.
//! - [`session`]: how DataFusion is configured for the lake and for the stream's bounded work.
//! - [`QueryError`]: what is wrong with a query, in one sentence.
//!
//! The SQL contract is in `slt/`: small streams, worked out by hand.

mod analysis;
mod batch_queries;
pub mod canonical;
mod catalogue;
mod error;
pub mod evaluation;
pub mod functions;
pub mod lineage;
pub mod session;
mod standing;

pub use batch_queries::BatchQueries;
pub use catalogue::Catalogue;
pub use error::{Fault, Position, QueryError};
pub use standing::StandingQueries;
