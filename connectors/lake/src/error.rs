//! What can go wrong with a lake, named by what the user can do about it.

use backplane_connector_api::ConnectorError;
use backplane_events::Table;

/// An error of a lake. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// Write the URL differently.
    #[error(
        "{url} is not the address of a lake: {reason}; give a folder or a URL such as file:///var/lib/backplane/lake"
    )]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Name another folder.
    #[error("{url}: there is no such folder; name the folder of a lake")]
    NoFolder {
        /// What was given.
        url: String,
    },
    /// Name a folder, not a file.
    #[error("{path} is a file, not a folder; name a folder for the lake")]
    NotAFolder {
        /// The file.
        path: String,
    },
    /// Name the folder of a lake.
    #[error("{url} is not a lake: none of the Delta tables {tables} is in it")]
    NotALake {
        /// What was given.
        url: String,
        /// The tables that were looked for.
        tables: String,
    },
    /// Use a lake that this version wrote, or write a new one.
    #[error("the table {table} of the lake {url} was written by another version of backplane ({difference}); use another lake", table = table.name())]
    OtherVersion {
        /// The lake.
        url: String,
        /// The table.
        table: Table,
        /// What differs.
        difference: String,
    },
    /// Give permission, or make room.
    #[error("the lake {url} cannot be written: {reason}")]
    Unwritable {
        /// The lake.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// Send these rows elsewhere.
    #[error("a lake takes the engine's tables, not the rows of query {query}; send them to another sink")]
    NotATable {
        /// The query.
        query: String,
    },
    /// Try again, or look at the storage.
    #[error("{doing} failed: {reason}")]
    Storage {
        /// What was being done, with the place.
        doing: String,
        /// What the storage said.
        reason: String,
    },
    /// Restore the lake from a copy.
    #[error("{doing} failed: {reason}; the lake may be damaged, or its files were removed")]
    Damaged {
        /// What was being done, with the place.
        doing: String,
        /// What is wrong.
        reason: String,
    },
    /// Begin anew: the position is not of this lake.
    #[error(
        "the position {position} is not in the lake {url}, which has {records} events; start anew with --restore none"
    )]
    BadPosition {
        /// The lake.
        url: String,
        /// The position.
        position: u64,
        /// How many events there are.
        records: u64,
    },
    /// A defect of the engine.
    #[error("{reason}")]
    Internal {
        /// The rule that was broken.
        reason: String,
    },
}

impl LakeError {
    /// A failure of the storage while doing something.
    pub(crate) fn storage(doing: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self::Storage {
            doing: doing.into(),
            reason: in_short(&error.to_string()),
        }
    }

    /// What was read makes no sense.
    pub(crate) fn damaged(doing: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self::Damaged {
            doing: doing.into(),
            reason: in_short(&error.to_string()),
        }
    }

    /// A defect of the engine.
    pub(crate) fn internal(reason: impl std::fmt::Display) -> Self {
        Self::Internal {
            reason: reason.to_string(),
        }
    }

    /// This error as the engine sees it, of the connector of this name.
    #[must_use]
    pub fn of(&self, connector: &str) -> ConnectorError {
        match self {
            Self::Storage { .. } => ConnectorError::unavailable(connector, self),
            Self::Damaged { .. } => ConnectorError::damaged(connector, self),
            Self::Internal { .. } => ConnectorError::internal(connector, self),
            _ => ConnectorError::invalid(connector, self),
        }
    }
}

/// By which layer of a library an error came: of no use to whoever reads it.
const LAYERS: [&str; 7] = [
    "Generic LocalFileSystem error: ",
    "Kernel error: ",
    "Parquet error: ",
    "Object Store error: ",
    "ObjectStore error: ",
    "External: ",
    "Generic error: ",
];

/// The text of a library's error, without the layers that it came through and the trace behind it.
fn in_short(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let short = LAYERS
        .iter()
        .fold(first.to_owned(), |text, layer| text.replace(layer, ""));
    short.trim_end_matches(['.', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_storage_is_one_sentence_without_the_layers_of_libraries() {
        let raw = "Failed to read delta log object: Generic LocalFileSystem error: Unable to walk dir: Not a directory (os error 20)\n   0: with_backtrace";
        assert_eq!(
            LakeError::storage("reading the log of lake/outcomes", raw).to_string(),
            "reading the log of lake/outcomes failed: Failed to read delta log object: Unable to walk dir: Not a directory (os error 20)"
        );
        let raw = "Kernel error: No table metadata or protocol found in delta log.";
        let told = LakeError::damaged("reading the log of lake/outcomes", raw).to_string();
        assert!(
            told.starts_with("reading the log of lake/outcomes failed: No table metadata"),
            "{told}"
        );
        assert!(told.contains("in delta log; the lake may be damaged"), "{told}");
    }
}
