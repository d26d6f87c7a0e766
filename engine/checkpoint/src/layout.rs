//! Names of objects below a job's folder.
//!
//! ```text
//! owner.json                                    who runs the job
//! epochs/00000000000000000012.json              decided: created once
//! manifests/00000000000000000012-WRITER.json    prepared: what the epoch is
//! state/00000000000000000012-WRITER-NAME        pieces of state
//! ```

use backplane_connector_api::Epoch;

use crate::Writer;

/// Who runs the job.
pub const OWNER: &str = "owner.json";
/// The folder of decisions.
pub const EPOCHS: &str = "epochs";
/// The folder of manifests.
pub const MANIFESTS: &str = "manifests";
/// The folder of pieces of state.
pub const STATE: &str = "state";

/// Where the decision on an epoch is.
#[must_use]
pub fn record(epoch: Epoch) -> String {
    format!("{EPOCHS}/{:020}.json", epoch.0)
}

/// Where a writer's manifest of an epoch is.
#[must_use]
pub fn manifest(epoch: Epoch, writer: Writer) -> String {
    format!("{MANIFESTS}/{:020}-{writer}.json", epoch.0)
}

/// Where a writer's piece of state of an epoch is.
#[must_use]
pub fn part(epoch: Epoch, writer: Writer, name: &str) -> String {
    format!("{STATE}/{:020}-{writer}-{name}", epoch.0)
}

/// The epoch in the name of a decision, a manifest or a piece of state; none for a name that is not ours.
#[must_use]
pub fn epoch_of(path: &str) -> Option<Epoch> {
    let name = path.rsplit('/').next()?;
    let digits = name.get(..20)?;
    digits.parse().ok().map(Epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_epoch_and_sort_by_it() {
        let writer = Writer::new();
        for name in [
            record(Epoch(12)),
            manifest(Epoch(12), writer),
            part(Epoch(12), writer, "shard-3"),
        ] {
            assert_eq!(epoch_of(&name), Some(Epoch(12)));
        }
        assert!(record(Epoch(9)) < record(Epoch(10)));
        assert_eq!(epoch_of("state/notes.txt"), None);
        assert_eq!(epoch_of(OWNER), None);
    }
}
