//! What can go wrong between the engine and an outside system.

use std::fmt;

/// Whose fault an error is: decides the exit status and the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The command line, the configuration or the input must change.
    User,
    /// The outside system failed; trying again may help.
    Outside,
    /// A defect of the engine.
    Ours,
}

/// An error of a connector. Its text is one sentence that says what happened and what to do; it never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The connector's options are wrong, or name something that is not there.
    #[error("{connector}: {message}")]
    Invalid {
        /// The connector and its name in the configuration.
        connector: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// The outside system refused or failed.
    #[error("{connector}: {message}")]
    Unavailable {
        /// The connector and its name in the configuration.
        connector: String,
        /// What happened and what to do.
        message: String,
        /// Whether the same call may succeed later.
        retry: bool,
    },
    /// A partition that was read before is not there any more.
    #[error("{connector}: {message}")]
    Gone {
        /// The connector and its name in the configuration.
        connector: String,
        /// What is gone and what to do.
        message: String,
    },
    /// What was read is damaged (a truncated archive, a corrupt table).
    #[error("{connector}: {message}")]
    Damaged {
        /// The connector and its name in the configuration.
        connector: String,
        /// What is damaged, where, and what to do.
        message: String,
    },
    /// The engine broke a rule of its own.
    #[error("{connector}: {message} (this is a defect of backplane, please report it)")]
    Internal {
        /// The connector and its name in the configuration.
        connector: String,
        /// The rule that was broken.
        message: String,
    },
}

impl ConnectorError {
    /// The options are wrong.
    pub fn invalid(connector: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::Invalid {
            connector: connector.to_string(),
            message: message.to_string(),
        }
    }

    /// The outside system failed, and the same call may succeed later.
    pub fn unavailable(connector: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::Unavailable {
            connector: connector.to_string(),
            message: message.to_string(),
            retry: true,
        }
    }

    /// A partition is gone.
    pub fn gone(connector: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::Gone {
            connector: connector.to_string(),
            message: message.to_string(),
        }
    }

    /// What was read is damaged.
    pub fn damaged(connector: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::Damaged {
            connector: connector.to_string(),
            message: message.to_string(),
        }
    }

    /// A defect of the engine.
    pub fn internal(connector: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::Internal {
            connector: connector.to_string(),
            message: message.to_string(),
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Invalid { .. } | Self::Gone { .. } => Fault::User,
            Self::Unavailable { .. } | Self::Damaged { .. } => Fault::Outside,
            Self::Internal { .. } => Fault::Ours,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { retry: true, .. })
    }
}
