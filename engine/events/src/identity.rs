//! By what records are told apart and put together: hashes of their ids.
//!
//! Texts of ids are not compared. With 128 bits (XXH3) two of a billion subjects have the same hash with a probability of 1.5e-21.

use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

/// The hashes of a record's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Of the event id.
    pub event_id: u128,
    /// Of (tenant, subject id); 0 for records without a subject.
    pub subject: u128,
}

impl Identity {
    /// Of these texts; an absent tenant is the empty one.
    #[must_use]
    pub fn of(event_id: &str, tenant: Option<&str>, subject: Option<&str>) -> Identity {
        Identity {
            event_id: xxh3_128(event_id.as_bytes()),
            subject: subject.map_or(0, |subject| subject_hash(tenant, subject)),
        }
    }
}

fn subject_hash(tenant: Option<&str>, subject: &str) -> u128 {
    match tenant {
        None | Some("") => xxh3_128(subject.as_bytes()),
        Some(tenant) => {
            // half of it is the seed, so that tenant and subject do not change places; the other half is in the hash as it is
            let tenant = xxh3_128(tenant.as_bytes());
            xxh3_128_with_seed(subject.as_bytes(), tenant as u64) ^ (tenant >> 64 << 64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_tenant_and_an_id() {
        let of = |tenant, subject| Identity::of("e", tenant, Some(subject)).subject;
        let all = [
            of(None, "ab"),
            of(Some("a"), "b"),
            of(Some("b"), "a"),
            of(Some("ab"), "ab"),
            of(Some("ab"), ""),
            of(None, ""),
        ];
        let distinct: std::collections::BTreeSet<u128> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(of(Some(""), "ab"), of(None, "ab"));
        assert_eq!(Identity::of("e", Some("a"), None).subject, 0);
    }
}
