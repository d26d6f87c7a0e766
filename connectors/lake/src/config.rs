//! The options of a lake, as they stand in the configuration.

use serde::{Deserialize, Serialize};

/// Options of a [`LakeSink`](crate::LakeSink) and a [`LakeSource`](crate::LakeSource).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LakeOptions {
    /// Where the lake is: a URL (`file:///var/lib/backplane/lake`) or the path of a local folder.
    pub url: String,
}

impl LakeOptions {
    /// The lake at this URL or path.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }
}
