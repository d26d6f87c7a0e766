//! The epochs of a job: what makes state, positions and the effects on sinks move together, whatever fails.
//!
//! An epoch is **prepared** (state parts and what the sinks have to publish are durable, and named by an immutable [`Manifest`]), then
//! **decided** by one atomic act (its [`EpochRecord`] is created, which succeeds once for all writers), then **rolled forward** (the sinks
//! publish, which they may be told again after a crash). Recovery reads the last decided epoch, restores the state that its manifest names,
//! and rolls it forward again; what was prepared and not decided was never there.
//!
//! What to do is decided by functions of [`protocol`], without I/O; [`CheckpointStore`] carries it out on a local folder or any object
//! store, by the same calls.

mod error;
pub mod layout;
mod manifest;
mod owner;
mod part;
mod place;
pub mod protocol;
mod store;
#[cfg(test)]
mod store_tests;
pub mod testing;

pub use error::CheckpointError;
pub use manifest::{EpochRecord, FORMAT, Manifest, ManifestRef, PartRef, Writer};
pub use owner::{Lease, Owner};
pub use part::{PartReader, PartWriter};
pub use store::{CheckpointStore, Patience};
