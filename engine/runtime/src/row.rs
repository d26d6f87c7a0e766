//! A subject in an experiment.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// One (experiment, subject).
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct Row {
    /// Event time of the first exposure, microseconds.
    pub first_time: i64,
    /// The subject's slot.
    pub subject: u32,
    /// The experiment's id.
    pub experiment: u32,
    /// The subject's next row; [`crate::subjects::NONE`] at the end.
    pub next: u32,
    /// Place in the experiment's columns.
    pub local: u32,
    /// Variant of the first exposure.
    pub variant: u32,
    /// The group (of all subjects of the analysed variant) it counts in; [`crate::subjects::NONE`] where it is left out.
    pub group: u32,
    /// By attribution class: whether its attribution window has closed.
    pub matured: u32,
    /// Allocation epoch of the first exposure.
    pub epoch: u16,
    /// Not 0 where the experiment holds its history.
    pub history: u16,
}

impl Row {
    /// Whether it was seen in several variants or epochs (then the experiment holds its history).
    #[must_use]
    pub fn has_history(&self) -> bool {
        self.history != 0
    }

    /// It has one from now on.
    pub fn keep_history(&mut self) {
        self.history = 1;
    }
}
