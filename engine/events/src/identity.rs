//! By what records are told apart and put together: hashes of their ids.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128};

/// The hashes of a record's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Of the event id.
    pub event_id: u128,
    /// Of (tenant, subject id); 0 for records without a subject.
    pub subject: u64,
}

impl Identity {
    /// Of these texts; an absent tenant is the empty one.
    #[must_use]
    pub fn of(event_id: &str, tenant: Option<&str>, subject: Option<&str>) -> Identity {
        Identity {
            event_id: xxh3_128(event_id.as_bytes()),
            subject: subject.map_or(0, |subject| {
                Identity::subject_hash(tenant.unwrap_or_default().as_bytes(), subject.as_bytes())
            }),
        }
    }

    /// The hash of a subject by the texts of its tenant and its id.
    #[must_use]
    pub fn subject_hash(tenant: &[u8], subject: &[u8]) -> u64 {
        match tenant {
            [] => xxh3_64(subject),
            tenant => xxh3_64_with_seed(subject, xxh3_64(tenant)),
        }
    }
}
