//! What can go wrong with checkpoints.

use std::fmt;

use backplane_connector_api::{Epoch, Fault};

/// An error of checkpoints. Its text is one sentence that says what happened and what to do; it never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The address is none, or of a storage that this build cannot use.
    #[error("{url} is not the address of a folder for checkpoints: {reason}")]
    BadUrl {
        /// The address, without credentials.
        url: String,
        /// Why.
        reason: String,
    },
    /// The storage failed; nothing was decided.
    #[error("{doing} failed: {reason}; the job continues from its last checkpoint when it is started again")]
    Storage {
        /// What was to be done.
        doing: String,
        /// What the storage says.
        reason: String,
    },
    /// The storage failed while an epoch was being decided, and does not say whether it is.
    #[error(
        "{doing} failed, and nobody can tell whether it was done: {reason}; the job finds out when it is started again"
    )]
    Ambiguous {
        /// What was to be done.
        doing: String,
        /// What the storage says.
        reason: String,
    },
    /// Something that a decided epoch names is missing or not what was written.
    #[error("{what} is damaged ({reason}); {}", advice(*.last_good))]
    Damaged {
        /// What, where.
        what: String,
        /// How it can be told.
        reason: String,
        /// The last epoch that is whole, if it was looked for.
        last_good: Option<Epoch>,
    },
    /// Another instance has decided an epoch that this one was preparing.
    #[error(
        "another instance of this job ({by}) has taken over at epoch {}; this one stops and has written nothing more", epoch.0
    )]
    TakenOver {
        /// The epoch.
        epoch: Epoch,
        /// Who.
        by: String,
    },
    /// Another instance of the job is alive.
    #[error(
        "another instance of this job is running ({by}); stop it first, or give this job another name (engine.job)"
    )]
    Running {
        /// Who.
        by: String,
    },
    /// Somebody has removed the checkpoints of a job that runs.
    #[error(
        "the checkpoints of the job were removed while it ran; it stops, because there is nothing to go on from: start anew with outputs of \
         its own, or put the folder back"
    )]
    Removed,
    /// There is no such epoch.
    #[error("there is no checkpoint of epoch {}; {available}", wanted.0)]
    NoSuchEpoch {
        /// What was asked for.
        wanted: Epoch,
        /// Which there are.
        available: String,
    },
    /// A newer version of the engine wrote it.
    #[error(
        "the checkpoint was written by backplane {engine}, whose format {format} this version cannot read; run that version, or start anew with --restore none"
    )]
    OtherFormat {
        /// The version of the engine.
        engine: String,
        /// The format's number.
        format: u32,
    },
    /// The engine broke a rule of its own.
    #[error("{message} (this is a defect of backplane, please report it)")]
    Internal {
        /// The rule that was broken.
        message: String,
    },
}

fn advice(last_good: Option<Epoch>) -> String {
    match last_good {
        Some(epoch) => format!("epoch {0} is whole: continue from it with --restore {0}", epoch.0),
        None => "start anew with --restore none".to_owned(),
    }
}

impl CheckpointError {
    /// A defect of the engine.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::Internal {
            message: message.to_string(),
        }
    }

    /// The storage failed.
    pub fn storage(doing: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Storage {
            doing: doing.to_string(),
            reason: reason.to_string(),
        }
    }

    /// A part is not what was written.
    pub(crate) fn damaged(what: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Damaged {
            what: what.to_string(),
            reason: reason.to_string(),
            last_good: None,
        }
    }

    /// The same, with the last epoch that is whole.
    #[must_use]
    pub fn with_last_good(mut self, epoch: Option<Epoch>) -> Self {
        if let Self::Damaged { last_good, .. } = &mut self {
            *last_good = epoch;
        }
        self
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::BadUrl { .. }
            | Self::Removed
            | Self::Running { .. }
            | Self::NoSuchEpoch { .. }
            | Self::OtherFormat { .. } => Fault::User,
            Self::Storage { .. } | Self::Ambiguous { .. } | Self::Damaged { .. } | Self::TakenOver { .. } => {
                Fault::Outside
            }
            Self::Internal { .. } => Fault::Ours,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Storage { .. } | Self::Ambiguous { .. })
    }
}
